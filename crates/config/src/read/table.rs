//! One table of the file beside its declaration: finds values, refuses unknown keys, fills in defaults.

use std::sync::LazyLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Home, Reader};
use super::text::clip;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Span};
use crate::keys::{Absent, Group, Key, Kind, Section};
use crate::nearest::nearest;

/// A table, and what is declared of it.
pub(crate) struct Table<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) section: &'static Section,
    entries: &'a DeTable<'a>,
    /// The named table that it is, or lies in.
    home: Home<'a>,
    /// Where faults of the table as a whole are shown.
    pub(crate) at: Span,
}

impl<'a> Table<'a> {
    /// Looks at the keys of a table: unknown ones, missing ones and those that exclude one another are noted.
    pub(crate) fn new(
        reader: &'a Reader,
        section: &'static Section,
        entries: &'a DeTable<'a>,
        home: Home<'a>,
        at: Span,
    ) -> Self {
        let table = Self { reader, section, entries, home, at };
        for (key, _) in entries.iter() {
            if section.find(key.get_ref()).is_none() {
                table.refuse_key(key);
            }
        }
        for key in section.keys() {
            if matches!(key.absent, Absent::Required) && !table.has(key.name) {
                table.refuse_absence(key);
            }
        }
        for group in section.groups() {
            table.check_group(group);
        }
        table
    }

    /// The same without a look at its keys, because they were looked at before.
    pub(crate) fn read_before(
        reader: &'a Reader,
        section: &'static Section,
        entries: &'a DeTable<'a>,
        (home, at): (Home<'a>, Span),
    ) -> Self {
        Self { reader, section, entries, home, at }
    }

    /// A table without keys, which is all defaults.
    pub(crate) fn empty(reader: &'a Reader, section: &'static Section) -> Self {
        static NOTHING: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);
        Self { reader, section, entries: &NOTHING, home: Home::Process, at: 0..0 }
    }

