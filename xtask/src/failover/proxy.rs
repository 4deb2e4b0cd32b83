//! Evenkeel and HAProxy in front of the same servers, with checks of the role at the same interval.

use std::fmt::{self, Write};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::INTERVAL;
use super::engines::Cluster;
use crate::bench::install;
use crate::bench::process::Process;
use crate::bench::proxy::free_address;
use crate::soak::Directory;

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With `wait_for_server`, and nothing else beyond its defaults.
    Evenkeel,
    /// With the settings that are best for it.
    HaProxy,
}

impl Kind {
    /// Both, in the order of the tables.
    pub const ALL: [Self; 2] = [Self::Evenkeel, Self::HaProxy];
}

/// A proxy that runs.
pub struct Proxy {
    /// Where its clients connect.
    pub address: SocketAddr,
    _process: Process,
    _directory: Directory,
}

impl Proxy {
    /// Starts one in front of servers on these ports.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(kind: Kind, evenkeel: &Path, servers: &[u16]) -> anyhow::Result<Self> {
        let (directory, address) = (Directory::named(kind.word())?, free_address()?);
        let file = directory.0.join("configuration");
        let mut command = match kind {
            Kind::Evenkeel => {
                fs::write(directory.0.join("secret"), Cluster::PASSWORD)?;
                fs::write(&file, for_evenkeel(address, servers))?;
                let mut command = Command::new(evenkeel);
                command.args(["run", "-c"]);
                command
            }
            Kind::HaProxy => {
                fs::write(&file, for_haproxy(address, servers)?)?;
                let mut command = Command::new(install::find("haproxy").unwrap_or_default());
                command.args(["-db", "-f"]);
                command
            }
        };
        command.arg(&file);
        let mut process = Process::start(kind.word(), &command, &None, &directory.0)?;
        process.wait_until(|| TcpStream::connect(address).is_ok())?;
        Ok(Self { address, _process: process, _directory: directory })
    }
}

fn for_evenkeel(address: SocketAddr, servers: &[u16]) -> String {
    let servers: Vec<String> = servers.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!(
        "[server]\nworkers = 1\n[admin]\nbind = \"off\"\n[log]\naccess = \"off\"\n\
         [listener.postgres]\nbind = \"{address}\"\nprotocol = \"tcp\"\npool = \"db-primary\"\n\
         [pool.db-primary]\nbackends = [{}]\nwait_for_server = \"10s\"\n\
         health = {{ kind = \"postgres\", role = \"primary\", user = \"probe\", password_file = \"secret\", \
         interval = \"{INTERVAL}\", timeout = \"{INTERVAL}\" }}\n",
        servers.join(", ")
    )
}

/// Its `option pgsql-check` knows no roles. This asks for the role over the wire, as its users do who want no second service for
/// that. Without retries by itself it waits no second before each, and the first check that fails counts.
fn for_haproxy(address: SocketAddr, servers: &[u16]) -> Result<String, fmt::Error> {
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let startup = [&length(parameters.len() + 8)[..], &[0, 3, 0, 0], parameters].concat();
    let statement = b"SELECT pg_is_in_recovery()\0";
    // The end of the session behind it: HAProxy would wait for the answer of a primary until the check times out.
    let query = [b"Q", &length(statement.len() + 4)[..], statement, b"X", &length(4)].concat();
    let ready = [b"Z", &length(5)[..], b"I"].concat();
    // One row with one column of one byte: `f`.
    let primary = [b"D", &length(11)[..], &[0, 1], &length(1), b"f"].concat();
    let mut text = format!(
        "global\n  nbthread 1\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n  timeout check {INTERVAL}\n  retries 0\n\
         listen postgres\n  bind {address}\n  option tcp-check\n  tcp-check connect\n\
         \x20 tcp-check send-binary {}\n  tcp-check expect binary {}\n\
         \x20 tcp-check send-binary {}\n  tcp-check expect binary {}\n\
         \x20 default-server inter {INTERVAL} fall 1 rise 1 on-marked-down shutdown-sessions\n",
        hex(&startup),
        hex(&ready),
        hex(&query),
        hex(&primary),
    );
    for port in servers {
        writeln!(text, "  server s{port} 127.0.0.1:{port} check")?;
    }
    Ok(text)
}

fn length(of: usize) -> [u8; 4] {
    (of as u32).to_be_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::HaProxy => "haproxy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evenkeel => "Evenkeel",
            Self::HaProxy => "HAProxy",
        })
    }
}
