//! One table of the file beside its declaration: finds values, refuses unknown keys, fills in defaults.

use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::PoolName;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::text::file;
use super::value::Value;
use super::{FileLink, Reader};
use crate::diagnostic::{Diagnostic, Span};
use crate::keys::{Absent, Group, Key, Kind, ROOT, Section};
use crate::model::FileOwner;
use crate::nearest::nearest;
use crate::value::{duration_ms, percent, size};

/// A table, and what is declared of it.
pub(super) struct Table<'a> {
    pub(super) reader: &'a Reader,
    section: &'static Section,
    entries: &'a DeTable<'a>,
    /// Where faults of the table as a whole are shown.
    pub(super) at: Span,
}

impl<'a> Table<'a> {
    /// Looks at the keys of a table: unknown ones, missing ones and those that exclude one another are noted.
    pub(super) fn new(
        reader: &'a Reader,
        section: &'static Section,
        entries: &'a DeTable<'a>,
        at: Span,
    ) -> Self {
        let table = Self { reader, section, entries, at };
        for (key, _) in entries.iter() {
            if section.find(key.get_ref()).is_none() {
                table.refuse_key(key);
            }
        }
        for key in section.keys {
            if matches!(key.absent, Absent::Required) && !table.has(key.name) {
                table.refuse_absence(key);
            }
        }
        for group in section.groups {
            table.check_group(group);
        }
        table
    }

    /// True when the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The path of a file, relative to the folder of the configuration file unless it is absolute.
    pub(super) fn file(&self, owner: &FileOwner, key: &'static str) -> Option<PathBuf> {
        let value = self.value(key)?;
        let path = self.reader.folder.join(value.read(file)?);
        let link = FileLink { owner: owner.clone(), key, path: path.clone(), at: value.span.clone() };
        self.reader.links().files.push(link);
        Some(path)
    }

    /// Where a key is written.
    pub(super) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    /// The value of a key, if the file has it.
    pub(super) fn value(&self, key: &'static str) -> Option<Value<'a>> {
        let kind = &self.section.key(key).kind;
        let (written, value) = self.entries.get_key_value(key)?;
        Some(Value::new(self.reader, kind, key, value, written.span()))
    }

    /// A table below this one, if the file has it and it is one.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.value(key)?.table()
    }

    /// The tables `[key.NAME]`, in file order.
    pub(super) fn named(&self, key: &'static str) -> impl Iterator<Item = (&'a str, Table<'a>)> + use<'a> {
        self.value(key).map(|value| value.named()).unwrap_or_default().into_iter()
    }

    /// Reads the table `key` by `read`; where the file has none, an empty one, which is all defaults.
    pub(super) fn with<T>(&self, key: &'static str, read: impl FnOnce(&Table<'_>) -> T) -> T {
        if let Some(table) = self.table(key) {
            return read(&table);
        }
        let section = self.section.key(key).kind.section().expect("a declared table");
        read(&Table { reader: self.reader, section, entries: &DeTable::new(), at: self.at.clone() })
    }

    /// Reads each entry of a list by `read`; those that are faulty are left out.
    pub(super) fn list<T>(&self, key: &'static str, read: impl Fn(Value<'a>) -> Option<T>) -> Vec<T> {
        self.value(key).map(|value| value.items()).unwrap_or_default().into_iter().filter_map(read).collect()
    }

    /// The name of a pool that this table sends requests to.
    pub(super) fn pool_use(&self, key: &'static str) -> Option<PoolName> {
        let value = self.value(key)?;
        let name = value.name()?;
        self.reader.links().pool_uses.push((name.into(), value.span.clone()));
        Some(name.into())
    }

    /// A duration, or its default.
    pub(super) fn duration(&self, key: &'static str) -> Duration {
        self.value(key).and_then(|value| value.duration()).unwrap_or_else(|| {
            Duration::from_millis(duration_ms(self.default(key)).expect("a declared duration"))
        })
    }

    /// An integer, or its default.
    pub(super) fn integer(&self, key: &'static str) -> u64 {
        self.value(key)
            .and_then(|value| value.integer())
            .unwrap_or_else(|| self.default(key).parse().expect("a declared integer"))
    }

    /// A number of things, or its default.
    pub(super) fn count(&self, key: &'static str) -> usize {
        usize::try_from(self.integer(key)).unwrap_or(usize::MAX)
    }

    /// A number of bytes held in memory, or its default.
    pub(super) fn bytes(&self, key: &'static str) -> usize {
        usize::try_from(self.size(key)).unwrap_or(usize::MAX)
    }

    /// An integer that the declared range keeps small, or its default.
    pub(super) fn small(&self, key: &'static str) -> u32 {
        u32::try_from(self.integer(key)).expect("the declared range fits")
    }

    /// A size in bytes, or its default.
    pub(super) fn size(&self, key: &'static str) -> u64 {
        self.value(key)
            .and_then(|value| value.size())
            .unwrap_or_else(|| size(self.default(key)).expect("a declared size"))
    }

    /// A percentage in hundredths, or its default.
    pub(super) fn percent(&self, key: &'static str) -> u32 {
        self.value(key).and_then(|value| value.percent()).unwrap_or_else(|| {
            let default = percent(self.default(key)).and_then(|hundredths| u32::try_from(hundredths).ok());
            default.expect("a declared percentage")
        })
    }

    /// One of the declared words, or the default.
    pub(super) fn word(&self, key: &'static str) -> &'static str {
        self.value(key).and_then(|value| value.word()).unwrap_or_else(|| self.default(key))
    }

    /// True or false, or the default.
    pub(super) fn boolean(&self, key: &'static str) -> bool {
        self.value(key).and_then(|value| value.boolean()).unwrap_or_else(|| self.default(key) == "true")
    }

    /// The default of a key as it is declared.
    pub(super) fn default(&self, key: &'static str) -> &'static str {
        match self.section.key(key).absent {
            Absent::Is(default) => default,
            Absent::Required | Absent::Means(_) => "",
        }
    }

    fn refuse_key(&self, key: &Spanned<toml::de::DeString<'a>>) {
        let name = key.get_ref();
        let fault =
            Diagnostic::error(format!("unknown key `{}` in {}", clip(name), self.title())).at(key.span());
        let known = || self.section.keys.iter().map(|key| key.name);
        let help = if self.reader.is_full() {
            String::new()
        } else if let Some(meant) = nearest(name, known()) {
            format!("did you mean `{meant}`?")
        } else if let Some(home) = home_of(name) {
            format!("`{name}` belongs into `{home}`")
        } else {
            format!("the keys here are {}", known().collect::<Vec<_>>().join(", "))
        };
        self.reader.note(fault.with_expected("not a key of this table").with_help(help));
    }

    fn refuse_absence(&self, key: &Key) {
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

    fn is_root(&self) -> bool {
        std::ptr::eq(self.section, &ROOT)
    }

    fn title(&self) -> String {
        if self.is_root() { self.section.title.into() } else { format!("`{}`", self.section.title) }
    }
}

/// Text from the file within a message: not more of it than a person wants to see.
pub(super) fn clip(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let mut out: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push('…');
    }
    out
}

/// The section that a key was probably meant for.
fn home_of(name: &str) -> Option<&'static str> {
    let mut home = None;
    ROOT.walk(&mut |section| {
        if home.is_none() && !std::ptr::eq(section, &ROOT) && section.find(name).is_some() {
            home = Some(section.title);
        }
    });
    home
}

/// What a value of the file is, for people.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
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