    /// The NAME of `[listener.NAME]` and `[pool.NAME]`.
    pub(crate) fn name(&self) -> &'a str {
        match self.home {
            Home::Listener(name) | Home::Pool(name) => name,
            Home::Process => "",
        }
    }

    /// True when the file has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A table below this one that has been read, to look at it once more.
    pub(crate) fn peek(&self, key: &'static str) -> Option<Table<'a>> {
        self.value(key)?.peek()
    }

    /// Tables below this one that have been read.
    pub(crate) fn peek_all(&self, key: &'static str) -> Vec<Table<'a>> {
        self.value(key).map(|value| value.peek_all()).unwrap_or_default()
    }

    /// The texts of a list, or the keys of a table, and their places; what is no text is empty.
    pub(crate) fn parts(&self, key: &'static str) -> Vec<(&'a str, Span)> {
        self.value(key).map(|value| value.parts()).unwrap_or_default()
    }

    /// Where the value of a key is written.
    pub(crate) fn value_span(&self, key: &str) -> Option<Span> {
        self.entries.get(key).map(Spanned::span)
    }

    /// The default of a key as it is declared.
    pub(crate) fn default(&self, key: &'static str) -> Option<&'static str> {
        match self.section.key(key).absent {
            Absent::Is(default) => Some(default),
            Absent::Required | Absent::Are(_) | Absent::Means(_) => None,
        }
    }

    /// Where a key is written.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    /// The value of a key, if the file has it.
    pub(crate) fn value(&self, key: &'static str) -> Option<Value<'a>> {
        let kind = &self.section.key(key).kind;
        let (written, value) = self.entries.get_key_value(key)?;
        Some(Value::new(self.reader, kind, key, value, (self.home, written.span())))
    }

    /// Notes that a key has no effect, unless it is not written.
    pub(crate) fn warn_of(&self, key: &'static str, message: impl Into<String>, expected: &str) {
        if let Some(span) = self.key_span(key) {
            self.reader.note(Diagnostic::warning(message).at(span).with_expected(expected));
        }
    }

    /// The same with a word on what to do.
    pub(crate) fn warn_with_help(&self, key: &'static str, message: &str, expected: &str, help: &str) {
        if let Some(span) = self.key_span(key) {
            let fault = Diagnostic::warning(message).at(span);
            self.reader.note(fault.with_expected(expected).with_help(help));
        }
    }

    fn refuse_key(&self, key: &Spanned<toml::de::DeString<'a>>) {
        let name = key.get_ref();
        let fault =
            Diagnostic::error(format!("unknown key `{}` in {}", clip(name), self.title())).at(key.span());
        let known = || self.section.keys().map(|key| key.name);
        let help = if self.reader.is_full() {
            String::new()
        } else if let Some(meant) = nearest(name, known()) {
            format!("did you mean `{meant}`?")
        } else if let Some(home) = self.reader.root.and_then(|root| home_of(root, name)) {
            format!("`{name}` belongs in `{home}`")
        } else {
            format!("the keys here are {}", known().collect::<Vec<_>>().join(", "))
        };
        self.reader.note(fault.with_expected("not a key of this table").with_help(help));
    }

    fn refuse_absence(&self, key: &'static Key) {
        let written = match key.kind {
            Kind::Named(section, _) => format!("write a table `{}`", section.title),
            _ => format!("write `{} = {}`", key.name, key.example),
        };
        let fault = Diagnostic::error(format!("{} has no `{}`", self.title(), key.name)).with_help(written);
        let fault = if self.is_root() { fault } else { fault.at(self.at.clone()) };
        self.reader.note(fault.with_expected(format!(
            "`{}` is required here: {}",
            key.name,
            key.kind.expected()
        )));
    }

    fn check_group(&self, group: &Group) {
        let (keys, at_least) = match group {
            Group::AnyOf(keys) => return self.check_presence(keys),
            Group::ExactlyOne(keys) => (*keys, 1),
            Group::AtMostOne(keys) => (*keys, 0),
        };
        let mut present: Vec<(Span, &str)> =
            keys.iter().filter_map(|key| Some((self.key_span(key)?, *key))).collect();
        present.sort_by_key(|(span, _)| span.start);
        let list = keys.join("`, `");
        if present.len() < at_least {
            self.reader.note(
                Diagnostic::error(format!("{} says neither of `{list}`", self.title()))
                    .at(self.at.clone())
                    .with_expected(format!("exactly one of `{list}` is required here")),
            );
        }
        for (span, key) in present.iter().skip(1) {
            let first = present[0].1;
            self.reader.note(
                Diagnostic::error(format!("`{key}` and `{first}` exclude one another"))
                    .at(span.clone())
                    .with_expected(format!("`{first}` is there already"))
                    .with_help(format!("keep one of `{list}`")),
            );
        }
    }

    /// Notes that none of these keys is there; the first of them is shown as an example.
    fn check_presence(&self, keys: &'static [&'static str]) {
        if keys.iter().any(|key| self.has(key)) {
            return;
        }
        let list = keys.join("` nor `");
        let first = self.section.key(keys[0]);
        self.reader.note(
            Diagnostic::error(format!("{} has neither `{list}`", self.title()))
                .at(self.at.clone())
                .with_expected(format!("at least one of `{}` is required here", keys.join("`, `")))
                .with_help(format!("write `{} = {}`", first.name, first.example)),
        );
    }

    fn is_root(&self) -> bool {
        self.section.is_root()
    }

    fn title(&self) -> String {
        if self.is_root() { self.section.title.into() } else { format!("`{}`", self.section.title) }
    }
}

/// The section that a key was probably meant for.
fn home_of(root: &'static Section, name: &str) -> Option<&'static str> {
    let mut home = None;
    root.walk(&mut |section| {
        if home.is_none() && !section.is_root() && section.find(name).is_some() {
            home = Some(section.title);
        }
    });
    home
}

/// What a value of the file is, for people.
pub(crate) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
