//! One value of the file beside its declared kind: reads it, or notes what was expected instead.

use std::borrow::Cow;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Reader;
use super::table::{Table, clip, found};
use crate::diagnostic::{Diagnostic, Span};
use crate::keys::Kind;
use crate::keys::syntax::{NAME, Syntax};
use crate::model::Rate;
use crate::nearest::nearest;
use crate::value::{duration_ms, percent, rate, size};

/// A value, and what is declared of it.
pub(super) struct Value<'a> {
    pub(super) reader: &'a Reader,
    kind: &'static Kind,
    /// The key that it is, or is part of, the value of.
    key: &'static str,
    value: &'a DeValue<'a>,
    pub(super) span: Span,
    /// Where faults of a table are shown: at its key, since its own span may be many lines.
    key_span: Span,
    /// True when it is one of the values of a list or table.
    part: bool,
}

impl<'a> Value<'a> {
    pub(super) fn new(
        reader: &'a Reader,
        kind: &'static Kind,
        key: &'static str,
        value: &'a Spanned<DeValue<'a>>,
        key_span: Span,
    ) -> Self {
        Self { reader, kind, key, value: value.get_ref(), span: value.span(), key_span, part: false }
    }

    /// A duration within the declared range.
    pub(super) fn duration(&self) -> Option<Duration> {
        let (Kind::Duration(min, max) | Kind::DurationOrOff(min, max)) = self.kind else {
            return self.undeclared();
        };
        let DeValue::String(text) = self.value else { return self.refuse_type(DURATION_HELP) };
        match duration_ms(text) {
            Some(ms) if (*min..=*max).contains(&ms) => Some(Duration::from_millis(ms)),
            Some(_) => self.refuse_range(),
            None => self.refuse(format!("`{}` is not a duration", clip(text)), DURATION_HELP),
        }
    }

    /// A rate within the declared range.
    pub(super) fn rate(&self) -> Option<Rate> {
        let Kind::Rate(min, max) = self.kind else { return self.undeclared() };
        let DeValue::String(text) = self.value else { return self.refuse_type(RATE_HELP) };
        match rate(text) {
            Some(rate) if (*min..=*max).contains(&u64::from(rate.count)) => Some(rate),
            Some(_) => self.refuse_range(),
            None => self.refuse(format!("`{}` is not a rate", clip(text)), RATE_HELP),
        }
    }

