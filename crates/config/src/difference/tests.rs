//! Nothing that differs is passed over: every key of the file is changed in turn; and the sentences are as operators read them.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

use super::{Difference, difference, fixed_changes, keep_fixed};
use crate::declare::Declared;
use crate::model::Config;
use crate::{Effect, parse};

fn read(text: &str) -> Config {
    parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).config
}

fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files.into_iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn sentences(difference: &Difference) -> Vec<&str> {
    difference.changes.iter().map(|change| change.sentence.as_str()).collect()
}

#[test]
fn a_configuration_does_not_differ_from_itself() {
    for text in examples() {
        let config = read(&text);
        assert_eq!(difference(&config, &config), Difference::default());
        let shown = read(&config.to_toml());
        assert_eq!(sentences(&difference(&config, &shown)), [""; 0]);
    }
}

/// What else a value might be: some of it is refused, but some is read.
fn others(value: &Value) -> Vec<Value> {
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
    match value {
        Value::Integer(number) => vec![Value::from(number + 1), Value::from(number - 1)],
        Value::Float(number) => vec![Value::from(number + 0.5)],
        Value::Boolean(value) => vec![Value::from(!value)],
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            let mut others =
                texts(&["7s", "70ms", "7KiB", "70MiB", "7%", "7/s", "500", "5xx", "2xx", "504", "2"]);
            others.extend(texts(&["1.1", "10.7.0.1:77", "127.0.0.1:77", "10.7.0.0/16", "10.7.0.1"]));
            others
        }
        Value::String(text) => {
            let mut others = vec![Value::from(format!("{text}x")), Value::from(7)];
            others.extend(texts(&[
                "off",
                "off.example",
                "/other/*",
                "/other",
                "http://127.0.0.1:77",
                "all",
                "random",
                "maglev",
                "header:x-other",
                "127.0.0.1:77",
                "x-other",
                "GET",
                "first",
                "server",
                "own",
                "low",
                "normal",
                "high",
                "v1",
                "v2",
                "http1",
                "http2",
                "tcp",
                "http",
                "intermediate",
                "modern",
                "optional",
                "required",
                "allow",
                "refuse",
                "keep",
                "drop",
                "serve",
                "abort",
                "json",
                "combined",
                "lru",
                "fifo",
                "aimd",
                "gradient",
                "reset",
                "connect",
                "7s",
                "primary",
                "replica",
                "least",
                "local",
                "host",
                "cookie:other",
                "br",
                "gzip",
                "app",
                "api",
                "web",
                "grpc",
                "redis",
                "*.other.example",
                "dns:53",
                "redis://127.0.0.2:6379/1",
                "https://other{path}",
            ]));
            others
        }
        Value::Array(items) => {
            (0..items.len()).map(|at| Value::from([&items[..at], &items[at + 1..]].concat())).collect()
        }
        Value::Table(_) => {
            ["file = \"x.toml\"", "srv = \"_x._tcp.y\"", "app_cookie = \"x\"", "kind = \"tcp\""]
                .map(|text| Value::from(text.parse::<Table>().unwrap()))
                .to_vec()
        }
        Value::Datetime(_) => Vec::new(),
    }
}

/// Each value of a table with its keys from the top; indices of lists stand between them.
fn paths(value: &Value, path: &[Value], out: &mut Vec<Vec<Value>>) {
    if !path.is_empty() {
        out.push(path.to_vec());
    }
    let mut below = |step: Value, value: &Value| paths(value, &[path, &[step]].concat(), out);
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| below(Value::from(key.as_str()), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| below(Value::from(at as i64), value));
        }
        _ => {}
    }
}

fn at<'v>(value: &'v mut Value, path: &[Value]) -> &'v mut Value {
    path.iter().fold(value, |value, step| match step {
        Value::Integer(at) => &mut value.as_array_mut().unwrap()[*at as usize],
        key => value.as_table_mut().unwrap().get_mut(key.as_str().unwrap()).unwrap(),
    })
}

/// `value` with the one at `path` as another one, or without it.
fn with(value: &Value, path: &[Value], other: Option<Value>) -> Option<Config> {
    let mut changed = value.clone();
    match other {
        Some(other) => *at(&mut changed, path) = other,
        None => {
            let (last, above) = path.split_last()?;
            at(&mut changed, above).as_table_mut()?.remove(last.as_str()?);
        }
    }
    parse("changed.toml", &changed.as_table()?.to_string()).ok().map(|parsed| parsed.config)
}

