//! What is wrong with a configuration and where: one [`Diagnostic`] a fault, drawn with its line and a caret.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::json;

/// Bytes of the file's text.
pub(crate) type Span = Range<usize>;

/// Faults kept of one file; what lies beyond is counted, and reported as one more fault.
pub(crate) const KEPT_MAX: usize = 200;

/// Lines longer than this many bytes are named, but not drawn.
const DRAWN_LINE_MAX: usize = 400;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, yet probably does not do what was meant.
    Warning,
}

/// One fault.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    expected: Option<String>,
    help: Option<String>,
    span: Option<Span>,
    line: usize,
    column: usize,
}

impl Diagnostic {
    /// A fault that makes the configuration unusable.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            expected: None,
            help: None,
            span: None,
            line: 0,
            column: 0,
        }
    }

    /// Something that is allowed and yet suspicious.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Where it is.
    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// The same without a place.
    pub(crate) fn nowhere(self) -> Self {
        Self { span: None, ..self }
    }

    /// What stands at the caret: what was expected there.
    pub(crate) fn with_expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    /// What to do about it.
    pub(crate) fn with_help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was expected at that place.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line, from 1; 0 when the fault has no place in the text.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1; 0 when the fault has no place in the text.
    pub fn column(&self) -> usize {
        self.column
    }
}

/// The faults of one file, in the order of their places.
#[derive(Clone)]
pub struct Diagnostics {
    file_name: Arc<str>,
    text: Arc<str>,
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Places `items` in `text` and puts them in order.
    pub(crate) fn new(file_name: &str, text: &str, mut items: Vec<Diagnostic>) -> Self {
        let line_starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        for item in &mut items {
            let Some(span) = &mut item.span else { continue };
            // The parser may point into the middle of a character, or beyond the end.
            span.start = boundary(text, span.start);
            span.end = boundary(text, span.end).max(span.start);
            let line = line_starts.partition_point(|&start| start <= span.start);
            let line_start = line_starts[line - 1];
            item.line = line;
            item.column = text[line_start..span.start].chars().count() + 1;
        }
        items.sort_by_key(|item| item.span.as_ref().map_or(usize::MAX, |span| span.start));
        Self { file_name: file_name.into(), text: text.into(), items }
    }

    /// Adds more of the same file.
    pub(crate) fn add(&mut self, more: Vec<Diagnostic>) {
        let mut items = std::mem::take(&mut self.items);
        items.extend(more);
        *self = Self::new(&self.file_name, &self.text, items);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// True when one of them makes the configuration unusable.
    pub fn has_errors(&self) -> bool {
        self.iter().any(|fault| fault.severity() == Severity::Error)
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    /// The name of the file they are about.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// For people: each fault with its line of the file and a caret. Colours are ANSI escapes.
    pub fn render(&self, colour: bool) -> String {
        let source = ariadne::Source::from(printable(&self.text));
        let mut out = String::new();
        for item in &self.items {
            match item.span.as_ref().and_then(|span| self.draw(item, span, &source, colour)) {
                Some(drawn) => out.push_str(&drawn),
                None => out.push_str(&self.plain(item)),
            }
        }
        out
    }

    /// For programs: an array of objects with `severity`, `message`, `expected`, `help`, `file`, `line` and `column`.
    pub fn to_json(&self) -> serde_json::Value {
        let place = |number: usize| (number > 0).then_some(number);
        self.items
            .iter()
            .map(|item| {
                json!({
                    "severity": match item.severity { Severity::Error => "error", Severity::Warning => "warning" },
                    "message": item.message,
                    "expected": item.expected,
                    "help": item.help,
                    "file": &*self.file_name,
                    "line": place(item.line),
                    "column": place(item.column),
                })
            })
            .collect()
    }

    fn plain(&self, item: &Diagnostic) -> String {
        let kind = match item.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{kind}: {}\n", item.message);
        if item.line > 0 {
            out.push_str(&format!("  at {}:{}:{}\n", self.file_name, item.line, item.column));
        }
        if let Some(expected) = &item.expected {
            out.push_str(&format!("  {expected}\n"));
        }
        if let Some(help) = &item.help {
            out.push_str(&format!("  Help: {help}\n"));
        }
        out
    }

    /// Draws the line of the file where `span` begins, unless it is too long to be of use.
    fn draw(&self, item: &Diagnostic, span: &Span, source: &ariadne::Source, colour: bool) -> Option<String> {
        let line_start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[span.start..].find('\n').map_or(self.text.len(), |at| span.start + at);
        if line_end - line_start > DRAWN_LINE_MAX {
            return None;
        }
        let place = (&*self.file_name, span.start..span.end.min(line_end).max(span.start));
        let (kind, title, shade) = match item.severity {
            Severity::Error => (ariadne::ReportKind::Error, "Error:", ariadne::Color::Red),
            Severity::Warning => (ariadne::ReportKind::Warning, "Warning:", ariadne::Color::Yellow),
        };
        let label = ariadne::Label::new(place.clone())
            .with_color(shade)
            .with_message(item.expected.as_deref().unwrap_or("here"));
        let mut report = ariadne::Report::build(kind, place)
            .with_config(ariadne::Config::new().with_color(colour).with_index_type(ariadne::IndexType::Byte))
            .with_message(&item.message)
            .with_label(label);
        report.with_helps(&item.help);
        let mut out = Vec::new();
        report.finish().write((&*self.file_name, source), &mut out).ok()?;
        // In small letters, as the command line's own faults have it.
        Some(String::from_utf8(out).ok()?.replacen(title, &title.to_lowercase(), 1))
    }
}

/// The start of the character at `at`, or the end of the text.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The text with spaces for what a terminal would obey, and for what the renderer takes for the end of a line while
/// TOML does not. Every character stays where it is.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\u{2028}' | '\u{2029}' => out.push_str("   "),
            c if c.is_control() => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
            c => out.push(c),
        }
    }
    out
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
