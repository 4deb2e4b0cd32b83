//! The effective configuration as TOML, defaults filled in: reading it back yields the same configuration.

use std::fmt::{Display, Write};

use crate::keys::{Absent, Key};

/// The lines written so far.
#[derive(Default)]
pub(crate) struct Lines(Vec<Line>);

enum Line {
    Header(String),
    Value(&'static str, String),
    Comment(String),
}

impl Lines {
    pub(crate) fn header(&mut self, header: impl Display) {
        self.0.push(Line::Header(header.to_string()));
    }

    pub(crate) fn line(&mut self, key: &'static str, value: impl Display) {
        self.0.push(Line::Value(key, value.to_string()));
    }

    pub(crate) fn comment(&mut self, text: impl Display) {
        self.0.push(Line::Comment(text.to_string()));
    }

    /// What holds without the key.
    pub(crate) fn absent(&mut self, key: &Key) {
        if let Absent::Means(meaning) = key.absent
            && meaning != "-"
        {
            self.comment(format_args!("no {}: {meaning}", key.name));
        }
    }

    /// Each value as it would be written, `key = value`.
    pub(crate) fn values(self) -> Vec<String> {
        let values = self.0.into_iter().filter_map(|line| match line {
            Line::Value(key, value) => Some(format!("{key} = {value}")),
            Line::Header(_) | Line::Comment(_) => None,
        });
        values.collect()
    }

    /// As one table on one line.
    pub(crate) fn inline(self) -> String {
        let values = self.values();
        if values.is_empty() { "{}".into() } else { format!("{{ {} }}", values.join(", ")) }
    }

    /// As a file.
    pub(crate) fn toml(&self) -> String {
        let mut out = String::new();
        for line in &self.0 {
            // Writing to a String cannot fail.
            let _ = match line {
                Line::Header(header) if out.is_empty() => writeln!(out, "{header}"),
                Line::Header(header) => writeln!(out, "\n{header}"),
                Line::Value(key, value) => writeln!(out, "{key} = {value}"),
                Line::Comment(text) => writeln!(out, "# {text}"),
            };
        }
        out
    }
}

/// A key: bare where TOML allows it.
pub(crate) fn name(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { key.into() } else { quote(key) }
}

/// A basic string of TOML, on one line.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
