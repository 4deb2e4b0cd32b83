//! The examples, the schema and the documentation agree with what the program reads.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_config::{Config, load, parse, reference, schema};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn examples() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "examples are missing: {paths:?}");
    paths
}

fn json(text: &str) -> serde_json::Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn read(text: &str) -> Config {
    parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).config
}

#[test]
fn every_example_is_read_without_a_warning() {
    for path in examples() {
        let parsed = load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
    }
}

#[test]
fn every_example_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for path in examples() {
        let document = json(&fs::read_to_string(&path).unwrap());
        let faults: Vec<String> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
    }
}

#[test]
fn the_effective_configuration_of_every_example_is_the_same_configuration() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for path in examples() {
        let config = load(&path).unwrap().config;
        let shown = config.to_toml();
        assert_eq!(format!("{:?}", read(&shown)), format!("{config:?}"), "{shown}");
        assert!(validator.is_valid(&json(&shown)), "{shown}");
        assert!(parse("shown", &shown).unwrap().warnings.is_empty(), "{shown}");
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let smallest = fs::read_to_string(root().join("examples/smallest.toml")).unwrap();
    for more in [
        "unknown = 1",
        "hash_key = 7",
        "sticky = { cookie = \"a\", header = \"b\" }",
        "sticky = {}",
        "health = { interval = 5 }",
        "health = { kind = \"udp\" }",
        "backends_ = []",
        "keepalive = -1",
        "timeout = { connect = \"fast\" }",
        "[[route]]\npath = \"/\"",
        "[[route]]\nrespond = {}\npath = \"/\"\npath_regex = \"/\"",
        "[[route]]\nredirect = { to = \"/\", status = 305 }",
        "[[route]]\nmethod = []\npool = \"app\"",
        "[pool.\"a b\"]\nbackends = [1]",
        "[limits]\nheaders = 1001",
        "[server]\nworkers = 0",
        "protocol = \"http3\"",
        "tls = 1",
        "tls = { insecure_skip_verify = \"yes\" }",
        "[listener.s]\nbind = 1\ntls = true",
        "[listener.s]\nbind = 1\ntls.certificates = []",
        "[listener.s]\nbind = 1\nhttp = [\"3\"]",
    ] {
        let text = format!("{smallest}\n{more}\n");
        assert!(parse("test.toml", &text).is_err(), "the program takes {more}");
        assert!(!validator.is_valid(&json(&text)), "the schema takes {more}");
    }
}

#[test]
fn the_schema_allows_no_undeclared_key_anywhere() {
    fn visit(schema: &serde_json::Value, path: &str, tables: &mut usize) {
        if schema.get("type").is_some_and(|kind| kind == "object") {
            *tables += 1;
            assert_eq!(schema["additionalProperties"], false, "{path}");
        }
        match schema {
            serde_json::Value::Object(map) => {
                map.iter().for_each(|(key, below)| visit(below, &format!("{path}/{key}"), tables));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|below| visit(below, path, tables)),
            _ => {}
        }
    }
    let mut tables = 0;
    visit(&schema(), "", &mut tables);
    assert!(tables > 20, "only {tables} tables");
}

/// The names of all keys that the schema declares, those of the user's own choice aside.
fn declared(schema: &serde_json::Value, out: &mut Vec<String>) {
    if let Some(properties) = schema.get("properties").and_then(|properties| properties.as_object()) {
        out.extend(properties.keys().cloned());
    }
    match schema {
        serde_json::Value::Object(map) => {
            map.iter().filter(|(key, _)| *key != "examples").for_each(|(_, below)| declared(below, out));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|below| declared(below, out)),
        _ => {}
    }
}

#[test]
fn the_full_example_names_every_key() {
    let text = fs::read_to_string(root().join("examples/everything.toml")).unwrap();
    let mut keys = Vec::new();
    declared(&schema(), &mut keys);
    assert!(keys.len() > 80, "only {} keys", keys.len());
    for key in keys {
        let written = [format!("{key} = "), format!("[{key}"), format!(".{key}]")];
        assert!(written.iter().any(|form| text.contains(form)), "everything.toml lacks `{key}`");
    }
}

#[test]
fn the_documentation_is_what_the_keys_say() {
    let path = root().join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, reference()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == reference(), "docs/configuration.md is stale: run the tests with UPDATE_DOCS=1");
}
