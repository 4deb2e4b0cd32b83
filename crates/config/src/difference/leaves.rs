//! Two tables of TOML, compared value by value, and how a change of one value is said.

use toml::{Table, Value};

use super::change::{Change, Subject};
use super::effect::Effect;
use crate::show::{name, quote};

/// Characters of a value that a sentence shows.
const SHOWN_MAX: usize = 160;

/// A value that differs.
pub(super) struct Leaf {
    /// Its keys from the top, as in `rate_limit[1].rate`.
    pub(super) path: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// All values that differ. A table that is there on one side alone is one value.
pub(super) fn leaves(before: &Table, after: &Table) -> Vec<Leaf> {
    let mut out = Vec::new();
    tables("", before, after, &mut out);
    out
}

fn tables(path: &str, before: &Table, after: &Table, out: &mut Vec<Leaf>) {
    let only_after = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(only_after) {
        let path = if path.is_empty() { name(key) } else { format!("{path}.{}", name(key)) };
        values(path, before.get(key), after.get(key), out);
    }
}

fn values(path: String, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<Leaf>) {
    match (before, after) {
        (Some(Value::Table(before)), Some(Value::Table(after))) => tables(&path, before, after, out),
        (Some(Value::Array(old)), Some(Value::Array(new))) if are_alike(old, new) => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                values(format!("{path}[{at}]"), Some(old), Some(new), out);
            }
        }
        (before, after) if before != after => {
            out.push(Leaf { path, before: before.cloned(), after: after.cloned() });
        }
        _ => {}
    }
}

/// True for lists of as many tables.
fn are_alike(old: &[Value], new: &[Value]) -> bool {
    old.len() == new.len() && old.iter().chain(new).all(Value::is_table)
}

impl Leaf {
    /// The change that this is, of `subject`; `name` stands before the key in the sentence.
    pub(super) fn change(self, subject: Subject, name: &str, effect: Effect) -> Change {
        let sentence = format!("{name}{}", self.describe());
        let written = |value: Option<Value>| value.map(|value| value.to_string());
        let (before, after) = (written(self.before), written(self.after));
        Change { subject, key: self.path, before, after, sentence, effect }
    }

    /// The change in words.
    fn describe(&self) -> String {
        let path = &self.path;
        match (&self.before, &self.after) {
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                format!("{path}: {}", describe_lists(before, after))
            }
            (Some(before), Some(after)) => format!("{path}: {} -> {}", shown(before), shown(after)),
            (None, Some(after)) => format!("{path} is set: {}", shown(after)),
            (Some(before), None) => format!("{path} is no longer set; it was {}", shown(before)),
            (None, None) => format!("{path} changes"),
        }
    }
}

fn describe_lists(before: &[Value], after: &[Value]) -> String {
    let come: Vec<String> = after.iter().filter(|it| !before.contains(it)).map(shown).collect();
    let gone: Vec<String> = before.iter().filter(|it| !after.contains(it)).map(shown).collect();
    let verb = |of: &[String]| if of.len() == 1 { "is" } else { "are" };
    let come_text = format!("{} {} added", come.join(", "), verb(&come));
    let gone_text = format!("{} {} removed", gone.join(", "), verb(&gone));
    clip(&match (come.is_empty(), gone.is_empty()) {
        (true, true) if before.len() == after.len() => "the same, in another order".into(),
        (true, true) => "an entry is repeated more or less often".into(),
        (false, true) => come_text,
        (true, false) => gone_text,
        (false, false) => format!("{come_text}, {gone_text}"),
    })
}

/// A value in a sentence: plain where that cannot be misread.
fn shown(value: &Value) -> String {
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    clip(&match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quote(text),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{} = {}", name(key), shown(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    })
}

fn clip(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.into();
    }
    let start: String = text.chars().take(SHOWN_MAX).collect();
    format!("{start}...")
}
