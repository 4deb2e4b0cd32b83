//! The demo on a terminal: draws the figures, and does what the keys ask for.

use std::io;
use std::time::Duration;

use evenkeel_terminal::{Screen, Signals};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::time::MissedTickBehavior;

use super::draw::draw;
use super::stage::{Stage, TICK};

/// The screen is drawn at every n-th tick, and at once after a key.
const TICKS_PER_PICTURE: u32 = 4;

/// Shows the demo until its time, a key or a signal ends it. The terminal is given back whatever happens, a panic
/// included.
///
/// # Errors
/// The terminal cannot be used.
pub async fn play(stage: &mut Stage, length: Option<Duration>, signals: &mut Signals) -> io::Result<()> {
    let mut screen = Screen::open()?;
    tokio::select! {
        shown = show(&mut screen.terminal, stage, length) => shown,
        () = signals.any() => Ok(()),
    }
}

async fn show(terminal: &mut DefaultTerminal, stage: &mut Stage, length: Option<Duration>) -> io::Result<()> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for tick in 0_u32.. {
        ticks.tick().await;
        let left = length.map(|length| length.saturating_sub(stage.observer.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let asked = match asked()? {
            Asked::Nothing => false,
            Asked::Redraw => true,
            Asked::Toggle(position) => {
                stage.toggle(position);
                true
            }
            Asked::Quit => break,
        };
        // Observed at every tick: a state may last for less time than a picture.
        let figures = stage.observe(left);
        if asked || tick.is_multiple_of(TICKS_PER_PICTURE) {
            terminal.draw(|frame| draw(frame, &figures))?;
        }
    }
    Ok(())
}

enum Asked {
    Nothing,
    Redraw,
    Toggle(usize),
    Quit,
}

/// What the next waiting key asks for.
fn asked() -> io::Result<Asked> {
    while event::poll(Duration::ZERO)? {
        let key = match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Resize(..) => return Ok(Asked::Redraw),
            _ => continue,
        };
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(Asked::Quit),
            // In raw mode it is a key and no signal.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(Asked::Quit),
            KeyCode::Char(digit @ '1'..='9') => return Ok(Asked::Toggle(digit as usize - '1' as usize)),
            _ => {}
        }
    }
    Ok(Asked::Nothing)
}
