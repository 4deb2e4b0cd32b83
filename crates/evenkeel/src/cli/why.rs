//! `evenkeel why`: what happened to one request, and who was at fault, from the flight recorder of a running process.

mod story;

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use self::story::story;
use super::ask::Unanswered;
use super::find::Running;
use super::output::{fail, print};

#[derive(Debug, Args)]
pub struct Why {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    running: Running,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The id of the request, as in the field X-Request-Id of its response, in the error page and in the access log
    id: Option<String>,
    /// The last request that failed
    #[arg(long)]
    last_failed: bool,
}

/// Runs the command.
pub fn run(args: &Why) -> ExitCode {
    match ask(args) {
        Ok(record) if args.json => print(&format!("{record:#}\n")),
        Ok(record) => print(&story(&record)),
        Err(why) => fail(&why.to_string()),
    }
}

fn ask(args: &Why) -> Result<Value, Unanswered> {
    let admin = args.running.find()?;
    let id = match &args.which.id {
        Some(id) => id.clone(),
        None => {
            let failed = admin.get("/requests?failed=true&limit=1")?;
            let Some(id) = failed["requests"][0]["id"].as_str() else {
                let off = "no request is kept, because the flight recorder is off (`memory` in `[recorder]`)";
                let none = "no request that the flight recorder has kept has failed";
                let why = if failed["memory_bytes"] == 0 { off } else { none };
                return Err(Unanswered::Refused(why.into()));
            };
            id.to_owned()
        }
    };
    admin.get(&format!("/requests/{}", encoded(&id)))
}

/// Percent-encoded, as one segment of a path (RFC 3986, 2.3).
fn encoded(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // Dots too: a segment of dots alone would be another path.
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
