//! What became of the requests, by kind of traffic.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use super::disrupt::Servers;

/// Faults that are shown word by word.
const SHOWN_MAX: usize = 20;

/// What a client saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All that it should.
    Good,
    /// Another status than 200.
    Status(u16),
    /// No answer, or one that was visibly cut.
    Cut,
    /// An answer that looks whole and is not what it should be.
    Wrong(String),
    /// Nothing, for too long.
    Silent,
}

/// The kinds of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Small GETs on a kept connection.
    KeepAlive,
    /// A GET on a connection of its own.
    Short,
    /// A small POST.
    Post,
    /// Echoes through an upgraded connection.
    Tunnel,
    /// Large answers.
    Download,
    /// Large requests.
    Upload,
    /// Clients that leave in the middle.
    Aborted,
    /// Several streams of HTTP/2.
    Http2,
}

/// The counts of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    good: u64,
    cut: u64,
    status_502: u64,
    status_504: u64,
    unexplained: u64,
    slowest_ms: u128,
}

/// The counts of all kinds.
#[derive(Default)]
pub struct Tally {
    rows: RefCell<BTreeMap<Kind, Row>>,
    faults: RefCell<Vec<String>>,
}

impl Tally {
    /// Counts what became of a request that began at `from`. `repeatable` says that it is idempotent and that
    /// nothing of an answer had come.
    pub fn count(&self, servers: &Servers, kind: Kind, repeatable: bool, from: Instant, outcome: &Outcome) {
        let mut rows = self.rows.borrow_mut();
        let row = rows.entry(kind).or_default();
        row.slowest_ms = row.slowest_ms.max(from.elapsed().as_millis());
        if !servers.explain(outcome, repeatable, from) {
            row.unexplained += 1;
            self.fault(format!("{kind:?}: {outcome:?} after {} ms", from.elapsed().as_millis()));
            return;
        }
        match outcome {
            Outcome::Good => row.good += 1,
            Outcome::Status(502) => row.status_502 += 1,
            Outcome::Status(_) => row.status_504 += 1,
            _ => row.cut += 1,
        }
    }

    /// Notes what must not be.
    pub fn fault(&self, what: String) {
        self.faults.borrow_mut().push(what);
    }

    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.faults.borrow().len()
    }

    /// True when each kind of traffic got through.
    pub fn is_complete(&self) -> bool {
        let rows = self.rows.borrow();
        rows.len() == 8 && rows.values().all(|row| row.good > 0)
    }

    /// The table, and the first faults below it.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<10} {:>8} {:>6} {:>6} {:>6} {:>12} {:>11}\n",
            "traffic", "good", "cut", "502", "504", "unexplained", "slowest ms"
        );
        for (kind, row) in self.rows.borrow().iter() {
            let Row { good, cut, status_502, status_504, unexplained, slowest_ms } = row;
            let kind = format!("{kind:?}");
            text += &format!(
                "{kind:<10} {good:>8} {cut:>6} {status_502:>6} {status_504:>6} {unexplained:>12} {slowest_ms:>11}\n"
            );
        }
        let faults = self.faults.borrow();
        for fault in faults.iter().take(SHOWN_MAX) {
            text += &format!("FAULT  {fault}\n");
        }
        if faults.len() > SHOWN_MAX {
            text += &format!("and {} more\n", faults.len() - SHOWN_MAX);
        }
        text
    }
}
