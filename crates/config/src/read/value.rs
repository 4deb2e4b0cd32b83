//! One value of the file beside its declared kind: reads it, or notes what was expected instead.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::Address;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{FileLink, Home, Reader};
use super::table::{Table, found};
use super::text::{Read, Refused, address_refused, clip};
use crate::diagnostic::{Diagnostic, Span};
use crate::keys::Kind;
use crate::keys::syntax::{NAME, Syntax};
use crate::nearest::nearest;
use crate::owner::FileOwner;
use crate::value::{Rate, duration_ms, percent, rate, size};

/// A value, and what is declared of it.
pub(crate) struct Value<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) kind: &'static Kind,
    pub(crate) home: Home<'a>,
    /// The key that it is, or is part of, the value of.
    pub(super) key: &'static str,
    pub(super) value: &'a DeValue<'a>,
    pub(crate) span: Span,
    /// Where faults of a table are shown: at its key, since its own span may be many lines.
    pub(super) key_span: Span,
    /// True when it is one of the values of a list or table.
    pub(super) part: bool,
}

impl<'a> Value<'a> {
    pub(crate) fn new(
        reader: &'a Reader,
        kind: &'static Kind,
        key: &'static str,
        value: &'a Spanned<DeValue<'a>>,
        (home, key_span): (Home<'a>, Span),
    ) -> Self {
        Self { reader, kind, home, key, value: value.get_ref(), span: value.span(), key_span, part: false }
    }

    /// A duration within the declared range.
    pub(crate) fn duration(&self) -> Option<Duration> {
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
    pub(crate) fn rate(&self) -> Option<Rate> {
        let Kind::Rate(min, max) = self.kind else { return self.undeclared() };
        let DeValue::String(text) = self.value else { return self.refuse_type(RATE_HELP) };
        match rate(text) {
            Some(rate) if (*min..=*max).contains(&u64::from(rate.count)) => Some(rate),
            Some(_) => self.refuse_range(),
            None => self.refuse(format!("`{}` is not a rate", clip(text)), RATE_HELP),
        }
    }

    /// A size in bytes within the declared range.
    fn size(&self) -> Option<u64> {
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
    fn integer(&self) -> Option<u64> {
        let DeValue::Integer(number) = self.value else { return self.refuse_type("") };
        let fits = |number: &u64| match self.kind {
            Kind::Integer(min, max) | Kind::IntegerOr(min, max, _) => (*min..=*max).contains(number),
            Kind::Number(numbers) => numbers.contains(number),
            _ => false,
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        number.filter(fits).or_else(|| self.refuse_range())
    }

    /// An integer, a size in bytes or a percentage in hundredths.
    pub(crate) fn number(&self) -> Option<u64> {
        match self.kind {
            Kind::Size(..) | Kind::SizeOrOff(..) => self.size(),
            Kind::Percent(..) => self.percent(),
            _ => self.integer(),
        }
    }

    /// A percentage within the declared range, in hundredths.
    fn percent(&self) -> Option<u64> {
        let Kind::Percent(min, max) = self.kind else { return self.undeclared() };
        let DeValue::String(text) = self.value else { return self.refuse_type(PERCENT_HELP) };
        match percent(text) {
            Some(hundredths) if (*min..=*max).contains(&hundredths) => Some(hundredths),
            Some(_) => self.refuse_range(),
            None => self.refuse(format!("`{}` is not a percentage", clip(text)), PERCENT_HELP),
        }
    }

    /// A number within the declared range, with or without a fraction.
    pub(crate) fn decimal(&self) -> Option<f64> {
        let Kind::Decimal(min, max) = self.kind else { return self.undeclared() };
        let number = match self.value {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse::<f64>().ok(),
            _ => return self.refuse_type("without quotes"),
        };
        number.filter(|number| (*min..=*max).contains(number)).or_else(|| self.refuse_range())
    }

    /// True when the value is this word, where the kind has one that stands for "none".
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.value, DeValue::String(text) if text == word)
    }

    /// One of the declared words.
    pub(crate) fn word(&self) -> Option<&'static str> {
        let two;
        let words: &[&'static str] = match self.kind {
            Kind::OneOf(words) => words,
            Kind::TrueOrFalse(yes, no) => {
                two = [*yes, *no];
                &two
            }
            _ => return self.undeclared(),
        };
        let DeValue::String(text) = self.value else { return self.refuse_type("") };
        let word = words.iter().find(|word| *word == text);
        if word.is_none() {
            let help = nearest(text, words.iter().copied()).map(|meant| format!("did you mean \"{meant}\"?"));
            self.refuse::<()>(format!("`{}` is no `{}`", clip(text), self.key), help.unwrap_or_default());
        }
        word.copied()
    }

    /// True or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.refuse_type("without quotes"),
        }
    }

    /// A text of the declared length; its form is the caller's to check.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let (Kind::Text(syntax) | Kind::Address(syntax, _) | Kind::AddressOrOff(syntax, _)) = self.kind
        else {
            return self.undeclared();
        };
        let DeValue::String(text) = self.value else { return self.refuse_type(syntax.doc) };
        self.fitting(syntax, text).then_some(&**text)
    }

    /// A text, or a port written as an integer.
    pub(crate) fn address_text(&self) -> Option<Cow<'a, str>> {
        match self.value {
            DeValue::Integer(number) if number.radix() == 10 => Some(Cow::Borrowed(number.as_str())),
            _ => self.text().map(Cow::Borrowed),
        }
    }

    /// A name of the user's own choice.
    pub(crate) fn name(&self) -> Option<&'a str> {
        let name = self.text()?;
        check_name(self.reader, name, &self.span).then_some(name)
    }

    /// True when the value is a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// True when the value is a string.
    pub(crate) fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// True when the value is `true` or `false`.
    pub(crate) fn is_boolean(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    /// True when the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// The form that stands for a table, if the value has that one.
    pub(crate) fn short(&self) -> Option<Value<'a>> {
        match self.kind {
            Kind::Either(short, _) if !self.is_table() => Some(self.as_kind(short)),
            _ => None,
        }
    }

    /// The same value as another kind, which it may be as well.
    pub(crate) fn as_kind(&self, kind: &'static Kind) -> Value<'a> {
        Value { kind, span: self.span.clone(), key_span: self.key_span.clone(), ..*self }
    }

    /// A table of the declared section.
    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let (Kind::Section(section) | Kind::Either(_, Kind::Section(section))) = self.kind else {
            return self.undeclared();
        };
        match self.value {
            DeValue::Table(entries) => {
                Some(Table::new(self.reader, section, entries, self.home, self.key_span.clone()))
            }
            _ => self.refuse_type(""),
        }
    }

    /// A text in the form that its syntax asks for.
    pub(crate) fn formed(&self) -> Option<String> {
        let Kind::Text(syntax) = self.kind else { return self.undeclared() };
        self.read(syntax.form)
    }

    /// The path of a file, relative to the folder of the configuration file unless it is absolute.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.file_of(self.key)
    }

    /// The same, where the value stands for a table whose `key` it is.
    pub(crate) fn file_of(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.reader.folder.join(self.formed()?);
        let owner = match self.home {
            Home::Process => FileOwner::Process,
            Home::Listener(name) => FileOwner::Listener(name.into()),
            Home::Pool(name) => FileOwner::Pool(name.into()),
        };
        let link = FileLink { owner, key, path: path.clone(), at: self.span.clone() };
        self.reader.links().files.push(link);
        Some(path)
    }

    /// Notes that the value is wrong; `help` may be empty.
    pub(crate) fn refuse<T>(&self, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        let help = help.into();
        let fault = Diagnostic::error(message).at(self.span.clone()).with_expected(self.kind_expected());
        self.reader.note(if help.is_empty() { fault } else { fault.with_help(help) });
        None
    }

    pub(crate) fn refuse_type<T>(&self, help: &str) -> Option<T> {
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

    pub(super) fn fitting(&self, syntax: &Syntax, text: &str) -> bool {
        let fits = (syntax.min..=syntax.max).contains(&text.len());
        if text.is_empty() && !fits {
            self.refuse::<()>(format!("`{}` is empty", self.key), syntax.doc);
        } else if !fits {
            let help = format!("{} It may have {} to {} bytes.", syntax.doc, syntax.min, syntax.max);
            self.refuse::<()>(format!("`{}` has {} bytes", self.key, text.len()), help);
        }
        fits
    }

    pub(super) fn kind_expected(&self) -> String {
        format!("expected {}", self.kind.expected())
    }

    /// The code asks for something else than what `keys` declares; the tests of every key would show it.
    pub(super) fn undeclared<T>(&self) -> Option<T> {
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
pub(super) fn check_name(reader: &Reader, name: &str, span: &Span) -> bool {
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

impl Value<'_> {
    /// Reads the text by `form`, and notes the fault if it does not have it.
    pub(crate) fn read<T>(&self, form: impl FnOnce(&str) -> Read<T>) -> Option<T> {
        let text = self.text()?;
        form(text).map_or_else(|Refused(message, help)| self.refuse(message, help), Some)
    }

    /// Reads an address by the declared form; it may be a port written as an integer.
    pub(crate) fn address(&self) -> Option<Address> {
        let (Kind::Address(_, form) | Kind::AddressOrOff(_, form)) = self.kind else { return None };
        let text = self.address_text()?;
        form(&text).map_or_else(
            |fault| {
                let Refused(message, help) = address_refused(&text, &fault);
                self.refuse(message, help)
            },
            Some,
        )
    }
}