    /// A size in bytes within the declared range.
    pub(super) fn size(&self) -> Option<u64> {
        let (Kind::Size(min, max) | Kind::SizeOrOff(min, max)) = self.kind else { return self.undeclared() };
        let bytes = match self.value {
            DeValue::String(text) => match size(text) {
                Some(bytes) => bytes,
                None => return self.refuse(format!("`{}` is not a size", clip(text)), SIZE_HELP),
            },
            DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(bytes) => bytes,
                Err(_) => return self.refuse_range(),
            },
            _ => return self.refuse_type(SIZE_HELP),
        };
        if (*min..=*max).contains(&bytes) { Some(bytes) } else { self.refuse_range() }
    }

    /// An integer within the declared range.
    pub(super) fn integer(&self) -> Option<u64> {
        let DeValue::Integer(number) = self.value else { return self.refuse_type("") };
        let fits = |number: &u64| match self.kind {
            Kind::Integer(min, max) | Kind::IntegerOr(min, max, _) => (*min..=*max).contains(number),
            Kind::Number(numbers) => numbers.contains(number),
            _ => false,
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        number.filter(fits).or_else(|| self.refuse_range())
    }

    /// A percentage within the declared range, in hundredths.
    pub(super) fn percent(&self) -> Option<u32> {
        let Kind::Percent(min, max) = self.kind else { return self.undeclared() };
        let DeValue::String(text) = self.value else { return self.refuse_type(PERCENT_HELP) };
        match percent(text) {
            Some(hundredths) if (*min..=*max).contains(&hundredths) => u32::try_from(hundredths).ok(),
            Some(_) => self.refuse_range(),
            None => self.refuse(format!("`{}` is not a percentage", clip(text)), PERCENT_HELP),
        }
    }

    /// A number within the declared range, with or without a fraction.
    pub(super) fn decimal(&self) -> Option<f64> {
        let Kind::Decimal(min, max) = self.kind else { return self.undeclared() };
        let number = match self.value {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse::<f64>().ok(),
            _ => return self.refuse_type("without quotes"),
        };
        number.filter(|number| (*min..=*max).contains(number)).or_else(|| self.refuse_range())
    }

    /// True when the value is this word, where the kind has one that stands for "none".
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.value, DeValue::String(text) if text == word)
    }

    /// One of the declared words.
    pub(super) fn word(&self) -> Option<&'static str> {
        let Kind::OneOf(words) = self.kind else { return self.undeclared() };
        let DeValue::String(text) = self.value else { return self.refuse_type("") };
        let word = words.iter().find(|word| *word == text);
        if word.is_none() {
            let help = nearest(text, words.iter().copied()).map(|meant| format!("did you mean \"{meant}\"?"));
            self.refuse::<()>(format!("`{}` is no `{}`", clip(text), self.key), help.unwrap_or_default());
        }
        word.copied()
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.refuse_type("without quotes"),
        }
    }

    /// A text of the declared length; its form is the caller's to check.
    pub(super) fn text(&self) -> Option<&'a str> {
        let (Kind::Text(syntax) | Kind::Address(syntax)) = self.kind else { return self.undeclared() };
        let DeValue::String(text) = self.value else { return self.refuse_type(syntax.doc) };
        self.fitting(syntax, text).then_some(&**text)
    }

    /// A text, or a port written as an integer.
    pub(super) fn address_text(&self) -> Option<Cow<'a, str>> {
        match self.value {
            DeValue::Integer(number) if number.radix() == 10 => Some(Cow::Borrowed(number.as_str())),
            _ => self.text().map(Cow::Borrowed),
        }
    }

    /// A name of the user's own choice.
    pub(super) fn name(&self) -> Option<&'a str> {
        let name = self.text()?;
        check_name(self.reader, name, &self.span).then_some(name)
    }

    /// True when the value is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// True when the value is a string.
    pub(super) fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// The same value as the first or the second of the two kinds that it may be.
    pub(super) fn either(self, second: bool) -> Value<'a> {
        match self.kind {
            Kind::Either(first, _) if !second => Value { kind: first, ..self },
            Kind::Either(_, other) => Value { kind: other, ..self },
            _ => self,
        }
    }

    /// A table of the declared section.
    pub(super) fn table(&self) -> Option<Table<'a>> {
        let Kind::Section(section) = self.kind else { return self.undeclared() };
        match self.value {
            DeValue::Table(entries) => Some(Table::new(self.reader, section, entries, self.key_span.clone())),
            _ => self.refuse_type(""),
        }
    }

    /// The values of a list, or the one value where a list may be left out.
    pub(super) fn items(&self) -> Vec<Value<'a>> {
        let (inner, max, one) = match self.kind {
            Kind::List(inner, max) => (*inner, *max, false),
            Kind::OneOrList(inner, max) => (*inner, *max, true),
            _ => return self.undeclared().unwrap_or_default(),
        };
        let item = |value: &'a DeValue<'a>, span: Span| Value {
            reader: self.reader,
            kind: inner,
            key: self.key,
            value,
            key_span: span.clone(),
            span,
            part: true,
        };
        match self.value {
            DeValue::Array(list) if list.is_empty() => {
                self.refuse(format!("`{}` is empty", self.key), "leave the key out, or name at least one")
            }
            DeValue::Array(list) if list.len() > max => {
                self.refuse(format!("`{}` has {} entries, and {max} are possible", self.key, list.len()), "")
            }
            DeValue::Array(list) => {
                Some(list.iter().map(|value| item(value.get_ref(), value.span())).collect())
            }
            _ if one => Some(vec![item(self.value, self.span.clone())]),
            _ => self.refuse_type("write `[...]`"),
        }
        .unwrap_or_default()
    }

    /// The tables `[key.NAME]`, in file order.
    pub(super) fn named(&self) -> Vec<(&'a str, Table<'a>)> {
        let Kind::Named(section, max) = self.kind else { return self.undeclared().unwrap_or_default() };
        let DeValue::Table(entries) = self.value else {
            let help = format!("write `{}`, with a name of your own choice", section.title);
            return self.refuse_type(&help).unwrap_or_default();
        };
        self.check_count(entries.len(), *max);
        in_file_order(entries)
            .into_iter()
            .take(*max)
            .filter_map(|(key, value)| {
                let name: &'a str = key.get_ref();
                check_name(self.reader, name, &key.span());
                let DeValue::Table(below) = value.get_ref() else {
                    let fault =
                        format!("`{}.{}` is {}, not a table", self.key, clip(name), found(value.get_ref()));
                    let help = format!("write `{}`, with a name of your own choice", section.title);
                    self.reader.note(
                        Diagnostic::error(fault)
                            .at(key.span())
                            .with_expected(self.kind_expected())
                            .with_help(help),
                    );
                    return None;
                };
                Some((name, Table::new(self.reader, section, below, key.span())))
            })
            .collect()
    }

    /// The tables `[[key]]`.
    pub(super) fn tables(&self) -> Vec<Table<'a>> {
        let Kind::Tables(section, max) = self.kind else { return self.undeclared().unwrap_or_default() };
        let help = format!("write `{}`, with two brackets", section.title);
        let DeValue::Array(list) = self.value else {
            return self.refuse_type(&help).unwrap_or_default();
        };
        self.check_count(list.len(), *max);
        list.iter()
            .take(*max)
            .filter_map(|value| match value.get_ref() {
                DeValue::Table(entries) => Some(Table::new(self.reader, section, entries, value.span())),
                other => {
                    let fault = format!("an entry of `{}` is {}, not a table", self.key, found(other));
                    self.reader.note(Diagnostic::error(fault).at(value.span()).with_help(help.clone()));
                    None
                }
            })
            .collect()
    }

    /// The entries of a table with keys of the user's own choice, in file order.
    pub(super) fn pairs(&self) -> Vec<(&'a str, Span, Value<'a>)> {
        let Kind::Map(syntax, inner, max) = self.kind else { return self.undeclared().unwrap_or_default() };
        let DeValue::Table(entries) = self.value else {
            return self.refuse_type("write `{ name = \"value\" }`").unwrap_or_default();
        };
        self.check_count(entries.len(), *max);
        in_file_order(entries)
            .into_iter()
            .take(*max)
            .filter(|(key, _)| {
                let at = Value { span: key.span(), key_span: key.span(), ..*self };
                at.fitting(syntax, key.get_ref())
            })
            .map(|(key, value)| {
                let name: &'a str = key.get_ref();
                let value = Value::new(self.reader, inner, self.key, value, key.span());
                (name, key.span(), Value { part: true, ..value })
            })
            .collect()
    }

    /// Notes that the value is wrong; `help` may be empty.
    pub(super) fn refuse<T>(&self, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        let help = help.into();
        let fault = Diagnostic::error(message).at(self.span.clone()).with_expected(self.kind_expected());
        self.reader.note(if help.is_empty() { fault } else { fault.with_help(help) });
        None
    }

    fn refuse_type<T>(&self, help: &str) -> Option<T> {
        let of = if self.part { "a value of " } else { "" };
        self.refuse(format!("{of}`{}` is {}", self.key, found(self.value)), help)
    }

    fn refuse_range<T>(&self) -> Option<T> {
        let written = match self.value {
            DeValue::String(text) => clip(text),
            DeValue::Integer(number) => clip(&number.to_string()),
            DeValue::Float(number) => clip(number.as_str()),
            _ => String::new(),
        };
        self.refuse(format!("`{} = {written}` is out of range", self.key), "")
    }

    fn fitting(&self, syntax: &Syntax, text: &str) -> bool {
        let fits = (syntax.min..=syntax.max).contains(&text.len());
        if text.is_empty() && !fits {
            self.refuse::<()>(format!("`{}` is empty", self.key), syntax.doc);
        } else if !fits {
            let help = format!("{} It may have {} to {} bytes.", syntax.doc, syntax.min, syntax.max);
            self.refuse::<()>(format!("`{}` has {} bytes", self.key, text.len()), help);
        }
        fits
    }

    fn check_count(&self, count: usize, max: usize) {
        if count > max {
            let fault = format!("`{}` has {count} entries, and {max} are possible", self.key);
            self.reader.note(Diagnostic::error(fault).at(self.key_span.clone()));
        }
    }

    fn kind_expected(&self) -> String {
        format!("expected {}", self.kind.expected())
    }

    /// The code asks for something else than what `keys` declares; the tests of every key would show it.
    fn undeclared<T>(&self) -> Option<T> {
        debug_assert!(false, "`{}` is not declared as what it is read as", self.key);
        None
    }
}

const DURATION_HELP: &str = "write a number and its unit, as in \"5s\", \"100ms\", \"1m30s\" or \"1h\"";
const PERCENT_HELP: &str = "write a whole number and its sign, as in \"50%\"";
const RATE_HELP: &str = "write a number and what it is in, as in \"10/s\", \"600/m\" or \"1000/h\"";
const SIZE_HELP: &str =
    "write a number of bytes, or a number and its unit, as in \"32KiB\", \"10MiB\" or \"1GB\"";

/// Notes a name that has other characters than a name may have.
fn check_name(reader: &Reader, name: &str, span: &Span) -> bool {
    let valid = (NAME.min..=NAME.max).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !valid {
        let fault = Diagnostic::error(format!("`{}` cannot be a name", clip(name)));
        reader.note(
            fault.at(span.clone()).with_expected(format!("expected {}", NAME.name)).with_help(NAME.doc),
        );
    }
    valid
}

type Entry<'a> = (&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// The table keeps its entries in the order of the alphabet; their places tell that of the file.
fn in_file_order<'a>(entries: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut out: Vec<Entry<'a>> = entries.iter().collect();
    out.sort_by_key(|(key, _)| key.span().start);
    out
}
