//! The balancer, whose process upgrades replace, and the commands that change it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::process::Process;
use crate::bench::proxy::free_address;

/// A running balancer. Dropping it ends it, with all processes that upgrades have left behind.
pub struct Balancer {
    /// Where clients connect to.
    pub address: SocketAddr,
    admin: SocketAddr,
    binary: PathBuf,
    file: PathBuf,
    servers: Vec<SocketAddr>,
    /// Processes that have served.
    pids: RefCell<BTreeSet<u32>>,
    first: Option<Process>,
}

impl Balancer {
    /// Starts it with these servers in its only pool.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(binary: &Path, directory: &Path, servers: &[SocketAddr]) -> anyhow::Result<Self> {
        let mut balancer = Self {
            address: free_address()?,
            admin: free_address()?,
            binary: binary.to_owned(),
            file: directory.join("evenkeel.toml"),
            servers: servers.to_vec(),
            pids: RefCell::default(),
            first: None,
        };
        balancer.configure(0)?;
        let mut command = Command::new(binary);
        command.args(["run", "-c"]).arg(&balancer.file);
        let mut process = Process::start("evenkeel", &command, &None, directory)?;
        let said = directory.join("evenkeel.err");
        process.wait_until(|| fs::read_to_string(&said).unwrap_or_default().contains("ready"))?;
        balancer.pids.borrow_mut().insert(process.id());
        balancer.first = Some(process);
        Ok(balancer)
    }

    /// Writes a configuration that answers at `/round/ROUND`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, round: usize) -> anyhow::Result<()> {
        let servers: Vec<String> = self.servers.iter().map(|address| format!("\"{address}\"")).collect();
        let Self { address, admin, .. } = self;
        // WebSockets stay in the process that accepted them until `grace` is over.
        let text = format!(
            "[server]\ngrace = \"10m\"\n[admin]\nbind = \"{admin}\"\n[log]\naccess = \"off\"\n\
             [listener.web]\nbind = \"{address}\"\npool = \"app\"\n\
             [[route]]\npath = \"/round/{round}\"\nrespond = {{ status = 204 }}\n\
             [pool.app]\nbackends = [{}]\nhealth = {{ path = \"/health\", interval = \"500ms\" }}\n",
            servers.join(", ")
        );
        fs::write(&self.file, text).context("cannot write the configuration")
    }

    /// Runs a command of evenkeel against the process, to its end.
    ///
    /// # Errors
    /// The command fails; with its output.
    pub async fn command(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(words).args(["--admin", &self.admin.to_string()]);
        let done = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            done.status.success(),
            "evenkeel {}: {}\n{}{}",
            words.join(" "),
            done.status,
            said(&done.stdout),
            said(&done.stderr)
        );
        Ok(said(&done.stdout))
    }

    /// The process that answers now. Dropping the balancer ends it with the others.
    ///
    /// # Errors
    /// `evenkeel status` names no pid.
    pub async fn pid(&self) -> anyhow::Result<u32> {
        let status = self.status().await?;
        let pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.context("`evenkeel status --json` names no pid")?;
        self.pids.borrow_mut().insert(pid);
        Ok(pid)
    }

    /// Requests that a server of the pool has got.
    ///
    /// # Errors
    /// `evenkeel status` does not name the server.
    pub async fn requests(&self, server: &str) -> anyhow::Result<u64> {
        let status = self.status().await?;
        let servers = status["pools"][0]["servers"].as_array();
        let found = servers.into_iter().flatten().find(|it| it["id"] == server);
        let requests = found.and_then(|server| server["requests"].as_u64());
        requests.with_context(|| format!("`evenkeel status --json` has no requests of server {server}"))
    }

    async fn status(&self) -> anyhow::Result<Value> {
        let printed = self.command(&["status", "--json"]).await?;
        serde_json::from_str(&printed).context("`evenkeel status --json` prints no JSON")
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // A second signal ends a process at once.
        for _ in 0..2 {
            for pid in self.pids.borrow().iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::TERM);
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}
