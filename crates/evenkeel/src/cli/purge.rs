//! `evenkeel purge`: purges cached responses of a running process.

use std::process::ExitCode;

use clap::Args;
use evenkeel_core::cache::{NameFault, Named};
use serde_json::{Value, json};

use super::change::Change;

#[derive(Debug, Args)]
pub struct Purge {
    #[command(flatten)]
    what: What,
    /// Keep the purged responses, but revalidate each before its next use; they may still be used while the servers fail
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    change: Change,
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// One URL with all its variants, as in https://shop.example.com/a?b; its scheme and port do not matter
    #[arg(value_parser = |text: &str| named(text, Named::url))]
    url: Option<String>,
    /// All URLs that begin with this URL
    #[arg(long, value_name = "URL", value_parser = |text: &str| named(text, Named::prefix))]
    prefix: Option<String>,
    /// All URLs of a host
    #[arg(long, value_name = "NAME", value_parser = |text: &str| named(text, Named::host))]
    host: Option<String>,
    /// All responses with this tag in Cache-Tag or Surrogate-Key
    #[arg(long, value_name = "TAG", value_parser = |text: &str| named(text, Named::tag))]
    tag: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
}

/// What is asked for, if the process will take it.
fn named(text: &str, read: fn(&str) -> Result<Named, NameFault>) -> Result<String, String> {
    read(text).map(|_| text.to_owned()).map_err(|fault| fault.to_string())
}

pub fn run(args: &Purge) -> ExitCode {
    args.change.carry_out(|admin| admin.post("/cache/purge", &args.body()), text)
}

impl Purge {
    fn body(&self) -> Value {
        let What { url, prefix, host, tag, all: _ } = &self.what;
        let named = [("url", url), ("prefix", prefix), ("host", host), ("tag", tag)];
        let named = named.into_iter().find_map(|(key, text)| Some((key, json!(text.as_ref()?))));
        let (key, value) = named.unwrap_or(("all", json!(true)));
        json!({ key: value, "soft": self.soft })
    }
}

/// As in `purged url shop.example.com/a (hard): 1 response in memory`.
fn text(answer: &Value) -> String {
    let part = |key: &str| answer[key].as_str();
    let known = |key: &str| part(key).unwrap_or("?");
    let scope = if known("scope") == "all" { String::new() } else { format!("{} ", known("scope")) };
    let outcome = part("outcome").map(|outcome| format!(": {outcome}")).unwrap_or_default();
    format!("purged {scope}{} ({}){outcome}", known("purged"), known("mode"))
}
