//! The proxies that are compared: how each is configured to do the same work, and started.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Serialize;

use super::certificate::Certificate;
use super::connection::{Connection, Wire};
use super::feature::Feature;
use super::install;
use super::process::{Cores, Process};
use crate::tls::KeyExchange;

mod evenkeel;
mod haproxy;
mod nginx;
mod varnish;

/// One of those that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Proxy {
    /// Ours.
    Evenkeel,
    /// A peer.
    Nginx,
    /// A peer.
    Haproxy,
    /// A peer where answers come from the cache.
    Varnish,
}

impl Proxy {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Varnish => "varnish",
            other => other.program(),
        }
    }

    /// The files that it needs from packages.
    pub fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Evenkeel => &[],
            Self::Nginx => &["nginx", install::NGINX_BROTLI, install::NGINX_STREAM],
            Self::Haproxy => &["haproxy"],
            Self::Varnish => &["varnishd"],
        }
    }

    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Varnish => "varnishd",
        }
    }
}

/// The configuration of a proxy.
pub struct Setting<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its clients speak.
    pub wire: Wire,
    /// For TLS.
    pub certificate: &'a Certificate,
    /// Of evenkeel's admin API and metrics.
    pub admin: SocketAddr,
    /// Threads or processes that take requests.
    pub workers: usize,
    /// What evenkeel does beyond its defaults.
    pub feature: Feature,
    /// What an attack needs.
    pub attacked: Attacked<'a>,
    /// The origin servers.
    pub origins: &'a [SocketAddr],
    /// Client connections at most.
    pub connections_max: u64,
    /// For logs and the like.
    pub dir: &'a Path,
    /// The command that runs it, such as valgrind; empty when none does.
    pub runner: &'a [OsString],
}

/// What is configured for an attack; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attacked<'a> {
    /// Other servers, of all that is below [`ATTACK_PATH`].
    pub origins: &'a [SocketAddr],
    /// Streams that a connection of HTTP/2 may have at a time, if that is not left to the proxy.
    pub streams: Option<u32>,
}

/// Where attackers send their requests.
pub const ATTACK_PATH: &str = "/attack/";

/// A proxy that takes requests.
pub struct Running {
    /// Which one.
    pub proxy: Proxy,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its clients speak.
    pub wire: Wire,
    /// The process; ended when dropped.
    pub process: Process,
    access_log: PathBuf,
}

impl Running {
    /// Starts `proxy` from the file `program` and waits for its first good answer.
    ///
    /// # Errors
    /// It does not start or answers with an error; with what it printed.
    pub fn start(proxy: Proxy, program: &Path, setting: &Setting, cores: &Cores) -> anyhow::Result<Self> {
        let name = format!("{}-{}", proxy.name(), setting.address.port());
        let access_log = setting.dir.join(format!("{name}-access.log"));
        let (text, flags) = match proxy {
            Proxy::Evenkeel => (evenkeel::file(setting, &access_log), words(&["run", "-c"])),
            Proxy::Nginx => (nginx::file(setting, &access_log), words(&["-c"])),
            Proxy::Haproxy => (haproxy::file(setting), words(&["-db", "-f"])),
            Proxy::Varnish => (varnish::file(setting), varnish::flags(setting)),
        };
        let file = setting.dir.join(format!("{name}.conf"));
        fs::write(&file, text)?;
        let mut line = setting.runner.iter().cloned().chain([program.into()]);
        let mut command = Command::new(line.next().unwrap_or_default());
        command.args(line).args(flags).arg(&file);
        let mut process = Process::start(&name, &command, cores, setting.dir)?;
        let (address, wire) = (setting.address, setting.wire);
        process.wait_until(|| answers(address, wire, KeyExchange::X25519))?;
        Ok(Self { proxy, address, wire, process, access_log })
    }

    /// True when it agrees on keys by `exchange` if nothing else is offered.
    pub fn knows(&self, exchange: KeyExchange) -> bool {
        answers(self.address, self.wire, exchange)
    }

    /// Empties the access log, so that long runs do not fill the disk. All write it in append mode.
    pub fn empty_log(&self) -> anyhow::Result<()> {
        match OpenOptions::new().write(true).open(&self.access_log) {
            Ok(file) => file.set_len(0).context("cannot empty the access log"),
            Err(_) => Ok(()),
        }
    }
}

/// A port of 127.0.0.1 that is free at the moment.
///
/// # Errors
/// None is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn answers(address: SocketAddr, wire: Wire, exchange: KeyExchange) -> bool {
    Connection::open(address, wire, exchange).and_then(|mut connection| connection.ask()).is_ok()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
