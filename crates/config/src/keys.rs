//! Every section and key of the file, declared once: what is refused as unknown, what the ranges and defaults are,
//! the JSON Schema and `docs/configuration.md` all come from here.

mod limit;
mod listener;
mod pool;
mod process;
mod protect;
mod retry;
mod route;
pub(crate) mod syntax;

pub(crate) use limit::REDIS;
pub(crate) use listener::LISTENER;
pub(crate) use pool::POOL;
pub(crate) use process::{ADMIN, LIMITS, LOG, SERVER};
pub(crate) use protect::OVERLOAD;
pub(crate) use retry::{HEDGE, RETRY};
pub(crate) use route::ROUTE;

use crate::value::{show_ms, show_size};
use Absent::Means;
use syntax::Syntax;

/// A table of the file.
pub(crate) struct Section {
    /// How people call it: `[pool.NAME]`, or `health` within another one.
    pub(crate) title: &'static str,
    /// One paragraph on what it is for.
    pub(crate) doc: &'static str,
    /// What may stand in it.
    pub(crate) keys: &'static [Key],
    /// Keys that exclude one another.
    pub(crate) groups: &'static [Group],
}

/// Keys of which some number must be there.
pub(crate) enum Group {
    ExactlyOne(&'static [&'static str]),
    AtMostOne(&'static [&'static str]),
}

/// One key of a section.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) absent: Absent,
    /// What it does, in Markdown.
    pub(crate) doc: &'static str,
    /// A value as it would be written, in TOML.
    pub(crate) example: &'static str,
}

