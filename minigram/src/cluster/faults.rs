//! Faults on purpose, for drills and tests: each concerns processes that this project has started, by their ids.
//!
//! It works from any process of the same user: it reads which processes run from the state directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::json;

use super::endpoints::{Endpoints, Running};
use super::http::http_client;
use super::members::lost_file;
use super::patroni::{self, Leader, PATRONI_USER};
use super::redis::PAIR;
use crate::process::tree::{Member, descendants, kill_descendants, wait_gone};
use crate::process::wait_until;

/// How long the kernel may take to end a process.
const KILL_BOUND: Duration = Duration::from_secs(5);
/// How long an engine may take until it is back.
const RECOVER_BOUND: Duration = Duration::from_secs(120);

/// The engines of a state directory, to be broken.
#[derive(Debug, Clone)]
pub struct Faults {
    state: PathBuf,
    client: reqwest::Client,
}

impl Faults {
    /// The engines that run in a state directory.
    ///
    /// # Errors
    /// None do.
    pub fn open(state: &Path) -> anyhow::Result<Self> {
        Running::read(state)?;
        Ok(Self { state: state.to_owned(), client: http_client()? })
    }

    /// Where everything is.
    ///
    /// # Errors
    /// The engines have ended.
    pub fn endpoints(&self) -> anyhow::Result<Endpoints> {
        Ok(Running::read(&self.state)?.endpoints)
    }

    fn process(&self, name: &str) -> anyhow::Result<Member> {
        Running::read(&self.state)?.process(name).with_context(|| format!("{name} does not run"))
    }

    /// The primary of PostgreSQL, and which replica has all of its acknowledged writes.
    ///
    /// # Errors
    /// There is no primary.
    pub async fn primary(&self) -> anyhow::Result<Leader> {
        let endpoints = self.endpoints()?;
        patroni::leader(&self.client, &endpoints.patroni).await.context("PostgreSQL has no primary")
    }

    /// The node of PostgreSQL on a port.
    fn postgres(&self, node: &str) -> anyhow::Result<Member> {
        let keeper = self.process(node)?;
        let below = descendants(keeper.id);
        // The postmaster is a child of the keeper, its servers are children of the postmaster.
        let found = below.into_iter().find(|member| member.program() == "postgres");
        found.with_context(|| format!("PostgreSQL of {node} does not run"))
    }