fn declared_keys() -> BTreeSet<&'static str> {
    let mut keys = BTreeSet::new();
    Config::SECTION.walk(&mut |section| keys.extend(section.keys().map(|key| key.name)));
    keys
}

#[test]
fn a_change_of_any_key_is_seen() {
    let text = examples().into_iter().max_by_key(String::len).unwrap();
    let value = Value::from(text.parse::<Table>().unwrap());
    let config = read(&value.as_table().unwrap().to_string());
    let mut all = Vec::new();
    paths(&value, &[], &mut all);
    let mut changed = BTreeSet::new();
    for path in &all {
        let old = at(&mut value.clone(), path).clone();
        let others = others(&old).into_iter().filter(|other| *other != old).map(Some);
        for other in others.chain([None]) {
            let Some(new) = with(&value, path, other.clone()) else { continue };
            if format!("{new:?}") == format!("{config:?}") {
                continue;
            }
            let seen = difference(&config, &new);
            assert!(!seen.is_empty(), "{path:?} as {other:?} is passed over");
            let is_fixed = seen.changes.iter().any(|change| change.effect == Effect::Restart);
            assert_eq!(is_fixed, !fixed_changes(&config, &new).is_empty(), "{path:?} as {other:?}: {seen:?}");
            let kept = keep_fixed(&config, new.clone());
            assert_eq!(fixed_changes(&config, &kept), [""; 0], "{path:?} as {other:?}");
            assert_eq!(sentences(&difference(&kept, &read(&kept.to_toml()))), [""; 0], "{path:?}");
            let back = difference(&new, &config);
            assert!(!back.is_empty(), "{path:?} back from {other:?} is passed over");
            let names = path.iter().filter_map(Value::as_str);
            changed.extend(names.map(str::to_owned));
            let is_table = other.as_ref().and_then(Value::as_table);
            changed.extend(is_table.into_iter().flat_map(|table| table.keys().cloned()));
            // Of tables every form is tried.
            if is_table.is_none() {
                break;
            }
        }
    }
    let missed: Vec<&str> = declared_keys().into_iter().filter(|key| !changed.contains(*key)).collect();
    assert_eq!(missed, [""; 0], "no test changes these keys");
}

const OLD: &str = r#"
[server]
workers = 2
[limits]
connections = 1000
[listener.web]
bind = [":80", "127.0.0.1:8080"]
trusted_proxies = ["10.0.0.0/8"]
[listener.old]
bind = "127.0.0.1:81"
[[route]]
path = "/api/*"
pool = "green"
[[route]]
path = "/shop/*"
pool = "green"
timeout = { request = "30s" }
[[route]]
name = "split"
path = "/release"
split = [{ pool = "blue", weight = 95 }, { pool = "green", weight = 5 }]
[pool.green]
backends = ["10.0.0.1:3000", { address = "10.0.0.2:3000", name = "big", weight = 3 }]
[pool.blue]
backends = ["10.0.1.1:3000"]
[pool.gone]
backends = ["10.0.2.1:3000"]
"#;

const NEW: &str = r#"
[server]
workers = 4
[limits]
connections = 2000
[listener.web]
bind = [":80", "127.0.0.1:8081"]
backlog = 100
trusted_proxies = ["192.168.0.0/16"]
[listener.new]
bind = "127.0.0.1:81"
[[route]]
path = "/api/*"
pool = "blue"
[[route]]
path = "/sohp/*"
pool = "green"
timeout = { request = "30s" }
[[route]]
name = "split"
path = "/release"
split = [{ pool = "blue", weight = 50 }, { pool = "green", weight = 50 }]
[[route]]
path = "/health"
respond = { status = 204 }
[pool.green]
backends = [{ address = "10.0.0.2:3000", name = "big", weight = 5 }, "10.0.0.3:3000"]
slow_start = "30s"
[pool.blue]
backends = ["10.0.1.1:3000"]
health = { kind = "tcp" }
[pool.fresh]
backends = ["10.0.3.1:3000", "10.0.3.2:3000"]
"#;

#[test]
fn the_sentences_say_what_an_operator_cares_about() {
    let seen = difference(&read(OLD), &read(NEW));
    let text: Vec<String> = seen
        .changes
        .iter()
        .map(|change| format!("{:<15} {}", change.effect.word(), change.sentence))
        .collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/difference.txt");
    let text = format!("{}\n", text.join("\n"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap_or_default());
}
