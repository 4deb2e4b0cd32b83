//! `evenkeel explain`: where a request would go, and why. It calls the same functions as the data path, or has a running
//! process call them.

mod asking;
mod discovering;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use evenkeel_config::{Config, Listener};
use evenkeel_core::overload::OverloadStep;
use evenkeel_observe::Registry;
use evenkeel_tls::{Coverage, ServerTls};
use evenkeel_types::Time;
use serde_json::{Value, json};

use self::discovering::{Findings, discover};
use super::output::{COMMAND_LINE_WRONG, fail, print};
use super::source::{CONFIG_DEFAULT, Source};
use crate::explain::{self, Known, Question};
use crate::servers::{Derived, ServerRegistry};

/// What the exit codes mean, for `--help` and the manual page.
const EXIT_CODES: &str = "\
Exit codes:
  0  there is an answer, also if clients would get an error such as 404: `status` of --json has it
  1  the configuration has a fault, the process does not answer, or nothing like that can be asked of the listeners
  2  the command line is wrong";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Explain {
    /// The configuration file [default: evenkeel.toml]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask the running process with this admin API, which knows its servers as they are: PORT, HOST:PORT, [v6]:PORT or unix:/path
    #[arg(long, value_name = "ADDRESS", conflicts_with = "resolve")]
    admin: Option<String>,
    /// A file with the token of its admin API
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// The method, as in GET; tcp for a connection, udp for a datagram
    method: String,
    /// The URL, as in https://shop.example.com/api/cart, or a path, as in /api/cart; with tcp and udp the address, as in 127.0.0.1:5432
    url: String,
    /// A header of the request, as in 'x-canary: 1'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,
    /// With tcp: the server name that the client asks for in its TLS hello
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The listener that the request comes by; the first one if left out
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Ask the name servers for the servers that pools discover by name
    #[arg(long)]
    resolve: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// The line about the host of a path without one.
const NO_HOST: &str = "host      none: write a URL, or add -H 'host: NAME'\n";

fn header(text: &str) -> Result<String, String> {
    explain::check_header(text).map(|()| text.to_owned())
}

pub fn run(args: &Explain) -> ExitCode {
    let question = Question {
        method: args.method.clone(),
        url: args.url.clone(),
        headers: args.headers.clone(),
        client: args.client,
        sni: args.sni.clone(),
        listener: args.listener.clone(),
    };
    if let Err(why) = explain::check_url(&question) {
        fail(&why);
        return COMMAND_LINE_WRONG.into();
    }
    if let Some(address) = &args.admin {
        return match asking::ask(args, address) {
            Ok(answer) if args.json => print(&format!("{answer:#}\n")),
            Ok(answer) => print(&format!("{}{}", text(&answer), asking::servers(&answer))),
            Err(why) => fail(&why.to_string()),
        };
    }
    let source = Source { config: args.config.clone().unwrap_or_else(|| CONFIG_DEFAULT.into()) };
    let config = match source.load() {
        Ok(parsed) => parsed.config,
        Err(code) => return code,
    };
    match explain(args, &question, config) {
        Ok(answer) if args.json => print(&format!("{answer:#}\n")),
        Ok(answer) => print(&text(&answer)),
        Err(error) => fail(&error),
    }
}

fn explain(args: &Explain, question: &Question, mut config: Config) -> Result<Value, String> {
    // The command does not know which servers are up: all count as up.
    config.pools.iter_mut().for_each(|pool| pool.health = None);
    let listener = explain::listener(&config, question)?;
    let mut servers = ServerRegistry::new(Derived::of(config, None)?, Registry::new(1), Time::ZERO);
    let findings = discover(&mut servers, args.resolve)?;
    let snapshot = Arc::new(servers.snapshot());
    let known = Known { snapshot: &snapshot, coverage, now: Time::ZERO, step: OverloadStep::None };
    let mut answer = known.answer(listener, question)?;
    discovered(&mut answer, &findings);
    Ok(answer)
}

/// The names of the certificate that a client gets when it asks for this host; `None` without the files of the certificates, which
/// may be on another machine.
fn coverage(listener: &Listener, name: &str) -> Option<Coverage> {
    match ServerTls::load(listener.tls.as_ref()?, listener.http) {
        Ok(tls) => Some(tls.coverage(Some(name))),
        Err(error) => {
            eprintln!("warning: cannot read the certificates, so the answer leaves them out: {error}");
            None
        }
    }
}

/// Adds how the pool discovers servers, if it does. If this command did not ask for them, a missing server means nothing.
fn discovered(answer: &mut Value, findings: &Findings) {
    let Some(finding) = answer["pool"].as_str().and_then(|pool| findings.get(&pool.into())) else { return };
    answer["discovery"] = json!(finding.text);
    if !finding.is_asked && answer["server"].is_null() {
        answer["status"] = Value::Null;
        answer["reason"] =
            json!("the running balancer discovers the servers; this command has not asked for them");
    }
}

/// The answer for people, in the order in which a request would meet it.
fn text(answer: &Value) -> String {
    let mut text = String::new();
    let keys = [
        "listener",
        "host",
        "sni",
        "path",
        "route",
        "tls",
        "session",
        "priority",
        "sizes",
        "limits",
        "deadline",
        "mirror",
        "files",
        "file",
        "type",
        "control",
        "fallback",
        "split",
        "pool",
        "discovery",
        "cache",
        "cache_key",
        "parent",
        "server",
        "address",
        "target",
        "status",
        "location",
        "reason",
        "retry",
        "hedge",
        "breaker",
        "waits",
        "compress",
    ];
    for key in keys {
        match &answer[key] {
            Value::Null => {}
            Value::String(host) if key == "host" && host.is_empty() => text.push_str(NO_HOST),
            Value::String(value) => text.push_str(&format!("{key:<10}{value}\n")),
            value => text.push_str(&format!("{key:<10}{value}\n")),
        }
    }
    let considered = answer["considered"].as_array().map_or(&[][..], Vec::as_slice);
    if !considered.is_empty() {
        text.push_str("\nroutes considered, the most specific first:\n");
    }
    for row in considered {
        let cell = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        text.push_str(&format!("  {:<28} {:<14} {}\n", cell("route"), cell("verdict"), cell("reason")));
    }
    if let Some(others) = answer["others"].as_u64() {
        text.push_str(&format!("  and {others} more, which match less of the request\n"));
    }
    text
}
