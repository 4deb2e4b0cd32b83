//! What is counted of requests as they end, in one thread; threads are added up at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::pace::Turn;

/// Servers with figures of their own; those beyond are counted together.
const SERVERS_MAX: usize = 100;
/// The server of responses without the header.
const UNNAMED: &str = "(no header)";
/// The servers beyond [`SERVERS_MAX`].
const OTHERS: &str = "(others)";
/// Microseconds are counted up to this: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Why a request has no whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection came about.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// It took too long.
    Timeout,
    /// The connection or stream ended before the response did.
    Reset,
    /// The response is malformed.
    Protocol,
}

impl Fault {
    /// All of them, in the order of [`Figures::faults`].
    pub const ALL: [Self; 5] = [Self::Connect, Self::Tls, Self::Timeout, Self::Reset, Self::Protocol];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
        }
    }
}

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// The value of the header that figures are split by.
    pub server: Option<String>,
}

/// Why there is none, and what the first such request says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub fault: Fault,
    /// In words.
    pub why: String,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Which request of the scenario it was.
    pub request: usize,
    /// When it started.
    pub turn: Turn,
    /// When it ended, since the begin of the run.
    pub done: Duration,
    /// How it ended.
    pub result: &'a Result<Answer, Failure>,
}

/// Figures of all requests, of one name, or of one server.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole response, by kind.
    pub faults: [u64; Fault::ALL.len()],
    /// Bytes of bodies.
    pub bytes: u64,
    /// Latencies of responses in microseconds: from the intended start in an open loop.
    pub latency: Histogram<u64>,
}

impl Default for Figures {
    fn default() -> Self {
        let (statuses, latency) = (BTreeMap::new(), histogram(3));
        Self { statuses, faults: Default::default(), bytes: 0, latency }
    }
}

impl Figures {
    /// Requests that ended.
    pub fn requests(&self) -> u64 {
        self.responses() + self.faults.iter().sum::<u64>()
    }

    /// Requests with a whole response.
    pub fn responses(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Requests that failed: without a whole response, or with a status of 400 or more.
    pub fn errors(&self) -> u64 {
        let refused: u64 = self.statuses.range(400..).map(|(_, count)| count).sum();
        refused + self.faults.iter().sum::<u64>()
    }

    fn count(&mut self, result: &Result<Answer, Failure>, latency: Duration) {
        match result {
            Ok(answer) => {
                *self.statuses.entry(answer.status).or_default() += 1;
                self.bytes += answer.bytes;
                record(&mut self.latency, latency);
            }
            Err(failure) => self.faults[failure.fault as usize] += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (ours, theirs) in self.faults.iter_mut().zip(other.faults) {
            *ours += theirs;
        }
        self.bytes += other.bytes;
        merge(&mut self.latency, &other.latency);
    }
}

/// What ended within one stretch of the run.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Requests with a whole response.
    pub responses: u64,
    /// Requests that failed.
    pub errors: u64,
    /// As in [`Figures`], two digits exact.
    pub latency: Histogram<u64>,
}

/// All that is counted.
#[derive(Debug, Clone)]
pub struct Record {
    warmup: Duration,
    width: Duration,
    /// All requests.
    pub total: Figures,
    /// Latencies from the start itself: what the server alone took, once it was asked.
    pub from_sent: Histogram<u64>,
    /// How late the generator was.
    pub lateness: Histogram<u64>,
    /// Requests that found no free connection at their intended start.
    pub waited: u64,
    /// The requests of the scenario, in its order.
    pub by_request: Vec<Figures>,
    /// Responses by the value of the header.
    pub by_server: BTreeMap<String, Figures>,
    /// The run in stretches of equal length, from the end of the warm-up.
    pub intervals: Vec<Interval>,
    /// What the first failure of each kind said.
    pub first_failures: [Option<String>; Fault::ALL.len()],
    /// Connections that were opened.
    pub connections: u64,
    /// Requests whose intended start passed without them.
    pub never_started: u64,
    splits: bool,
}

impl Record {
    /// Nothing yet, for `requests` requests in the scenario, in stretches of `width`.
    pub fn new(requests: usize, warmup: Duration, width: Duration, splits: bool) -> Self {
        Self {
            warmup,
            width,
            total: Figures::default(),
            from_sent: histogram(3),
            lateness: histogram(3),
            waited: 0,
            by_request: vec![Figures::default(); requests],
            by_server: BTreeMap::new(),
            intervals: Vec::new(),
            first_failures: Default::default(),
            connections: 0,
            never_started: 0,
            splits,
        }
    }

    /// Counts a request, unless it belongs to the warm-up.
    pub fn count(&mut self, ended: &Ended) {
        let turn = ended.turn;
        if turn.intended < self.warmup {
            return;
        }
        let latency = ended.done.saturating_sub(turn.intended);
        self.total.count(ended.result, latency);
        self.by_request[ended.request].count(ended.result, latency);
        record(&mut self.lateness, turn.lateness);
        self.waited += u64::from(turn.waited);
        match ended.result {
            Ok(answer) => {
                record(&mut self.from_sent, ended.done.saturating_sub(turn.sent));
                if self.splits {
                    self.server(answer.server.as_deref().unwrap_or(UNNAMED)).count(ended.result, latency);
                }
            }
            Err(failure) => {
                let first = &mut self.first_failures[failure.fault as usize];
                first.get_or_insert_with(|| failure.why.clone());
            }
        }
        self.interval(ended.done, ended.result, latency);
    }

    fn server(&mut self, name: &str) -> &mut Figures {
        let room = self.by_server.len() < SERVERS_MAX || self.by_server.contains_key(name);
        self.by_server.entry(if room { name } else { OTHERS }.to_owned()).or_default()
    }

    fn interval(&mut self, done: Duration, result: &Result<Answer, Failure>, latency: Duration) {
        let at = (done.saturating_sub(self.warmup).as_nanos() / self.width.as_nanos()) as usize;
        while self.intervals.len() <= at {
            self.intervals.push(Interval { responses: 0, errors: 0, latency: histogram(2) });
        }
        let interval = &mut self.intervals[at];
        match result {
            Ok(answer) => {
                interval.responses += 1;
                interval.errors += u64::from(answer.status >= 400);
                record(&mut interval.latency, latency);
            }
            Err(_) => interval.errors += 1,
        }
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Self) {
        self.total.add(&other.total);
        merge(&mut self.from_sent, &other.from_sent);
        merge(&mut self.lateness, &other.lateness);
        self.waited += other.waited;
        self.connections += other.connections;
        self.never_started += other.never_started;
        for (ours, theirs) in self.by_request.iter_mut().zip(&other.by_request) {
            ours.add(theirs);
        }
        for (name, theirs) in &other.by_server {
            self.server(name).add(theirs);
        }
        for (at, theirs) in other.intervals.iter().enumerate() {
            match self.intervals.get_mut(at) {
                Some(ours) => {
                    ours.responses += theirs.responses;
                    ours.errors += theirs.errors;
                    merge(&mut ours.latency, &theirs.latency);
                }
                None => self.intervals.push(theirs.clone()),
            }
        }
        for (ours, theirs) in self.first_failures.iter_mut().zip(&other.first_failures) {
            if ours.is_none() {
                ours.clone_from(theirs);
            }
        }
    }

    /// How long each of [`Record::intervals`] is.
    pub fn width(&self) -> Duration {
        self.width
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    let mut histogram = Histogram::new(digits).expect("at most 5 digits");
    histogram.auto(true);
    histogram
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
    histogram.record(micros).expect("a histogram that grows");
}

fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from).expect("a histogram that grows");
}

#[cfg(test)]
mod tests;
