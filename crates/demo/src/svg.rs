//! A picture of the screen for the documentation: the cells that a terminal would show, as SVG.

use std::fmt::Write;
use std::io;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::draw::draw;
use super::figures::Figures;

/// Columns and lines.
const SIZE: (u16, u16) = (96, 26);
/// Width and height of a cell, and where the first one begins, in pixels.
const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 12.0;
/// From the top of a cell to its baseline, in pixels.
const BASELINE: f64 = 13.5;

/// Its own background makes it legible on light and dark pages alike.
const STYLE: &str = "rect{shape-rendering:crispEdges}rect.b{fill:#101419;shape-rendering:auto}text{fill:#d5dbe3;\
    font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
    .w{font-weight:bold}.d{opacity:.6}.red{fill:#f47067}.green{fill:#57ab5a}.yellow{fill:#daaa3f}.cyan{fill:#39c5cf}";

/// The screen of these figures.
///
/// # Errors
/// Never in practice: nothing is written but memory.
pub fn render(figures: &Figures) -> io::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).map_err(io::Error::other)?;
    terminal.draw(|frame| draw(frame, figures)).map_err(io::Error::other)?;
    Ok(picture(terminal.backend().buffer()))
}

fn picture(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) =
        (f64::from(area.width) * CELL.0 + 2.0 * MARGIN, f64::from(area.height) * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         role=\"img\" aria-label=\"The screen of evenkeel demo\">\n<style>{STYLE}</style>\n\
         <rect class=\"b\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\"/>\n"
    );
    for y in 0..area.height {
        let cells: Vec<&Cell> = (0..area.width).map(|x| &buffer[(x, y)]).collect();
        let mut x = 0;
        for run in cells.chunk_by(|a, b| kind(a) == kind(b)) {
            draw_run(&mut svg, run, x, f64::from(y) * CELL.1 + MARGIN);
            x += run.len();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Cells of one kind are drawn together.
fn kind(cell: &Cell) -> (String, Option<u32>) {
    let mut class = Vec::new();
    match cell.fg {
        Color::Red => class.push("red"),
        Color::Green => class.push("green"),
        Color::Yellow => class.push("yellow"),
        Color::Cyan => class.push("cyan"),
        _ => {}
    }
    if cell.modifier.contains(Modifier::DIM) {
        class.push("d");
    }
    if cell.modifier.contains(Modifier::BOLD) {
        class.push("w");
    }
    (class.join(" "), eighths(cell.symbol()))
}

/// How full a block is, from below: `▁` is 1 and `█` is 8.
fn eighths(symbol: &str) -> Option<u32> {
    let block = symbol.chars().next()?;
    ('▁'..='█').contains(&block).then(|| u32::from(block) - u32::from('▁') + 1)
}

fn draw_run(svg: &mut String, run: &[&Cell], column: usize, top: f64) {
    let left = |column: usize| column as f64 * CELL.0 + MARGIN;
    let Some((class, block)) = run.first().map(|cell| kind(cell)) else { return };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    // Writing to a string cannot fail.
    if let Some(eighths) = block {
        // As shapes, because the blocks of many fonts leave gaps.
        let height = CELL.1 * f64::from(eighths) / 8.0;
        let _ = writeln!(
            svg,
            "<rect{class} x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
            left(column),
            top + CELL.1 - height,
            run.len() as f64 * CELL.0,
        );
        return;
    }
    let text: String = run.iter().map(|cell| cell.symbol()).collect();
    // In pieces, because viewers disagree on what they do with several spaces in a row.
    let mut column = column;
    for piece in text.split("  ") {
        let shown = piece.trim();
        let begins = column + piece.chars().take_while(|c| c.is_whitespace()).count();
        column += piece.chars().count() + 2;
        if shown.is_empty() {
            continue;
        }
        let _ = writeln!(
            svg,
            "<text{class} x=\"{:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>",
            left(begins),
            top + BASELINE,
            shown.chars().count() as f64 * CELL.0,
            shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        );
    }
}
