//! The files of Redis servers and Sentinels, for the engines and for tests.

use std::fmt::Write;
use std::path::Path;

/// What the file of a server says.
#[derive(Debug, Clone, Copy)]
pub struct RedisConf<'a> {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Where it keeps its data.
    pub folder: &'a Path,
    /// What clients and replicas say first, if there is a password.
    pub password: Option<&'a str>,
    /// Memory for its data, as `64mb`.
    pub memory_max: &'a str,
    /// What it does when that is full, as `noeviction`.
    pub when_full: &'a str,
    /// The port of its primary, if it is a replica.
    pub replica_of: Option<u16>,
}

impl RedisConf<'_> {
    /// The file: data in snapshots (RDB) and in a log of writes (AOF), which lacks two seconds at most after a crash.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = begin(self.port, self.folder);
        if let Some(password) = self.password {
            line(&mut text, format_args!("requirepass {password}\nmasterauth {password}"));
        }
        let Self { memory_max, when_full, .. } = self;
        line(&mut text, format_args!("maxmemory {memory_max}\nmaxmemory-policy {when_full}"));
        line(&mut text, format_args!("save 900 1 300 100 60 10000\nappendonly yes\nappendfsync everysec"));
        // A replica has the data, and notices that its primary is gone, as soon as it can.
        line(&mut text, format_args!("repl-diskless-sync-delay 0\nrepl-ping-replica-period 1"));
        if let Some(primary) = self.replica_of {
            line(&mut text, format_args!("replicaof 127.0.0.1 {primary}"));
        }
        text
    }
}

/// What the file of a Sentinel says.
#[derive(Debug, Clone, Copy)]
pub struct SentinelConf<'a> {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Where it keeps its notes.
    pub folder: &'a Path,
    /// What it calls the pair that it watches.
    pub pair: &'a str,
    /// The port of the pair's primary at first.
    pub primary: u16,
    /// The pair's password, if there is one.
    pub password: Option<&'a str>,
}

impl SentinelConf<'_> {
    /// The file: two Sentinels must have missed the primary for a second.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { pair, primary, .. } = self;
        let mut text = begin(self.port, self.folder);
        line(&mut text, format_args!("sentinel monitor {pair} 127.0.0.1 {primary} 2"));
        if let Some(password) = self.password {
            line(&mut text, format_args!("sentinel auth-pass {pair} {password}"));
        }
        line(&mut text, format_args!("sentinel down-after-milliseconds {pair} 1000"));
        line(&mut text, format_args!("sentinel failover-timeout {pair} 5000"));
        text
    }
}

fn begin(port: u16, folder: &Path) -> String {
    format!("bind 127.0.0.1\nport {port}\ndir \"{}\"\n", folder.display())
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Cannot fail: a String takes everything.
    let _ = writeln!(text, "{line}");
}
