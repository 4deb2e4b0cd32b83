//! `evenkeel drain`: gives a server no new requests, and waits until nothing is in flight there.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::ask::Unanswered;
use super::change::{Change, server_path};
use super::output::fail;
use super::server::{Server, one_line};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two lines on how many requests are left.
const SAY_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    server: Server,
    /// Seconds to wait until nothing is in flight; after that the command fails, and the server goes on draining
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    timeout: u64,
    /// Do not wait until nothing is in flight
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    change: Change,
}

/// Runs the command. One that is interrupted leaves the server draining.
pub fn run(args: &Drain) -> ExitCode {
    match drain(args) {
        Ok((server, true)) => args.change.show(&server, |server| format!("{}: empty", one_line(server))),
        Ok((server, false)) if args.no_wait => args.change.show(&server, one_line),
        Ok((server, false)) => fail(&format!(
            "server {} still has {} after {} s; it goes on draining, and `evenkeel enable` takes it back",
            args.server.server,
            left(&server),
            args.timeout
        )),
        Err(why) => fail(&why.to_string()),
    }
}

/// The last state of the server, and whether nothing is in flight there.
fn drain(args: &Drain) -> Result<(Value, bool), Unanswered> {
    let path = server_path(&args.server.pool, &args.server.server);
    let admin = args.change.find()?;
    let mut server = admin.put(&path, &json!({ "state": "drain" }))?;
    let (start, mut said) = (Instant::now(), Instant::now());
    while !is_empty(&server) {
        if args.no_wait || start.elapsed() >= Duration::from_secs(args.timeout) {
            return Ok((server, false));
        }
        if said.elapsed() >= SAY_EVERY {
            eprintln!("waiting for {}", left(&server));
            said = Instant::now();
        }
        std::thread::sleep(LOOK_EVERY);
        server = admin.get(&path)?;
    }
    Ok((server, true))
}

fn is_empty(server: &Value) -> bool {
    count(&server["in_flight"]) == 0 && count(&server["streams"]["open"]) == 0
}

fn left(server: &Value) -> String {
    let (requests, streams) = (count(&server["in_flight"]), count(&server["streams"]["open"]));
    match streams {
        0 => format!("{requests} requests in flight"),
        _ => format!("{requests} requests and connections in flight, of them {streams} relayed"),
    }
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
