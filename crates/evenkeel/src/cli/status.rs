//! `evenkeel status`: what a running process does, problems first.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

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
    let mut text = head(status);
    let problems = problems(status);
    if problems.is_empty() {
        text.push_str("\nno problem\n");
    } else {
        text.push_str("\nproblems\n");
        problems.iter().for_each(|problem| text.push_str(&format!("  {problem}\n")));
    }
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

/// What is wrong, worst first.
fn problems(status: &Value) -> Vec<String> {
    let (mut critical, mut warnings) = (Vec::new(), Vec::new());
    for pool in list(status, "pools") {
        let name = word(pool, "name");
        if number(pool, "usable") == 0 {
            critical.push(format!("pool {name}: no server is usable"));
        }
        if pool["panic"] == true {
            critical
                .push(format!("pool {name}: uses ejected servers as well, because too few others are left"));
        }
        if let Some(state) = pool["breaker"]["state"].as_str().filter(|state| *state != "closed") {
            critical.push(format!(
                "pool {name}: its circuit breaker is {state}: {}",
                word(&pool["breaker"], "reason")
            ));
        }
        if let Some(error) = pool["discovery"]["error"].as_str() {
            warnings.push(format!("pool {name}: cannot discover its servers: {error}"));
        }
        for server in list(pool, "servers").filter(|it| it["state"] != "up" && it["state"] != "starting") {
            let (id, state) = (word(server, "id"), word(server, "state"));
            let since = duration(&server["since_seconds"]);
            warnings
                .push(format!("pool {name}: server {id} is {state} for {since}: {}", word(server, "reason")));
        }
    }
    let steps = status["overload"].as_object().into_iter().flatten();
    for (cause, step) in steps.filter(|(_, step)| step.as_i64().unwrap_or_default() > 0) {
        critical.push(format!("the process is overloaded by {cause}, step {step}"));
    }
    for listener in list(status, "listeners") {
        for warning in list(&listener["tls"], "certificates").filter_map(|it| it["warning"].as_str()) {
            warnings.push(format!("listener {}: {warning}", word(listener, "name")));
        }
    }
    critical.extend(warnings);
    critical
}

/// The members of a list.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

/// A text, without what could steer a terminal.
pub(super) fn word(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("-").chars().filter(|c| !c.is_control()).collect()
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
        Some(ms) if number(of, "requests") > 0 => format!("{ms} ms"),
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
