//! `docs/configuration.md`, made from the declared keys, so that it cannot say anything else than what holds.

use std::fmt::Write;

use crate::declare::Declared;
use crate::keys::{Absent, Group, Kind, Section};
use crate::model::Config;

const INTRODUCTION: &str = include_str!("reference/introduction.md");
const MEANING: &str = include_str!("reference/meaning.md");
const EXAMPLE: &str = include_str!("../../../examples/everything.toml");

/// The Markdown of `docs/configuration.md`: every section and key, and a full example.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n## Sections and keys\n");
    Config::SECTION.walk(&mut |section| {
        if !section.is_root() {
            self::section(&mut out, section);
        }
    });
    let _ = write!(out, "\n{MEANING}\n## All of it\n\n```toml\n{EXAMPLE}```\n");
    out
}

fn section(out: &mut String, section: &'static Section) {
    let _ = write!(out, "\n### `{}`\n\n{}\n\n", section.title, section.doc);
    for group in section.groups() {
        let (number, keys) = match group {
            Group::AnyOf(keys) => ("At least", keys),
            Group::ExactlyOne(keys) => ("Exactly", keys),
            Group::AtMostOne(keys) => ("At most", keys),
        };
        let _ = write!(out, "{number} one of `{}`.\n\n", keys.join("`, `"));
    }
    out.push_str("| Key | Value | Default | What it does | Example |\n|---|---|---|---|---|\n");
    for key in section.keys() {
        let quoted =
            |text: &str| if key.kind.is_quoted() { format!("`\"{text}\"`") } else { format!("`{text}`") };
        let default = match key.absent {
            Absent::Required => "**required**".into(),
            Absent::Is(value) => quoted(value),
            Absent::Are(values) => format!("`[\"{}\"]`", values.join("\", \"")),
            Absent::Means("-") => "–".into(),
            Absent::Means(text) => text.to_owned(),
        };
        let cells = [value(&key.kind), default, key.doc.to_owned(), format!("`{}`", key.example)];
        let _ =
            writeln!(out, "| `{}` | {} |", key.name, cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
}

/// What a value may be. Texts are explained in full, other sections have their own table.
fn value(kind: &'static Kind) -> String {
    match kind {
        Kind::Text(syntax) | Kind::Address(syntax, _) | Kind::AddressOrOff(syntax, _) => {
            format!("{}: {}", syntax.name, syntax.doc)
        }
        Kind::TrueOrFalse(yes, no) => format!("`\"{yes}\"`, `\"{no}\"`"),
        Kind::OneOf(words) => format!("`\"{}\"`", words.join("\"`, `\"")),
        Kind::Section(section) => format!("a table, see `{}`", section.title),
        Kind::List(inner, max) => format!("a list, at most {max}, of: {}", value(inner)),
        Kind::OneOrList(inner, max) => format!("one, or a list of at most {max}: {}", value(inner)),
        Kind::Map(name, inner, max) => {
            format!("a table of at most {max}: {} = {}", name.plain(), value(inner))
        }
        Kind::Either(one, other) => format!("{}; or {}", value(one).trim_end_matches('.'), value(other)),
        other => other.expected(),
    }
}
