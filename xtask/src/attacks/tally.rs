//! What became of all connections of an attack.

use std::collections::BTreeMap;
use std::time::Duration;

use super::foe::{End, Seen};

/// Sums over all connections.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that were opened.
    pub connections: u64,
    /// Those that the proxy did not take.
    refused: u64,
    /// Requests.
    pub streams: u64,
    answered: u64,
    resets: BTreeMap<u32, u64>,
    first_reset: Option<Duration>,
    ends: BTreeMap<End, Ended>,
    /// Connections that the proxy has not ended.
    open: u64,
}

/// Connections that ended alike.
#[derive(Debug, Default)]
struct Ended {
    count: u64,
    streams: Vec<u64>,
    first: Option<Duration>,
}

impl Tally {
    /// A connection was not to be had.
    pub fn refused(&mut self) {
        self.refused += 1;
    }

    /// A connection is over, or the attack is.
    pub fn add(&mut self, seen: &Seen) {
        self.connections += 1;
        self.streams += seen.streams.get();
        self.answered += seen.answered.get();
        for (code, count) in &*seen.resets.borrow() {
            *self.resets.entry(*code).or_default() += count;
        }
        let first = seen.first_reset.get().map(|at| at - seen.since);
        self.first_reset = earliest(self.first_reset, first);
        match seen.end.get() {
            None => self.open += 1,
            Some((end, at)) => {
                let ended = self.ends.entry(end).or_default();
                ended.count += 1;
                ended.streams.push(seen.streams.get());
                ended.first = earliest(ended.first, Some(at - seen.since));
            }
        }
    }

    /// How the proxy ended it, in words.
    pub fn words(&mut self) -> String {
        let mut words = Vec::new();
        for (end, ended) in &mut self.ends {
            ended.streams.sort_unstable();
            let median = ended.streams.get(ended.streams.len() / 2).copied().unwrap_or_default();
            let first = ended.first.unwrap_or_default().as_secs_f64();
            words.push(format!(
                "{} of {} connections {}, the first after {first:.1} s, with {median} requests in the median",
                ended.count,
                self.connections,
                match end {
                    End::GoAway(code) => format!("by GOAWAY {}", name(*code)),
                    End::Closed => "closed".to_owned(),
                    End::Reset => "reset".to_owned(),
                }
            ));
        }
        for (code, count) in &self.resets {
            words.push(format!("{count} of {} streams by RST_STREAM {}", self.streams, name(*code)));
        }
        if let Some(first) = self.first_reset {
            words.push(format!("the first stream after {:.1} s", first.as_secs_f64()));
        }
        if self.answered > 0 {
            words.push(format!("{} of {} requests answered", self.answered, self.streams));
        }
        if self.refused > 0 {
            words.push(format!("{} connections not accepted", self.refused));
        }
        if words.is_empty() { "not at all".to_owned() } else { words.join("; ") }
    }
}

fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

/// The name of an error code (RFC 9113, section 7).
fn name(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).map_or_else(|| format!("{code:#x}"), |name| (*name).to_owned())
}
