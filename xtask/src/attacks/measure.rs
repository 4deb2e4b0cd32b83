//! One attack on one proxy: servers, another client, the attackers, and what the proxy takes meanwhile.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::attack::Attack;
use super::polite::{self, Latency, Phase, Stage};
use super::server::Servers;
use super::tally::Tally;
use crate::bench::certificate::Certificate;
use crate::bench::connection::Wire;
use crate::bench::process::Layout;
use crate::bench::proxy::{Attacked, Proxy, Running, Setting, free_address};
use crate::bench::{feature, install, machine, procfs};
use crate::soak::Directory;

/// Servers of the other client, and as many that are attacked.
const SERVERS: usize = 3;
/// Client connections that the proxies are configured to take.
const CONNECTIONS_MAX: u64 = 8192;
/// How long the other client is alone: until buffers and connections are there, and while it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
const BEFORE: Duration = Duration::from_secs(2);
/// How often the proxy's memory is read.
const SAMPLE: Duration = Duration::from_millis(20);
/// How long an attacker waits before it tries again to open a connection that it did not get.
const PAUSE: Duration = Duration::from_millis(10);
/// How long what an attack has begun may take to end, before the next proxy is started.
const SETTLE: Duration = Duration::from_millis(500);
/// Attackers and their servers yield the core that they share with the other client, whose time is what is measured, and its
/// servers.
const NICE: i32 = 10;

/// What was measured.
pub struct Row {
    /// Of which proxy.
    pub proxy: Proxy,
    /// What the other client has seen.
    pub before: Latency,
    /// The same during the attack.
    pub during: Latency,
    /// Bytes of memory that the proxy had at most during the attack, beyond those that it had before.
    pub memory: u64,
    /// Requests of attackers that reached servers.
    pub requests: u64,
    /// Connections that the proxy opened to servers during the attack.
    pub connections: u64,
    /// How the attackers' connections and streams ended.
    pub words: String,
}

/// What all attacks share.
pub struct Stand {
    /// Those of the other client, and those that are attacked.
    servers: Servers,
    attacked: Servers,
    certificate: Certificate,
    layout: Layout,
    directory: Directory,
}

impl Stand {
    /// Starts the servers, beside a core that is left to the proxies.
    ///
    /// # Errors
    /// There is no port, or no certificate can be made.
    pub fn start(cores: &[usize]) -> anyhow::Result<Self> {
        machine::raise_open_files();
        let layout = Layout::choose(cores, 1);
        if layout.pinned() {
            let mut set = CpuSet::new();
            cores.iter().skip(1).for_each(|core| set.set(*core));
            sched_setaffinity(None, &set)?;
        }
        let directory = Directory::named("attacks")?;
        let openssl = install::find("openssl").context("openssl is not installed")?;
        let certificate = Certificate::create(&openssl, &directory.0)?;
        let [servers, attacked] = [0, NICE].map(|nice| Servers::start(SERVERS, nice));
        Ok(Self { servers: servers?, attacked: attacked?, certificate, layout, directory })
    }

    /// Attacks `proxy`, whose program is `file`, for so many seconds.
    ///
    /// # Errors
    /// It does not start, or ends.
    pub fn measure(&self, attack: Attack, proxy: Proxy, file: &Path, seconds: u64) -> anyhow::Result<Row> {
        let setting = Setting {
            address: free_address()?,
            wire: Wire::Http2,
            certificate: &self.certificate,
            admin: free_address()?,
            workers: 1,
            feature: feature::NONE,
            attacked: Attacked { origins: &self.attacked.addresses, streams: attack.streams() },
            origins: &self.servers.addresses,
            connections_max: CONNECTIONS_MAX,
            dir: &self.directory.0,
            runner: &[],
        };
        let mut running = Running::start(proxy, file, &setting, &self.layout.proxy)?;
        let processes = procfs::tree(running.process.id())?;
        let address = setting.address;
        let stage = Stage::default();
        let row = thread::scope(|scope| {
            stage.enter(Phase::WarmUp);
            let client = scope.spawn(|| polite::client(address, &stage));
            thread::sleep(WARM_UP);
            stage.enter(Phase::Before);
            thread::sleep(BEFORE);
            let idle = procfs::resident_bytes(&processes)?;
            let counts = &self.attacked.counts;
            let had = [&counts.requests, &counts.connections].map(|count| count.load(Relaxed));
            stage.enter(Phase::During);
            let (peak, is_over) = (AtomicU64::new(idle), AtomicBool::new(false));
            let mut tally = thread::scope(|scope| {
                scope.spawn(|| watch(&processes, &peak, &is_over));
                let attackers = scope.spawn(|| attackers(attack, address, Duration::from_secs(seconds)));
                let tally = attackers.join().expect("the attackers do not panic");
                is_over.store(true, Relaxed);
                tally
            })?;
            let has = [&counts.requests, &counts.connections].map(|count| count.load(Relaxed));
            stage.end();
            let [_, before, during] = client.join().expect("the client does not panic")?;
            anyhow::Ok(Row {
                proxy,
                before,
                during,
                memory: peak.load(Relaxed) - idle,
                requests: has[0] - had[0],
                connections: has[1] - had[1],
                words: tally.words(),
            })
        })?;
        running.process.wait_until(|| true)?;
        drop(running);
        thread::sleep(SETTLE);
        Ok(row)
    }
}

/// Notes the most memory that the proxy has had.
fn watch(processes: &[u32], peak: &AtomicU64, is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        // A proxy that has ended is noticed elsewhere.
        peak.fetch_max(procfs::resident_bytes(processes).unwrap_or_default(), Relaxed);
        thread::sleep(SAMPLE);
    }
}

/// Attacks for so long; what became of all connections.
fn attackers(attack: Attack, address: SocketAddr, length: Duration) -> anyhow::Result<Tally> {
    let _ = rustix::process::nice(NICE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let all = LocalSet::new();
    let theirs = Rc::clone(&tally);
    all.block_on(&runtime, async move {
        let until = Instant::now() + length;
        let each = (0..attack.connections()).map(|_| {
            let tally = Rc::clone(&theirs);
            tokio::task::spawn_local(async move { keep_on(attack, address, until, &tally).await })
        });
        for one in each.collect::<Vec<_>>() {
            let _ = one.await;
        }
    });
    Ok(tally.take())
}

/// One connection after the other.
async fn keep_on(attack: Attack, address: SocketAddr, until: Instant, tally: &RefCell<Tally>) {
    while Instant::now() < until {
        let Ok(Ok(mut foe)) = timeout_at(until, attack.greet(address)).await else {
            tally.borrow_mut().refused();
            sleep(PAUSE).await;
            continue;
        };
        let carried_out = timeout_at(until, attack.carry_out(&mut foe)).await;
        if let Ok(Err(_)) = carried_out {
            // What the proxy has said of it may still be on its way.
            let _ = timeout_at(until, foe.ended()).await;
        }
        tally.borrow_mut().add(&foe.seen);
    }
}