/// What holds when a key is left out.
pub(crate) enum Absent {
    /// It must not be left out.
    Required,
    /// This value, as it would be written (without quotes).
    Is(&'static str),
    /// What this says.
    Means(&'static str),
}

/// What a value may be. Ranges are inclusive.
pub(crate) enum Kind {
    Integer(u64, u64),
    /// One of these integers.
    Number(&'static [u64]),
    /// An integer or this word.
    IntegerOr(u64, u64, &'static str),
    /// So many in a second, minute or hour.
    Rate(u64, u64),
    /// Milliseconds.
    Duration(u64, u64),
    /// Milliseconds, or `off`.
    DurationOrOff(u64, u64),
    /// Bytes.
    Size(u64, u64),
    /// Bytes, or `off`.
    SizeOrOff(u64, u64),
    /// A whole number of hundredths, written with its sign: `"50%"`.
    Percent(u64, u64),
    /// A number that may have a fraction.
    Decimal(f64, f64),
    Boolean,
    OneOf(&'static [&'static str]),
    Text(&'static Syntax),
    /// An address; a bare port may be an integer.
    Address(&'static Syntax),
    /// At most so many, at least one.
    List(&'static Kind, usize),
    /// One value, or a list of at most so many.
    OneOrList(&'static Kind, usize),
    /// A table with keys of the user's own choice, at most so many.
    Map(&'static Syntax, &'static Kind, usize),
    Either(&'static Kind, &'static Kind),
    Section(&'static Section),
    /// `[section.NAME]`, at most so many.
    Named(&'static Section, usize),
    /// `[[section]]`, at most so many.
    Tables(&'static Section, usize),
}

/// The whole file.
pub(crate) static ROOT: Section = Section {
    title: "the file",
    doc: "",
    keys: &[
        key("server", Kind::Section(&SERVER), Means("the defaults"), "The process.", ""),
        key("admin", Kind::Section(&ADMIN), Means("the defaults"), "API and metrics.", ""),
        key("log", Kind::Section(&LOG), Means("the defaults"), "The access log.", ""),
        key("limits", Kind::Section(&LIMITS), Means("the defaults"), "Process-wide limits.", ""),
        key("redis", Kind::Section(&REDIS), Means("no Redis"), "What balancers count in together.", ""),
        key("overload", Kind::Section(&OVERLOAD), Means("the defaults"), "When the process runs short.", ""),
        key("listener", Kind::Named(&LISTENER, 256), Absent::Required, "Where clients connect.", ""),
        key("route", Kind::Tables(&ROUTE, 100_000), Means("no route"), "Which request goes where.", ""),
        key("pool", Kind::Named(&POOL, 10_000), Means("no pool"), "Servers that do the same.", ""),
    ],
    groups: &[],
};

/// Up to this long may anything take: one day.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// A duration that cannot be zero.
const DURATION: Kind = Kind::Duration(1, DAY_MS);

const fn key(
    name: &'static str,
    kind: Kind,
    absent: Absent,
    doc: &'static str,
    example: &'static str,
) -> Key {
    Key { name, kind, absent, doc, example }
}

impl Section {
    /// The declaration of a key that the code itself names.
    pub(crate) fn key(&'static self, name: &str) -> &'static Key {
        self.find(name).expect("the reader asks only for declared keys")
    }

    /// The declaration of a key, if there is one.
    pub(crate) fn find(&'static self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// This section and all below it, in the order of the document.
    pub(crate) fn walk(&'static self, visit: &mut dyn FnMut(&'static Section)) {
        visit(self);
        for key in self.keys {
            if let Some(below) = key.kind.section() {
                below.walk(visit);
            }
        }
    }
}

impl Kind {
    /// The section that a value of this kind is, or may be, or is a list of.
    pub(crate) fn section(&self) -> Option<&'static Section> {
        match self {
            Self::Section(section) | Self::Named(section, _) | Self::Tables(section, _) => Some(section),
            Self::List(inner, _) | Self::OneOrList(inner, _) | Self::Map(_, inner, _) => inner.section(),
            Self::Either(one, other) => one.section().or_else(|| other.section()),
            _ => None,
        }
    }

    /// True when a value of this kind is written in quotes.
    pub(crate) fn is_quoted(&self) -> bool {
        match self {
            Self::Integer(..) | Self::Number(_) | Self::Decimal(..) | Self::Boolean => false,
            Self::List(inner, _) | Self::OneOrList(inner, _) => inner.is_quoted(),
            _ => true,
        }
    }

    /// What is expected, for people: "a duration from 1ms to 24h".
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Integer(min, max) => format!("an integer from {min} to {max}"),
            Self::Number(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                format!("one of {}", numbers.join(", "))
            }
            Self::IntegerOr(min, max, word) => format!("an integer from {min} to {max}, or \"{word}\""),
            Self::Rate(min, max) => {
                format!("a rate of {min} to {max} a second, minute or hour, as in \"10/s\"")
            }
            Self::Duration(min, max) => format!("a duration from {} to {}", show_ms(*min), show_ms(*max)),
            Self::DurationOrOff(min, max) => {
                format!("a duration from {} to {}, or \"off\"", show_ms(*min), show_ms(*max))
            }
            Self::Size(min, max) => format!("a size from {} to {}", show_size(*min), show_size(*max)),
            Self::SizeOrOff(min, max) => {
                format!("a size from {} to {}, or \"off\"", show_size(*min), show_size(*max))
            }
            Self::Percent(min, max) => format!("a percentage from {min}% to {max}%"),
            Self::Decimal(min, max) => format!("a number from {min} to {max}"),
            Self::Boolean => "true or false".into(),
            Self::OneOf([only]) => format!("\"{only}\""),
            Self::OneOf(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Text(syntax) | Self::Address(syntax) => syntax.name.into(),
            Self::List(inner, max) => format!("a list of at most {max}, each {}", inner.expected()),
            Self::OneOrList(inner, _) => format!("{}, or a list of such", inner.expected()),
            Self::Map(name, inner, _) => {
                format!("a table whose keys are {}s, each with {}", name.plain(), inner.expected())
            }
            Self::Either(one, other) => format!("{}, or {}", one.expected(), other.expected()),
            Self::Section(section) => {
                let keys: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
                format!("a table with {}", keys.join(", "))
            }
            Self::Named(section, _) => format!("tables `{}`", section.title),
            Self::Tables(section, _) => format!("tables `{}`", section.title),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::value::{duration_ms, percent, size};

    fn each_key(mut visit: impl FnMut(&'static Section, &'static Key)) {
        ROOT.walk(&mut |section| section.keys.iter().for_each(|key| visit(section, key)));
    }

    #[test]
    fn every_declared_default_is_one_of_its_kind() {
        each_key(|section, key| {
            let Absent::Is(default) = key.absent else { return };
            let fits = match key.kind {
                Kind::Integer(min, max) => (min..=max).contains(&default.parse().unwrap()),
                Kind::Number(numbers) => numbers.contains(&default.parse().unwrap()),
                Kind::IntegerOr(_, _, word) => default == word,
                Kind::Duration(min, max) => (min..=max).contains(&duration_ms(default).unwrap()),
                Kind::DurationOrOff(..) | Kind::SizeOrOff(..) => default == "off",
                Kind::Size(min, max) => (min..=max).contains(&size(default).unwrap()),
                Kind::Percent(min, max) => (min..=max).contains(&percent(default).unwrap()),
                Kind::OneOf(words) => words.contains(&default),
                Kind::Boolean => matches!(default, "true" | "false"),
                Kind::Text(syntax) | Kind::Address(syntax) => {
                    (syntax.min..=syntax.max).contains(&default.len())
                }
                _ => false,
            };
            assert!(fits, "{} {}", section.title, key.name);
        });
    }

    #[test]
    fn every_key_is_declared_once_and_documented() {
        each_key(|section, key| {
            assert_eq!(section.keys.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            assert!(key.doc.ends_with('.'), "{} {}", section.title, key.name);
            let example = toml::from_str::<toml::Table>(&format!("{} = {}", key.name, key.example));
            assert!(std::ptr::eq(section, &ROOT) || example.is_ok(), "{} {}", section.title, key.name);
        });
    }
}
