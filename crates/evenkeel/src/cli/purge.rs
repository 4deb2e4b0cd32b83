//! `evenkeel purge`: purges cached responses of a running process.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::ask::Unanswered;
use super::find::Running;
use super::output::{fail, print};

#[derive(Debug, Args)]
pub struct Purge {
    #[command(flatten)]
    what: What,
    /// Keep the purged responses, but revalidate each before its next use; they may still be used while the servers fail
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    running: Running,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// One URL with all its variants, as in https://shop.example.com/a?b; its scheme and port do not matter
    url: Option<String>,
    /// All URLs that begin with this URL
    #[arg(long, value_name = "URL")]
    prefix: Option<String>,
    /// All URLs of a host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// All responses with this tag in Cache-Tag or Surrogate-Key
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Purge) -> ExitCode {
    match ask(args) {
        Ok(answer) if args.json => print(&format!("{answer:#}\n")),
        Ok(answer) => print(&text(&answer)),
        Err(why) => fail(&why.to_string()),
    }
}

fn ask(args: &Purge) -> Result<Value, Unanswered> {
    args.running.find()?.post("/cache/purge", &args.body())
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
    format!("purged {scope}{} ({}){outcome}\n", known("purged"), known("mode"))
}
