//! Values that hold several others: lists, named tables, tables with keys of the user's own choice.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Home;
use super::table::{Table, found};
use super::text::{Refused, clip};
use super::value::{Value, check_name};
use crate::diagnostic::{Diagnostic, Span};
use crate::keys::{Kind, Section};

impl<'a> Value<'a> {
    /// The values of a list, or the one value where a list may be left out.
    pub(crate) fn items(&self) -> Vec<Value<'a>> {
        let (inner, max, one) = match self.kind {
            Kind::List(inner, max) | Kind::ListOrNone(inner, max) => (*inner, *max, false),
            Kind::OneOrList(inner, max) => (*inner, *max, true),
            _ => return self.undeclared().unwrap_or_default(),
        };
        let item = |value: &'a DeValue<'a>, span: Span| Value {
            reader: self.reader,
            kind: inner,
            home: self.home,
            key: self.key,
            value,
            key_span: span.clone(),
            span,
            part: true,
        };
        match self.value {
            DeValue::Array(list) if list.is_empty() && matches!(self.kind, Kind::ListOrNone(..)) => {
                Some(Vec::new())
            }
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

    /// The tables `[key.NAME]` or `[[key]]`, in file order.
    pub(crate) fn tables(&self) -> Vec<Table<'a>> {
        match self.kind {
            Kind::Named(section, max) => self.named(section, *max),
            Kind::Tables(section, max) => self.numbered(section, *max),
            _ => self.undeclared().unwrap_or_default(),
        }
    }

    fn named(&self, section: &'static Section, max: usize) -> Vec<Table<'a>> {
        let DeValue::Table(entries) = self.value else {
            let help = format!("write `{}`, with a name of your own choice", section.title);
            return self.refuse_type(&help).unwrap_or_default();
        };
        self.check_count(entries.len(), max);
        in_file_order(entries)
            .into_iter()
            .take(max)
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
                let home = if self.key == "pool" { Home::Pool(name) } else { Home::Listener(name) };
                Some(Table::new(self.reader, section, below, home, key.span()))
            })
            .collect()
    }

    fn numbered(&self, section: &'static Section, max: usize) -> Vec<Table<'a>> {
        let help = format!("write `{}`, with two brackets", section.title);
        let DeValue::Array(list) = self.value else {
            return self.refuse_type(&help).unwrap_or_default();
        };
        self.check_count(list.len(), max);
        list.iter()
            .take(max)
            .filter_map(|value| match value.get_ref() {
                DeValue::Table(entries) => {
                    Some(Table::new(self.reader, section, entries, self.home, value.span()))
                }
                other => {
                    let fault = format!("an entry of `{}` is {}, not a table", self.key, found(other));
                    self.reader.note(Diagnostic::error(fault).at(value.span()).with_help(help.clone()));
                    None
                }
            })
            .collect()
    }

    /// The entries of a table with keys of the user's own choice, in file order.
    pub(crate) fn pairs(&self) -> Vec<(&'a str, Span, Value<'a>)> {
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
                let value = Value::new(self.reader, inner, self.key, value, (self.home, key.span()));
                (name, key.span(), Value { part: true, ..value })
            })
            .collect()
    }

    /// Header fields or query parameters, and their places; none stands twice.
    pub(crate) fn fields(&self) -> Vec<((String, String), Span)> {
        let Kind::Map(syntax, ..) = self.kind else { return self.undeclared().unwrap_or_default() };
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for (name, span, value) in self.pairs() {
            let refuse = |message: String, help: String| {
                let fault = Diagnostic::error(message)
                    .at(span.clone())
                    .with_expected(format!("expected {}", syntax.name));
                self.reader.note(if help.is_empty() { fault } else { fault.with_help(help) });
            };
            let name = match (syntax.form)(name) {
                Ok(name) => name,
                Err(Refused(message, help)) => {
                    refuse(message, help);
                    continue;
                }
            };
            if !seen.insert(name.clone()) {
                refuse(
                    format!("`{}` stands twice here", clip(&name)),
                    "upper and lower case are the same".into(),
                );
            }
            if let Some(value) = value.formed() {
                out.push(((name, value), span.clone()));
            }
        }
        out
    }

    /// The table without a look at what is in it, because that was looked at before.
    pub(crate) fn peek(&self) -> Option<Table<'a>> {
        let section = self.kind.section()?;
        match self.value {
            DeValue::Table(entries) => {
                Some(Table::read_before(self.reader, section, entries, (self.home, self.key_span.clone())))
            }
            _ => None,
        }
    }

    /// The same of one table or several.
    pub(crate) fn peek_all(&self) -> Vec<Table<'a>> {
        match self.value {
            DeValue::Array(list) => list
                .iter()
                .filter_map(|one| Value { value: one.get_ref(), ..self.as_kind(self.kind) }.peek())
                .collect(),
            _ => self.peek().into_iter().collect(),
        }
    }

    /// The texts of a list, or the keys of a table, and their places; what is no text is empty.
    pub(crate) fn parts(&self) -> Vec<(&'a str, Span)> {
        let text = |value: &'a DeValue<'a>| match value {
            DeValue::String(text) => &**text,
            _ => "",
        };
        match self.value {
            DeValue::Array(list) => list.iter().map(|one| (text(one.get_ref()), one.span())).collect(),
            DeValue::Table(entries) => {
                in_file_order(entries).into_iter().map(|(key, _)| (&**key.get_ref(), key.span())).collect()
            }
            one => vec![(text(one), self.span.clone())],
        }
    }

    fn check_count(&self, count: usize, max: usize) {
        if count > max {
            let fault = format!("`{}` has {count} entries, and {max} are possible", self.key);
            self.reader.note(Diagnostic::error(fault).at(self.key_span.clone()));
        }
    }
}

type Entry<'a> = (&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// The table keeps its entries in the order of the alphabet; their places tell that of the file.
fn in_file_order<'a>(entries: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut out: Vec<Entry<'a>> = entries.iter().collect();
    out.sort_by_key(|(key, _)| key.span().start);
    out
}
