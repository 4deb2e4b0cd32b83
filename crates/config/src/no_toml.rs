//! What is wrong with a text that is not TOML, and where, also where things are nested too deep for the parser.

use crate::diagnostic::{Diagnostic, Span};

/// Lists and tables within one another that the parser takes.
const NESTING_MAX: usize = 80;

/// The first fault of the text.
pub(crate) fn diagnostic(text: &str, fault: &toml::de::Error) -> Diagnostic {
    match too_deep(text).filter(|_| fault.span().is_none() || fault.message().contains("recurs")) {
        Some(place) => Diagnostic::error(format!("lists and tables are nested more than {NESTING_MAX} deep"))
            .at(place)
            .with_expected("one too many")
            .with_help("no key needs more than a few: a bracket may be repeated, or one is not closed"),
        None => {
            let diagnostic = Diagnostic::error(format!("this is not TOML: {}", fault.message()));
            match fault.span() {
                Some(place) => diagnostic.at(place),
                None => diagnostic,
            }
        }
    }
}

/// The first bracket that is nested too deep, outside of strings and comments.
fn too_deep(text: &str) -> Option<Span> {
    let mut depth = 0usize;
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '[' | '{' => {
                depth += 1;
                if depth > NESTING_MAX {
                    return Some(at..at + 1);
                }
            }
            ']' | '}' => depth = depth.saturating_sub(1),
            '#' => drop(rest.find(|(_, c)| *c == '\n')),
            '"' => {
                while let Some((_, c)) = rest.next() {
                    match c {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '\'' => drop(rest.find(|(_, c)| *c == '\'')),
            _ => {}
        }
    }
    None
}
