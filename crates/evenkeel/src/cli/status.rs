//! `evenkeel status`: what a running process does, problems first.

use std::process::ExitCode;

use clap::Args;
use evenkeel_types::one_line;
use serde_json::{Value, json};

use super::find::Running;
use super::output::{fail, print};
use super::table::Table;

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    running: Running,
    /// Print the answer of the admin API as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Status) -> ExitCode {
    match args.running.find().and_then(|admin| admin.get("/status")) {
        Ok(status) if args.json => print(&format!("{status:#}\n")),
        Ok(status) => print(&text(&status)),
        Err(why) => fail(&why.to_string()),
    }
}

fn text(status: &Value) -> String {
    let mut text = format!("{}{}\n{}", head(status), on_trial(status), problems(status));
    let mut listeners = Table::new(&["LISTENER", "ADDRESSES"]);
    for listener in list(status, "listeners") {
        let addresses: Vec<_> = list(listener, "addresses").filter_map(Value::as_str).collect();
        listeners.row([word(listener, "name"), addresses.join(" ")]);
    }
    text.push_str(&format!("\n{}", listeners.render("")));
    for pool in list(status, "pools") {
        text.push_str(&format!("\n{}{}", pool_line(pool), servers([pool], false).render("  ")));
    }
    text
}

fn head(status: &Value) -> String {
    let config = status["config"].as_str().map_or("no configuration file".into(), str::to_owned);
    let leaving = if status["leaving"] == true { ", leaving" } else { "" };
    let (totals, requests) = (&status["totals"], number(&status["totals"], "requests"));
    format!(
        "evenkeel {}, pid {}, {config}, up {}, generation {}{leaving}\n\
         {requests} requests, {}, {}; {} in flight, {} connections\n",
        word(status, "version"),
        number(status, "pid"),
        duration(&status["uptime_seconds"]),
        number(status, "generation"),
        errors(totals),
        latency(totals),
        number(status, "requests_in_flight"),
        number(status, "connections"),
    )
}

/// That the configuration goes back by itself, if it does.
fn on_trial(status: &Value) -> String {
    let seconds = status["awaiting_confirmation"]["seconds_left"].as_f64();
    seconds.map_or_else(String::new, |seconds| {
        format!("the configuration is on trial, goes back in {seconds:.0} s unless it is confirmed\n")
    })
}

fn pool_line(pool: &Value) -> String {
    let servers = list(pool, "servers").count();
    let panic = if pool["panic"] == true { ", panic: ejected servers are used as well" } else { "" };
    format!(
        "pool {} ({}): {} of {servers} servers usable, {} requests, {}, {}{panic}\n",
        word(pool, "name"),
        word(pool, "algorithm"),
        number(pool, "usable"),
        number(pool, "requests"),
        errors(pool),
        latency(pool),
    )
}

/// The servers of some pools.
pub(super) fn servers<'v>(pools: impl IntoIterator<Item = &'v Value>, names_pool: bool) -> Table {
    let heading = [
        "POOL",
        "SERVER",
        "ADDRESS",
        "STATE",
        "FOR",
        "WEIGHT",
        "IN FLIGHT",
        "REQUESTS",
        "ERRORS",
        "P50",
        "P95",
        "REASON",
    ];
    let mut table = Table::new(if names_pool { &heading } else { &heading[1..] });
    for pool in pools {
        for server in list(pool, "servers") {
            let cells = [
                word(pool, "name"),
                word(server, "id"),
                word(server, "address"),
                word(server, "state"),
                duration(&server["since_seconds"]),
                weight(server),
                number(server, "in_flight").to_string(),
                number(server, "requests").to_string(),
                number(server, "errors").to_string(),
                milliseconds(server, "p50"),
                milliseconds(server, "p95"),
                word(server, "reason"),
            ];
            table.row(cells.into_iter().skip(usize::from(!names_pool)));
        }
    }
    table
}

/// What is wrong, the worst first.
fn problems(status: &Value) -> String {
    let Some(problems) = status["problems"].as_array() else {
        return "the process does not say what is wrong, because it is of an older version\n".into();
    };
    if problems.is_empty() {
        return "no problem\n".into();
    }
    let mut text = String::from("problems\n");
    for problem in problems {
        let since = |key: &Value| key.as_f64().unwrap_or_default();
        let age = json!(since(&status["at"]) - since(&problem["since"]));
        let (severity, what) = (word(problem, "severity"), word(problem, "what"));
        text.push_str(&format!("  {severity:<8}  {what}, for {}\n", duration(&age)));
    }
    text
}

/// The members of a list.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

/// A text, without what could steer a terminal.
pub(super) fn word(value: &Value, key: &str) -> String {
    one_line(value[key].as_str().unwrap_or("-"))
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_default()
}

/// The weight that is set; also with what it counts now, if that is another.
fn weight(server: &Value) -> String {
    let (set, now) = (number(server, "weight"), server["effective_weight"].as_f64().unwrap_or_default());
    if (set as f64 - now).abs() < 0.001 { set.to_string() } else { format!("{now} of {set}") }
}

fn errors(of: &Value) -> String {
    let (requests, errors) = (number(of, "requests"), number(of, "errors"));
    let share = if requests == 0 { 0.0 } else { errors as f64 / requests as f64 * 100.0 };
    format!("{share:.2} % errors")
}

fn latency(of: &Value) -> String {
    let ms = |key| milliseconds(of, key);
    format!("p50 {}, p95 {}, p99 {}", ms("p50"), ms("p95"), ms("p99"))
}

fn milliseconds(of: &Value, key: &str) -> String {
    match of["latency_ms"][key].as_f64() {
        // The buckets are exact to about a third, so more digits would say nothing.
        Some(ms) if number(of, "requests") > 0 && ms < 9.95 => format!("{ms:.1} ms"),
        Some(ms) if number(of, "requests") > 0 && ms < 999.5 => format!("{ms:.0} ms"),
        Some(ms) if number(of, "requests") > 0 => format!("{:.1} s", ms / 1e3),
        _ => "-".into(),
    }
}

/// As in `3 d 4 h`, `12 min` or `5 s`.
pub(super) fn duration(seconds: &Value) -> String {
    let seconds = seconds.as_f64().unwrap_or_default() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