    /// Ends PostgreSQL of a node as a crash does; Patroni goes on.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_postgres(&self, node: &str) -> anyhow::Result<()> {
        kill_tree(self.postgres(node)?)
    }

    /// Stops PostgreSQL of a node with all its processes, as a dead disk would. Patroni hangs with it, so that
    /// the watchdog ends the node after 15 seconds, unless [`Self::thaw_postgres`] lets it go on before.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze_postgres(&self, node: &str) -> anyhow::Result<()> {
        let postmaster = self.postgres(node)?;
        signal_tree(postmaster, Signal::STOP);
        Ok(())
    }

    /// Lets PostgreSQL of a node go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw_postgres(&self, node: &str) -> anyhow::Result<()> {
        let postmaster = self.postgres(node)?;
        signal_tree(postmaster, Signal::CONT);
        Ok(())
    }

    /// Stops every process of an engine, for a node of PostgreSQL Patroni too. Its watchdog goes on, as that of a machine does, and ends
    /// the node if it was the primary.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self, name: &str) -> anyhow::Result<()> {
        self.signal_engine(name, Signal::STOP)
    }

    /// Lets every process of an engine go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self, name: &str) -> anyhow::Result<()> {
        self.signal_engine(name, Signal::CONT)
    }

    fn signal_engine(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let process = self.process(name)?;
        if self.endpoints()?.patroni.contains_key(name) {
            // The process is the keeper, which has the watchdog.
            descendants(process.id).iter().for_each(|below| below.signal(signal));
        } else {
            signal_tree(process, signal);
        }
        Ok(())
    }

    /// Ends every process of an engine as a crash does, for a node of PostgreSQL Patroni too. It is started again after a
    /// second, a server of the Redis pair after eight.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, name: &str) -> anyhow::Result<()> {
        kill_tree(self.process(name)?)
    }

    /// Asks a program to end in order. It is started again after a second.
    ///
    /// # Errors
    /// It does not run.
    pub fn end(&self, name: &str) -> anyhow::Result<()> {
        self.process(name)?.signal(Signal::TERM);
        Ok(())
    }

    /// Ends every process of an engine as a crash does, and keeps it down until [`Self::recover`], as a lost machine.
    ///
    /// # Errors
    /// It does not run.
    pub fn lose(&self, name: &str) -> anyhow::Result<()> {
        let process = self.process(name)?;
        let file = lost_file(&self.state, name);
        fs::write(&file, "").with_context(|| format!("{} cannot be written", file.display()))?;
        kill_tree(process)
    }

    /// Has an engine that was lost started again; returns when its process is there.
    ///
    /// # Errors
    /// It is not there in time.
    pub async fn recover(&self, name: &str) -> anyhow::Result<()> {
        let file = lost_file(&self.state, name);
        fs::remove_file(&file).with_context(|| format!("{name} is not lost"))?;
        wait_until(&format!("{name} runs again"), RECOVER_BOUND, || async { self.process(name).is_ok() })
            .await
    }

    /// Has another node become the primary of PostgreSQL, in order; its name, once it is. It is the replica that has everything.
    ///
    /// # Errors
    /// There is no such replica, or Patroni refuses.
    pub async fn switch_over(&self) -> anyhow::Result<String> {
        let old = self.primary().await?;
        let new = old.synchronous.context("no replica has every write")?;
        let endpoints = self.endpoints()?;
        let port = endpoints.patroni.get(&old.name).context("the primary is none of our nodes")?;
        let request = self
            .client
            .post(format!("http://127.0.0.1:{port}/switchover"))
            // The answer comes when it is done.
            .timeout(RECOVER_BOUND)
            .basic_auth(PATRONI_USER, Some(endpoints.password("patroni")?))
            .json(&json!({ "leader": old.name, "candidate": new }));
        let response = request.send().await.context("Patroni does not answer")?;
        let (status, text) = (response.status(), response.text().await.unwrap_or_default());
        ensure!(status.is_success(), "Patroni refuses to switch over: {status} {text}");
        Ok(new)
    }

    /// Returns when PostgreSQL has a primary that two nodes follow, one of them synchronously.
    ///
    /// # Errors
    /// That takes too long.
    pub async fn wait_complete(&self) -> anyhow::Result<()> {
        let what = "PostgreSQL has a primary that two nodes follow";
        wait_until(what, RECOVER_BOUND, || async { self.primary().await.is_ok_and(|it| it.is_complete) })
            .await
    }

    /// The name of the Redis that is the primary of the pair.
    ///
    /// # Errors
    /// None is.
    pub async fn redis_primary(&self) -> anyhow::Result<&'static str> {
        let endpoints = self.endpoints()?;
        for name in PAIR {
            let client = redis::Client::open(endpoints.redis_url(endpoints.redis[name])?)?;
            let Ok(connect) =
                tokio::time::timeout(KILL_BOUND, client.get_multiplexed_async_connection()).await
            else {
                continue;
            };
            let Ok(mut connection) = connect else { continue };
            let role: Result<Vec<redis::Value>, _> = redis::cmd("ROLE").query_async(&mut connection).await;
            if role.is_ok_and(|role| role.first() == Some(&redis::Value::BulkString(b"master".to_vec()))) {
                return Ok(name);
            }
        }
        anyhow::bail!("no Redis of the pair is the primary")
    }
}

fn signal_tree(member: Member, signal: Signal) {
    member.signal(signal);
    descendants(member.id).iter().for_each(|below| below.signal(signal));
}

fn kill_tree(member: Member) -> anyhow::Result<()> {
    member.signal(Signal::STOP);
    let mut all = kill_descendants(member.id);
    member.signal(Signal::KILL);
    all.push(member);
    ensure!(wait_gone(&all, KILL_BOUND), "processes outlive their kill: {all:?}");
    Ok(())
}
