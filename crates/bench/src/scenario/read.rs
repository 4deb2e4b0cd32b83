//! Reads a scenario from TOML; a fault is shown with its line.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::template::{Source, Template, Values};
use super::{Body, Planned, Scenario};

/// Bytes of a scenario at most.
const FILE_MAX: u64 = 4 << 20;
/// Bytes of a body at most.
const BODY_MAX: u64 = 64 << 20;
/// The heaviest weight.
const WEIGHT_MAX: i64 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    values: BTreeMap<String, Spanned<Value>>,
    #[serde(default)]
    request: Vec<Spanned<RawRequest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    name: Option<Spanned<String>>,
    weight: Option<Spanned<i64>>,
    method: Option<Spanned<String>>,
    path: Spanned<String>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    body: Option<Spanned<String>>,
    body_file: Option<Spanned<String>>,
}

/// What is wrong, where, and what is expected there.
struct Wrong {
    message: String,
    span: Range<usize>,
    expected: String,
}

impl Wrong {
    fn at<T>(span: Range<usize>, message: impl Into<String>, expected: impl Into<String>) -> Result<T, Self> {
        Err(Self { message: message.into(), span, expected: expected.into() })
    }
}

/// Reads a scenario. A relative `body_file` lies in the folder of the file.
///
/// # Errors
/// The first fault, drawn with its line.
pub fn read(path: &Path) -> Result<Scenario, String> {
    let name = path.display();
    let bytes = bounded(path, FILE_MAX).map_err(|why| format!("error: cannot read {name}: {why}\n"))?;
    let text = String::from_utf8(bytes).map_err(|why| format!("error: {name} is not UTF-8: {why}\n"))?;
    parse(&text, path.parent().unwrap_or(Path::new("")))
        .map_err(|wrong| draw(&name.to_string(), &text, &wrong))
}

fn parse(text: &str, folder: &Path) -> Result<Scenario, Wrong> {
    let file: File = toml::from_str(text).map_err(|why| Wrong {
        message: why.message().to_owned(),
        span: why.span().unwrap_or(0..0),
        expected: "here".into(),
    })?;
    let values =
        file.values.into_iter().map(|(name, value)| values(name, value)).collect::<Result<Vec<_>, _>>()?;
    if file.request.is_empty() {
        return Wrong::at(
            0..0,
            "the scenario has no requests",
            "write at least one [[request]] with a `path`",
        );
    }
    let mut requests: Vec<Planned> = Vec::new();
    for raw in file.request {
        let span = raw.span();
        let place = raw.get_ref().name.as_ref().map_or(span, Spanned::span);
        let request = planned(raw.into_inner(), &values, folder)?;
        if requests.iter().any(|other| other.name == request.name) {
            let message = format!("two requests have the name `{}`", request.name);
            return Wrong::at(place, message, "give each request a name of its own");
        }
        requests.push(request);
    }
    Ok(Scenario::of(requests, values))
}

fn values(name: String, value: Spanned<Value>) -> Result<Values, Wrong> {
    let span = value.span();
    let expected = "write a list, as in [\"a\", \"b\"], or { from = 1, to = 100 }";
    let wrong = |why: &str| Wrong::at(span.clone(), format!("the values `{name}` {why}"), expected);
    let source = match value.into_inner() {
        Value::Array(list) if list.is_empty() => return wrong("are an empty list"),
        Value::Array(list) => {
            let text = |value: Value| match value {
                Value::String(text) => Some(text),
                Value::Integer(number) => Some(number.to_string()),
                _ => None,
            };
            match list.into_iter().map(text).collect::<Option<Vec<_>>>() {
                Some(list) => Source::List(list),
                None => return wrong("hold something other than texts and whole numbers"),
            }
        }
        Value::Table(table) => match (table.get("from"), table.get("to"), table.len()) {
            (Some(Value::Integer(from)), Some(Value::Integer(to)), 2) if from <= to => {
                Source::Range(*from, *to)
            }
            (Some(Value::Integer(_)), Some(Value::Integer(_)), 2) => return wrong("end before they begin"),
            _ => return wrong("are no range"),
        },
        _ => return wrong("are neither a list nor a range"),
    };
    Ok(Values { name, source })
}

