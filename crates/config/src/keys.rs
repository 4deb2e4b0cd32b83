//! What a declared key is: its name, the kind of its value, what holds without it, its meaning and an example. The
//! keys themselves are declared in `model`; unknown keys, ranges, the JSON Schema and the reference follow from them.

pub(crate) mod syntax;

use evenkeel_types::{Address, AddressError};

use crate::value::{show_ms, show_size};
use syntax::Syntax;

/// A table of the file.
pub(crate) struct Section {
    /// How people call it: `[pool.NAME]`, or `health` within another one.
    pub(crate) title: &'static str,
    /// One paragraph on what it is for.
    pub(crate) doc: &'static str,
    /// What may stand in it.
    pub(crate) members: &'static [Member],
    /// Keys that exclude one another.
    pub(crate) groups: &'static [Group],
}

/// Keys of which some number must be there.
pub(crate) enum Group {
    AnyOf(&'static [&'static str]),
    ExactlyOne(&'static [&'static str]),
    AtMostOne(&'static [&'static str]),
}

/// What a field of a struct is made from.
pub(crate) enum Member {
    /// Its key.
    Key(Key),
    /// Several keys, which stand in the same table of the file.
    Flat(&'static Section),
    /// No key of its own: whether this one is written.
    Written,
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
    /// These values.
    Are(&'static [&'static str]),
    /// What this says.
    Means(&'static str),
}

/// Reads an address.
pub(crate) type AddressForm = fn(&str) -> Result<Address, AddressError>;

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
    Address(&'static Syntax, AddressForm),
    /// An address, or `off`.
    AddressOrOff(&'static Syntax, AddressForm),
    /// One of two words: for true, and for false.
    TrueOrFalse(&'static str, &'static str),
    /// At most so many, at least one.
    List(&'static Kind, usize),
    /// At most so many, maybe none.
    ListOrNone(&'static Kind, usize),
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

/// The title of the whole file.
const ROOT_TITLE: &str = "the file";

/// Up to this long may anything take: one day.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// A duration that cannot be zero.
pub(crate) const DURATION: Kind = Kind::Duration(1, DAY_MS);

/// A field that is one key.
pub(crate) const fn key(kind: Kind, absent: Absent, example: &'static str) -> Member {
    Member::Key(Key { name: "", kind, absent, doc: "", example })
}

/// A field that several keys make.
pub(crate) const fn flat(keys: &'static Section) -> Member {
    Member::Flat(keys)
}

/// Without the space that a doc comment begins with.
pub(crate) const fn trimmed(doc: &'static str) -> &'static str {
    match doc.as_bytes() {
        [b' ', ..] => doc.split_at(1).1,
        _ => doc,
    }
}

impl Member {
    pub(crate) const fn called(self, name: &'static str, doc: &'static str) -> Self {
        match self {
            Self::Key(key) => Self::Key(Key { name, doc: trimmed(doc), ..key }),
            other => other,
        }
    }
}

impl Section {
    /// All keys, in the order of the declaration.
    pub(crate) fn keys(&'static self) -> Box<dyn Iterator<Item = &'static Key>> {
        Box::new(self.members.iter().flat_map(|member| match member {
            Member::Key(key) => Box::new(std::iter::once(key)),
            Member::Flat(section) => section.keys(),
            Member::Written => Box::new(std::iter::empty()) as Box<dyn Iterator<Item = _>>,
        }))
    }

    /// Keys that exclude one another.
    pub(crate) fn groups(&'static self) -> impl Iterator<Item = &'static Group> {
        let below = self.members.iter().filter_map(|member| match member {
            Member::Flat(section) => Some(section.groups),
            Member::Key(_) | Member::Written => None,
        });
        self.groups.iter().chain(below.flatten())
    }

    /// The declaration of a key that the code itself names.
    pub(crate) fn key(&'static self, name: &str) -> &'static Key {
        self.find(name).expect("the reader asks only for declared keys")
    }

    /// The declaration of a key, if there is one.
    pub(crate) fn find(&'static self, name: &str) -> Option<&'static Key> {
        self.members.iter().find_map(|member| match member {
            Member::Key(key) => Some(key).filter(|key| key.name == name),
            Member::Flat(section) => section.find(name),
            Member::Written => None,
        })
    }

    /// True for the whole file.
    pub(crate) fn is_root(&'static self) -> bool {
        self.title == ROOT_TITLE
    }

    /// This section and all below it, each once, in the order of the document.
    pub(crate) fn walk(&'static self, visit: &mut dyn FnMut(&'static Section)) {
        let mut seen = Vec::new();
        self.walk_new(&mut seen, visit);
    }

    fn walk_new(&'static self, seen: &mut Vec<&'static str>, visit: &mut dyn FnMut(&'static Section)) {
        if seen.contains(&self.title) {
            return;
        }
        seen.push(self.title);
        visit(self);
        for key in self.keys() {
            if let Some(below) = key.kind.section() {
                below.walk_new(seen, visit);
            }
        }
    }
}

impl Kind {
    /// The section that a value of this kind is, or may be, or is a list of.
    pub(crate) fn section(&self) -> Option<&'static Section> {
        match self {
            Self::Section(section) | Self::Named(section, _) | Self::Tables(section, _) => Some(section),
            Self::List(inner, _)
            | Self::ListOrNone(inner, _)
            | Self::OneOrList(inner, _)
            | Self::Map(_, inner, _) => inner.section(),
            Self::Either(one, other) => one.section().or_else(|| other.section()),
            _ => None,
        }
    }

    /// The word that stands for no value.
    pub(crate) fn none(&self) -> Option<&'static str> {
        match self {
            Self::DurationOrOff(..) | Self::SizeOrOff(..) | Self::AddressOrOff(..) => Some("off"),
            Self::IntegerOr(_, _, word) => Some(word),
            _ => None,
        }
    }

    /// The kind of one entry of a list.
    pub(crate) fn one(&'static self) -> &'static Kind {
        match self {
            Self::List(inner, _) | Self::ListOrNone(inner, _) | Self::OneOrList(inner, _) => inner,
            other => other,
        }
    }

    /// True when a value of this kind is written in quotes.
    pub(crate) fn is_quoted(&self) -> bool {
        match self {
            Self::Integer(..) | Self::Number(_) | Self::Decimal(..) | Self::Boolean => false,
            Self::List(inner, _) | Self::ListOrNone(inner, _) | Self::OneOrList(inner, _) => {
                inner.is_quoted()
            }
            _ => true,
        }
    }

    /// What is expected, for people: "a duration from 1ms to 24h".
    pub(crate) fn expected(&'static self) -> String {
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
            Self::TrueOrFalse(yes, no) => format!("one of \"{yes}\", \"{no}\""),
            Self::Text(syntax) | Self::Address(syntax, _) | Self::AddressOrOff(syntax, _) => {
                syntax.name.into()
            }
            Self::List(inner, max) | Self::ListOrNone(inner, max) => {
                format!("a list of at most {max}, each {}", inner.expected())
            }
            Self::OneOrList(inner, _) => format!("{}, or a list of such", inner.expected()),
            Self::Map(name, inner, _) => {
                format!("a table whose keys are {}s, each with {}", name.plain(), inner.expected())
            }
            Self::Either(one, other) => format!("{}, or {}", one.expected(), other.expected()),
            Self::Section(section) => {
                let keys: Vec<&str> = section.keys().map(|key| key.name).collect();
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
    use crate::declare::Declared;
    use crate::model::Config;
    use crate::value::{duration_ms, percent, rate, size};

    fn each_key(mut visit: impl FnMut(&'static Section, &'static Key)) {
        Config::SECTION.walk(&mut |section| section.keys().for_each(|key| visit(section, key)));
    }

    fn fits(kind: &'static Kind, default: &str) -> bool {
        match kind {
            Kind::Integer(min, max) => (*min..=*max).contains(&default.parse().unwrap()),
            Kind::Number(numbers) => numbers.contains(&default.parse().unwrap()),
            Kind::IntegerOr(min, max, word) => {
                default == *word || (*min..=*max).contains(&default.parse().unwrap())
            }
            Kind::Duration(min, max) => (*min..=*max).contains(&duration_ms(default).unwrap()),
            Kind::DurationOrOff(min, max) => {
                default == "off" || (*min..=*max).contains(&duration_ms(default).unwrap())
            }
            Kind::SizeOrOff(min, max) => default == "off" || (*min..=*max).contains(&size(default).unwrap()),
            Kind::Rate(min, max) => (*min..=*max).contains(&u64::from(rate(default).unwrap().count)),
            Kind::Size(min, max) => (*min..=*max).contains(&size(default).unwrap()),
            Kind::Percent(min, max) => (*min..=*max).contains(&percent(default).unwrap()),
            Kind::OneOf(words) => words.contains(&default),
            Kind::TrueOrFalse(yes, no) => [yes, no].contains(&&default),
            Kind::Boolean => matches!(default, "true" | "false"),
            Kind::Text(syntax) => {
                (syntax.min..=syntax.max).contains(&default.len()) && (syntax.form)(default).is_ok()
            }
            Kind::Address(_, form) | Kind::AddressOrOff(_, form) => form(default).is_ok(),
            Kind::List(inner, _) | Kind::OneOrList(inner, _) => fits(inner, default),
            Kind::Either(one, other) => fits(one, default) || fits(other, default),
            _ => false,
        }
    }

    #[test]
    fn every_declared_default_is_one_of_its_kind() {
        each_key(|section, key| {
            let defaults = match key.absent {
                Absent::Is(default) => &[default][..],
                Absent::Are(defaults) => defaults,
                Absent::Required | Absent::Means(_) => return,
            };
            for default in defaults {
                let number = matches!(key.kind.one(), Kind::Either(Kind::Integer(..), _));
                assert!(number || fits(&key.kind, default), "{} {}", section.title, key.name);
            }
        });
    }

    #[test]
    fn every_key_is_declared_once_and_documented() {
        each_key(|section, key| {
            assert_eq!(section.keys().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            assert!(key.doc.ends_with('.'), "{} {}", section.title, key.name);
            let example = toml::from_str::<toml::Table>(&format!("{} = {}", key.name, key.example));
            assert!(section.is_root() || example.is_ok(), "{} {}", section.title, key.name);
        });
    }
}
