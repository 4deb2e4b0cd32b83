//! Lines as messages of syslog (RFC 5424), each in a datagram: to the local daemon, or by UDP (RFC 5426).

use std::fs;
use std::io::{self, Write};
use std::time::SystemTime;

use super::datagrams::Datagrams;
use super::patience::Patience;
use super::stamp::Stamp;

/// Facility `daemon` (3), severity `informational` (6): RFC 5424, 6.2.1.
const PRIORITY: &str = "<30>1 ";
/// Bytes of a host name in a message at most (RFC 5424, 6).
const HOST_MAX: usize = 255;

/// A syslog daemon.
#[derive(Debug)]
pub(super) struct Syslog {
    pub(super) to: Datagrams,
    stamp: Stamp,
    /// Behind the time and before the line: `HOST evenkeel PID access - `.
    sender: Vec<u8>,
    message: Vec<u8>,
}

impl Syslog {
    pub(super) fn new(to: Datagrams) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let fits = !host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(|b| b.is_ascii_graphic());
        let host = if fits { host } else { "-" };
        let sender = format!(" {host} evenkeel {} access - ", std::process::id()).into_bytes();
        Self { to, stamp: Stamp::new(), sender, message: Vec::new() }
    }

    /// Sends one line, which has no end of line.
    ///
    /// # Errors
    /// It is lost.
    pub(super) fn send(&mut self, line: &[u8], patience: &mut Patience) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.message.clear();
        self.message.write_all(PRIORITY.as_bytes())?;
        let now = self.stamp.rfc3339(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        self.message.extend_from_slice(&now);
        self.message.extend_from_slice(&self.sender);
        self.message.extend_from_slice(line);
        self.to.send(&self.message, patience)
    }
}