fn planned(raw: RawRequest, values: &[Values], folder: &Path) -> Result<Planned, Wrong> {
    let weight = match &raw.weight {
        None => 1,
        Some(weight) => match u32::try_from(*weight.get_ref()) {
            Ok(value) if (1..=WEIGHT_MAX).contains(weight.get_ref()) => value,
            _ => {
                let message = format!("the weight {} is not allowed", weight.get_ref());
                return Wrong::at(weight.span(), message, format!("write a number from 1 to {WEIGHT_MAX}"));
            }
        },
    };
    let method = match &raw.method {
        None => Method::GET,
        Some(text) => match Method::from_bytes(text.get_ref().as_bytes()) {
            Ok(method) => method,
            Err(_) => {
                return Wrong::at(
                    text.span(),
                    format!("`{}` is no method", text.get_ref()),
                    "as in GET or POST",
                );
            }
        },
    };
    let path = template(&raw.path, values)?;
    let is_path = |text: String| text.starts_with('/') && PathAndQuery::try_from(text).is_ok();
    check(&raw.path, &path, values, is_path, "a path begins with / and has no spaces")?;
    let mut headers = Vec::new();
    for (name, value) in &raw.headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Wrong::at(
                value.span(),
                format!("`{name}` is no header name"),
                "as in content-type = \"text/plain\"",
            );
        };
        let filled = template(value, values)?;
        check(value, &filled, values, |text| HeaderValue::try_from(text).is_ok(), "a header is one line")?;
        headers.push((name, filled));
    }
    let body = body(&raw, values, folder)?;
    let name = raw.name.map_or_else(|| raw.path.get_ref().clone(), Spanned::into_inner);
    Ok(Planned { name, weight, method, path, headers, body })
}

fn body(raw: &RawRequest, values: &[Values], folder: &Path) -> Result<Body, Wrong> {
    match (&raw.body, &raw.body_file) {
        (None, None) => Ok(Body::Fixed(Bytes::new())),
        (Some(text), None) => template(text, values).map(Body::Filled),
        (None, Some(file)) => match bounded(&folder.join(file.get_ref()), BODY_MAX) {
            Ok(bytes) => Ok(Body::Fixed(bytes.into())),
            Err(why) => {
                let message = format!("cannot read the body `{}`: {why}", file.get_ref());
                Wrong::at(file.span(), message, "a path, relative to the folder of the scenario")
            }
        },
        (Some(_), Some(file)) => {
            Wrong::at(file.span(), "the request has both `body` and `body_file`", "leave one of them out")
        }
    }
}

fn template(text: &Spanned<String>, values: &[Values]) -> Result<Template, Wrong> {
    Template::parse(text.get_ref(), values).or_else(|(name, _)| {
        let message = format!("`{{{name}}}` has no values");
        Wrong::at(text.span(), message, format!("write the values of `{name}` below [values]"))
    })
}

/// Checks a text with each of the values that may stand in it.
fn check(
    text: &Spanned<String>,
    template: &Template,
    values: &[Values],
    allowed: impl Fn(String) -> bool,
    expected: &str,
) -> Result<(), Wrong> {
    let some = template.used().flat_map(|at| match &values[at].source {
        Source::List(list) => list.iter().map(String::as_str).collect(),
        Source::Range(..) => vec!["1"],
    });
    for value in std::iter::once("1").chain(some) {
        let filled = template.filled_with(value);
        if !allowed(filled.clone()) {
            return Wrong::at(text.span(), format!("`{}` is not allowed", filled.escape_debug()), expected);
        }
    }
    Ok(())
}

fn bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|why| why.to_string())?.len();
    if size > max {
        return Err(format!("it has {size} bytes, more than {max}"));
    }
    fs::read(path).map_err(|why| why.to_string())
}

/// Draws the line and what is wrong there.
fn draw(name: &str, text: &str, wrong: &Wrong) -> String {
    let end =
        text[wrong.span.start.min(text.len())..].find('\n').map_or(text.len(), |at| wrong.span.start + at);
    let place = (name, wrong.span.start..wrong.span.end.min(end).max(wrong.span.start));
    let config = ariadne::Config::new().with_color(false).with_index_type(ariadne::IndexType::Byte);
    let report = ariadne::Report::build(ariadne::ReportKind::Error, place.clone())
        .with_config(config)
        .with_message(&wrong.message)
        .with_label(ariadne::Label::new(place).with_message(&wrong.expected));
    let mut out = Vec::new();
    match report.finish().write((name, ariadne::Source::from(text)), &mut out) {
        Ok(()) => String::from_utf8_lossy(&out).replacen("Error:", "error:", 1),
        Err(_) => format!("error: {name}: {}\n", wrong.message),
    }
}

#[cfg(test)]
pub(super) fn parsed(text: &str) -> Result<Scenario, String> {
    parse(text, Path::new("")).map_err(|wrong| draw("scenario.toml", text, &wrong))
}
