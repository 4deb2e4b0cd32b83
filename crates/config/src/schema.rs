//! The JSON Schema of the file, made from the declared keys, for editors that complete and check as one types.

use serde_json::{Map, Value, json};

use crate::declare::Declared;
use crate::keys::syntax::{NAME, Syntax};
use crate::keys::{Absent, Group, Key, Kind, Section};
use crate::model::Config;

/// What a duration looks like.
const DURATION: &str = "^([0-9]+(d|h|m|s|ms))+$";

/// What a percentage looks like.
const PERCENT: &str = "^[0-9]+%$";

/// What a rate looks like.
const RATE: &str = "^[0-9]+/[smh]$";

/// What a size looks like.
const SIZE: &str = "^[0-9]+( *(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB))?$";

/// The schema (JSON Schema 2020-12). What it accepts may still be refused: it knows neither ranges of durations nor
/// what refers to what.
pub fn schema() -> Value {
    let mut schema = section(Config::SECTION);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("The configuration of Evenkeel");
    schema
}

fn section(section: &'static Section) -> Value {
    let properties: Map<String, Value> =
        section.keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        section.keys().filter(|key| matches!(key.absent, Absent::Required)).map(|key| key.name).collect();
    let mut out = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !section.doc.is_empty() {
        out["description"] = json!(section.doc);
    }
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    let groups: Vec<Value> = section.groups().map(group).collect();
    if !groups.is_empty() {
        out["allOf"] = json!(groups);
    }
    out
}

fn group(group: &Group) -> Value {
    let one_each = |keys: &[&str]| keys.iter().map(|key| json!({ "required": [key] })).collect::<Vec<_>>();
    match group {
        Group::AnyOf(keys) => json!({ "anyOf": one_each(keys) }),
        Group::ExactlyOne(keys) => json!({ "oneOf": one_each(keys) }),
        Group::AtMostOne(keys) => {
            let mut choices = one_each(keys);
            choices.push(json!({ "not": { "anyOf": one_each(keys) } }));
            json!({ "oneOf": choices })
        }
    }
}

fn property(key: &'static Key) -> Value {
    let mut out = kind(&key.kind);
    out["description"] = json!(key.doc);
    if let Absent::Is(default) = key.absent {
        out["default"] =
            default.parse().ok().filter(|_| !key.kind.is_quoted()).unwrap_or_else(|| json!(default));
    }
    if let Absent::Are(defaults) = key.absent {
        out["default"] = json!(defaults);
    }
    if let Some(example) = example(key) {
        out["examples"] = json!([example]);
    }
    out
}

fn example(key: &Key) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("x = {}", key.example)).ok()?;
    serde_json::to_value(table.get("x")?).ok()
}

fn kind(kind: &'static Kind) -> Value {
    let integer = |min: u64, max: u64| json!({ "type": "integer", "minimum": min, "maximum": max });
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Integer(min, max) => integer(*min, *max),
        Kind::Number(numbers) => json!({ "enum": numbers }),
        Kind::IntegerOr(min, max, word) => json!({ "anyOf": [integer(*min, *max), { "const": word }] }),
        Kind::Rate(..) => pattern(RATE),
        Kind::Duration(..) => pattern(DURATION),
        Kind::DurationOrOff(..) => json!({ "anyOf": [pattern(DURATION), { "const": "off" }] }),
        Kind::Size(min, max) => json!({ "anyOf": [pattern(SIZE), integer(*min, *max)] }),
        Kind::SizeOrOff(min, max) => {
            json!({ "anyOf": [pattern(SIZE), integer(*min, *max), { "const": "off" }] })
        }
        Kind::Percent(..) => pattern(PERCENT),
        Kind::Decimal(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Text(syntax) => text(syntax),
        Kind::TrueOrFalse(yes, no) => json!({ "enum": [yes, no] }),
        Kind::Address(syntax, _) | Kind::AddressOrOff(syntax, _) => {
            json!({ "anyOf": [text(syntax), integer(0, 65_535)] })
        }
        Kind::List(inner, max) => list(inner, *max),
        Kind::ListOrNone(inner, max) => {
            json!({ "type": "array", "maxItems": max, "items": self::kind(inner) })
        }
        Kind::OneOrList(inner, max) => json!({ "anyOf": [self::kind(inner), list(inner, *max)] }),
        Kind::Map(name, inner, max) => keyed(name.pattern.unwrap_or("."), &self::kind(inner), *max),
        Kind::Either(one, other) => json!({ "anyOf": [self::kind(one), self::kind(other)] }),
        Kind::Section(section) => self::section(section),
        Kind::Named(section, max) => keyed(NAME.pattern.unwrap_or("."), &self::section(section), *max),
        Kind::Tables(section, max) => {
            json!({ "type": "array", "maxItems": max, "items": self::section(section) })
        }
    }
}

fn text(syntax: &Syntax) -> Value {
    let mut out = json!({ "type": "string", "minLength": syntax.min, "maxLength": syntax.max });
    if let Some(pattern) = syntax.pattern {
        out["pattern"] = json!(pattern);
    }
    out
}

fn list(inner: &'static Kind, max: usize) -> Value {
    json!({ "type": "array", "minItems": 1, "maxItems": max, "items": kind(inner) })
}

fn keyed(pattern: &str, inner: &Value, max: usize) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "patternProperties": { pattern: inner },
        "maxProperties": max,
    })
}
