//! `cargo xtask failures`: what clients notice when servers die, slow down or fail all at once.

mod load;
mod server;

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::Value;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use self::load::{Load, Outcome};
use self::server::Server;
use crate::bench::process::Process;
use crate::bench::proxy::free_address;
use crate::bench::readme;
use crate::soak::Directory;
use crate::vtc;

/// Requests a second.
const RATE: u32 = 1000;
/// How many requests a server works at at a time, and for how long at each: 800 a second.
const HANDS: usize = 8;
const WORK: Duration = Duration::from_millis(10);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What `cargo xtask failures` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long each part of a scenario lasts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Puts the table into the README as well.
    #[arg(long)]
    write: bool,
}

/// Runs the scenarios and prints a table of them, in Markdown.
///
/// # Errors
/// Something does not start, or does not answer.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => vtc::build(root)?,
    };
    let stage = Stage { binary, length: Duration::from_secs(options.seconds) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut table = String::from("| what happens | what clients and servers see |\n|---|---|\n");
        writeln!(table, "| one server is killed, with `outlier = {{}}` | {} |", stage.killed().await?)?;
        for (label, keys) in [("without", ""), ("with", "concurrency = { algorithm = \"gradient\" }\n")] {
            let seen = stage.slowed(keys).await?;
            writeln!(table, "| all become ten times as slow, {label} `concurrency` | {seen} |")?;
        }
        let seen = stage.failing().await?;
        writeln!(table, "| all answer 503, with `retry = {{ on = [\"503\"] }}` | {seen} |")?;
        println!("{RATE} GETs a second, three servers:\n\n{table}");
        if options.write { readme::write(root, "failures", &table) } else { Ok(()) }
    })
}

async fn servers() -> anyhow::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(Server::start(HANDS, WORK).await?);
    }
    Ok(servers)
}

struct Stage {
    binary: PathBuf,
    length: Duration,
}

impl Stage {
    async fn killed(&self) -> anyhow::Result<String> {
        let servers = servers().await?;
        let proxy = self.start(&servers, "outlier = {}\n")?;
        let load = proxy.load();
        let before = load.run(self.length).await;
        let (after, killed) = tokio::join!(load.run(self.length), async {
            sleep(self.length / 4).await;
            servers[1].kill();
            SystemTime::now().duration_since(UNIX_EPOCH)
        });
        let failed = before.failed + after.failed;
        let (retried, last) = proxy.retried((killed?.as_millis() % u128::from(DAY_MS)) as u64)?;
        let last = last.map_or(String::new(), |ms| format!(", the last of them {ms} ms after its end"));
        let all = before.all() + after.all();
        Ok(format!("{failed} of {all} requests fail; {retried} take another try{last}"))
    }

    async fn slowed(&self, keys: &str) -> anyhow::Result<String> {
        let servers = servers().await?;
        let proxy = self.start(&servers, keys)?;
        let load = proxy.load();
        let before = load.run(self.length).await;
        servers.iter().for_each(|server| server.takes(WORK * 10));
        load.run(self.length).await;
        let after = load.run(self.length).await;
        let rate = |outcome: Outcome| outcome.good as f64 / self.length.as_secs_f64();
        let left = servers.len() as f64 * HANDS as f64 / (WORK * 10).as_secs_f64();
        Ok(format!(
            "{:.0} good answers a second before, {:.0} then, of {left:.0} that the servers could still give",
            rate(before),
            rate(after)
        ))
    }

    async fn failing(&self) -> anyhow::Result<String> {
        let servers = servers().await?;
        let keys = "[[route]]\npath = \"/*\"\npool = \"app\"\nretry = { on = [\"503\"] }\n";
        let proxy = self.start(&servers, keys)?;
        servers.iter().for_each(|server| server.answers(503));
        let asked = proxy.load().run(self.length).await.all();
        let came: u64 = servers.iter().map(Server::requests).sum();
        Ok(format!(
            "{came} requests reach the servers, {:.2} times as many as came",
            came as f64 / asked as f64
        ))
    }

    /// The balancer in front of `servers`, with further keys behind those of the pool.
    fn start(&self, servers: &[Server], keys: &str) -> anyhow::Result<Proxy> {
        let directory = Directory::new()?;
        let address = free_address()?;
        let log = directory.0.join("access.log");
        let backends: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
        let text = format!(
            "[server]\nworkers = 1\n[admin]\nbind = \"off\"\n[log]\naccess = \"{}\"\n\
             [listener.web]\nbind = \"{address}\"\npool = \"app\"\n[pool.app]\nbackends = [{}]\n{keys}",
            log.display(),
            backends.join(", "),
        );
        let file = directory.0.join("evenkeel.toml");
        fs::write(&file, text)?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "-c"]).arg(&file);
        let mut process = Process::start("evenkeel", &command, &None, &directory.0)?;
        let said = directory.0.join("evenkeel.err");
        process.wait_until(|| fs::read_to_string(&said).unwrap_or_default().contains("ready"))?;
        Ok(Proxy { _process: process, address, log, _directory: directory })
    }
}

struct Proxy {
    _process: Process,
    address: SocketAddr,
    log: PathBuf,
    _directory: Directory,
}

impl Proxy {
    fn load(&self) -> Load {
        Load { address: self.address, rate: RATE, patience: PATIENCE }
    }

    /// How many requests took more than one try, and how many milliseconds behind `since` the last of them came.
    fn retried(&self, since: u64) -> anyhow::Result<(usize, Option<u64>)> {
        // Lines wait for each other for a moment.
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut retried = Vec::new();
        while Instant::now() < deadline {
            retried.clear();
            for line in fs::read_to_string(&self.log)?.lines() {
                let line: Value = serde_json::from_str(line)?;
                if line["tries"].as_u64() > Some(1) {
                    retried.push(line["time"].as_str().and_then(ms_of_day).context("no time in the log")?);
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // Those that were under way had begun before it.
        let behind = |at: &u64| ((at + DAY_MS + DAY_MS / 2 - since) % DAY_MS).saturating_sub(DAY_MS / 2);
        Ok((retried.len(), retried.iter().map(behind).max()))
    }
}

/// Milliseconds since midnight, of `2026-11-21T11:28:09.259Z`.
fn ms_of_day(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    Some(((number(11..13)? * 60 + number(14..16)?) * 60 + number(17..19)?) * 1000 + number(20..23)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_of_the_log_is_read() {
        assert_eq!(super::ms_of_day("2026-11-21T01:01:01.007Z"), Some(3_661_007));
        assert_eq!(super::ms_of_day("2026"), None);
    }
}
