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
use super::feature::{self, FILES_PATH, Feature};
use super::process::{Cores, Process};
use crate::origin::LARGE_PATH;
use crate::tls::KeyExchange;

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
}

impl Proxy {
    /// Its program, which is also its name.
    pub fn program(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
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
    /// The origin servers.
    pub origins: &'a [SocketAddr],
    /// Client connections at most.
    pub connections_max: u64,
    /// For logs and the like.
    pub dir: &'a Path,
    /// The command that runs it, such as valgrind; empty when none does.
    pub runner: &'a [OsString],
}

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
        let name = format!("{}-{}", proxy.program(), setting.address.port());
        let access_log = setting.dir.join(format!("{name}-access.log"));
        let (text, flags): (String, &[&str]) = match proxy {
            Proxy::Evenkeel => (evenkeel(setting, &access_log), &["run", "-c"]),
            Proxy::Nginx => (nginx(setting, &access_log), &["-c"]),
            Proxy::Haproxy => (haproxy(setting), &["-db", "-f"]),
        };
        let file = setting.dir.join(format!("{name}.conf"));
        fs::write(&file, text)?;
        let mut words = setting.runner.iter().cloned().chain([program.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(flags).arg(&file);
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

fn evenkeel(setting: &Setting, access_log: &Path) -> String {
    // It takes HTTP/1.1 and HTTP/2 on every listener.
    let certificate = if setting.wire.tls() {
        let Certificate { cert, key } = setting.certificate;
        format!("tls.certificates = [{{ cert = {cert:?}, key = {key:?} }}]\n")
    } else {
        String::new()
    };
    let files = match setting.feature == feature::FILES {
        true => format!("[[route]]\npath = \"{FILES_PATH}*\"\nfiles = {:?}\n\n", setting.dir),
        false => String::new(),
    };
    let backends: Vec<String> = setting.origins.iter().map(|o| format!("\"{o}\"")).collect();
    format!(
        r#"[server]
workers = {workers}

[admin]
bind = "{admin}"

[log]
access = "{log}"
format = "json"

[listener.web]
bind = ["{address}"]
{certificate}
{files}{rest}"#,
        workers = setting.workers,
        admin = setting.admin,
        log = access_log.display(),
        address = setting.address,
        rest = setting.feature.lines(&backends.join(", ")),
    )
}

fn nginx(setting: &Setting, access_log: &Path) -> String {
    let servers: String = setting.origins.iter().map(|o| format!("    server {o};\n")).collect();
    let (flags, certificate) = match setting.wire {
        Wire::Http1 => ("", String::new()),
        Wire::Http2 => (" http2", String::new()),
        Wire::Http1Tls | Wire::Http2Tls => {
            let Certificate { cert, key } = setting.certificate;
            let [cert, key] = [cert.display(), key.display()];
            let lines = format!(
                "\n    ssl_certificate {cert};\n    ssl_certificate_key {key};\n    ssl_protocols TLSv1.2 TLSv1.3;"
            );
            (" ssl http2", lines)
        }
    };
    let (zone, cached) = if setting.feature.caches() {
        let zone = format!(
            "\n  proxy_cache_path {}/nginx-cache keys_zone=app:32m max_size=256m inactive=1h;",
            setting.dir.display()
        );
        (zone, "\n    proxy_cache app;\n    proxy_cache_valid 200 10m;\n    open_file_cache max=1000;")
    } else {
        (String::new(), "")
    };
    // Under another program, one process does the work of master and worker: that is the one to look at.
    let master = if setting.runner.is_empty() { "on" } else { "off" };
    // Its own best way with files: a cache of open ones, asked as seldom as ours, and sendfile.
    let files = match setting.feature == feature::FILES {
        true => format!(
            "location {FILES_PATH} {{ alias {}/; sendfile on; tcp_nopush on; open_file_cache max=1000; open_file_cache_valid 1s; }}",
            setting.dir.display()
        ),
        false => String::new(),
    };
    // Limits on requests per connection would only hold it back, and so would its default way with large
    // answers: buffered by 4 KiB, they take it half as much CPU time again.
    format!(
        r#"daemon off;
master_process {master};
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
  access_log {log} combined buffer=64k;{zone}
  client_body_temp_path {dir};
  keepalive_requests 1000000000;
  tcp_nodelay on;
  upstream app {{
{servers}    keepalive 512;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address} backlog=4096{flags};{certificate}
    proxy_http_version 1.1;{cached}
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    location / {{ proxy_pass http://app; }}
    {files}
    location = {LARGE_PATH} {{
      proxy_pass http://app;
      proxy_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 8 64k;
      proxy_busy_buffers_size 128k;
    }}
  }}
}}
"#,
        workers = setting.workers,
        dir = setting.dir.display(),
        connections = 2 * setting.connections_max,
        log = access_log.display(),
        address = setting.address,
    )
}

fn haproxy(setting: &Setting) -> String {
    let flags = match setting.wire {
        Wire::Http1 => String::new(),
        Wire::Http2 => " proto h2".into(),
        // The key is found beside the certificate.
        Wire::Http1Tls | Wire::Http2Tls => {
            format!(" ssl crt {} alpn h2,http/1.1", setting.certificate.cert.display())
        }
    };
    let (cache, cached) = if setting.feature.caches() {
        let uses = "  http-request cache-use app\n  http-response set-header cache-control max-age=600\n  \
                    http-response cache-store app\n";
        let store = "\ncache app\n  total-max-size 256\n  max-object-size 2000000\n  max-age 600\n";
        (store, uses)
    } else {
        ("", "")
    };
    // Splicing takes a quarter off the CPU time of large answers.
    let servers: String = (1..)
        .zip(setting.origins)
        .map(|(number, o)| format!("  server s{number} {o} pool-max-conn 512\n"))
        .collect();
    format!(
        r"global
  nbthread {workers}
  maxconn {connections}
  maxpipes 256

defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
  option forwardfor
  http-reuse always
  option splice-response

frontend web
  bind {address} backlog 4096{flags}
  default_backend app

backend app
  balance roundrobin
{cached}{servers}{cache}",
        workers = setting.workers,
        connections = setting.connections_max,
        address = setting.address,
    )
}
