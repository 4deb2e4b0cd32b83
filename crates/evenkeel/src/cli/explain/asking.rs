//! `evenkeel explain --admin`: the same question to a running process, which knows its servers as they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Explain;
use crate::cli::ask::Unanswered;
use crate::cli::find::Running;
use crate::cli::status::{list, word};

/// The answer of the process at `address`.
pub(super) fn ask(args: &Explain, address: &str) -> Result<Value, Unanswered> {
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in args.headers.iter().filter_map(|line| line.split_once(':')) {
        headers.entry(name).or_default().push(value.trim());
    }
    let mut question =
        json!({ "method": args.method, "url": args.url, "headers": headers, "client": args.client });
    for (key, value) in [("sni", &args.sni), ("listener", &args.listener)] {
        if let Some(value) = value {
            question[key] = json!(value);
        }
    }
    let running = Running::at(address, args.config.clone(), args.token_file.clone());
    running.find()?.post("/explain", &question)
}

/// The servers of the pool as they are, and why each was chosen or not.
pub(super) fn servers(answer: &Value) -> String {
    let mut text = String::new();
    for row in list(answer, "candidates") {
        if text.is_empty() {
            text.push_str("\nservers, as they are now:\n");
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<28} {}", word(row, "server"), word(row, "why"));
    }
    if let Some(others) = answer["other_candidates"].as_u64() {
        let _ = writeln!(text, "  and {others} more");
    }
    text
}
