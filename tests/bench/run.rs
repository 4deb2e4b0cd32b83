//! Runs of `evenkeel bench`, and what they report as JSON.

use std::path::Path;

use serde_json::Value;

use crate::support::{Folder, Origin, cli};

/// What a run ended with.
pub struct Run {
    /// Its exit code.
    pub code: i32,
    /// The JSON.
    pub json: Value,
}

/// Runs it with these arguments. The machine that tests run on is busy, so a late start is no reason to be invalid.
pub fn run(arguments: &[&str]) -> Run {
    let folder = Folder::new();
    let file = folder.path("result.json");
    let mut all = vec!["bench", "--json", &file];
    if arguments.iter().any(|argument| ["-R", "--ramp"].contains(argument)) {
        all.extend(["--late-max", "10s"]);
    }
    all.extend(arguments);
    let outcome = cli(&all);
    let said = format!("{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
    assert!(Path::new(&file).exists(), "{said}");
    let text = std::fs::read_to_string(file).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}: {said}"));
    Run { code: outcome.code.unwrap(), json }
}

/// The URL of a server.
pub fn url(origin: &Origin, path: &str) -> String {
    format!("http://{}{path}", origin.address())
}

/// A number of the JSON, by its JSON pointer.
pub fn number(json: &Value, pointer: &str) -> f64 {
    let value = json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json}"));
    value.as_f64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}
