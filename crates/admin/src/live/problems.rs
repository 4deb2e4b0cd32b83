//! The problems of this second, each with its begin: a pure function from the facts of one second, and memory of the seconds
//! before, to sentences. It answers "is it fine?" in one look.

use std::collections::{HashMap, VecDeque};

use evenkeel_core::breaker::CircuitState;
use evenkeel_core::health::State;
use evenkeel_observe::StaleFiles;
use evenkeel_observe::events::Severity;
use evenkeel_types::{BackendId, ListenerName, PoolName};
use serde::Serialize;
use utoipa::ToSchema;

/// Problems that are listed, the worst first. If there are more, the last one counts them.
pub(crate) const PROBLEMS_MAX: usize = 100;
/// Of the requests of a pool in the last seconds, the share that may fail.
const ERROR_RATIO_MAX: f64 = 0.01;
/// Of these, the share from which on it is critical.
const ERROR_RATIO_CRITICAL: f64 = 0.05;
/// A queue that was not empty for so many seconds is a problem. Shorter bursts are what a queue is for.
const QUEUED_SECONDS: usize = 5;
/// Seconds of which the lengths of queues are remembered.
const QUEUE_MEMORY: usize = 10;
/// Below so many days, a certificate near its end is critical: renewal has failed for weeks.
const CERTIFICATE_CRITICAL_DAYS: i64 = 3;

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `critical` or `warning`.
    pub(crate) severity: &'static str,
    /// A sentence.
    pub(crate) what: String,
    /// When it began, in seconds since the Unix epoch.
    pub(crate) since: f64,
    /// The kind of problem, in one word.
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<String>,
}

/// The facts of one second.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The second, since the Unix epoch.
    pub(crate) at: f64,
    pub(crate) pools: Vec<PoolFacts>,
    /// The steps of overload by their causes; `none` is left out.
    pub(crate) overload: Vec<(&'static str, &'static str)>,
    pub(crate) certificates: Vec<CertificateFacts>,
    /// The files of certificates and keys that are broken on disk.
    pub(crate) stale_files: Vec<StaleFiles>,
    /// When the last reload failed, how bad that is, and why, if it has failed.
    pub(crate) reload: Option<(f64, Severity, String)>,
    /// Lines that the access log has lost in the last seconds.
    pub(crate) log_dropped: u64,
}

/// One pool in one second.
#[derive(Debug)]
pub(crate) struct PoolFacts {
    pub(crate) name: PoolName,
    /// False for a pool of cache nodes that routes only use as `parent`, and can do without.
    pub(crate) is_needed: bool,
    /// Servers that may get a request.
    pub(crate) usable: usize,
    /// Since when ejected servers are used as well.
    pub(crate) panic: Option<f64>,
    /// The state of its circuit breaker, and why.
    pub(crate) breaker: Option<(CircuitState, String)>,
    /// Requests that are queued.
    pub(crate) waiting: usize,
    /// Why discovery of its servers fails.
    pub(crate) discovery: Option<String>,
    /// Requests of the last seconds, and those of them that failed.
    pub(crate) recent: (u64, u64),
    /// The servers with a problem.
    pub(crate) servers: Vec<ServerFacts>,
}

/// One server in one second.
#[derive(Debug)]
pub(crate) struct ServerFacts {
    pub(crate) id: BackendId,
    pub(crate) state: State,
    pub(crate) reason: String,
    /// Since when it is in that state.
    pub(crate) since: f64,
    /// The state of its circuit breaker, and why.
    pub(crate) breaker: Option<(CircuitState, String)>,
}

/// One certificate near its end.
#[derive(Debug)]
pub(crate) struct CertificateFacts {
    pub(crate) listener: ListenerName,
    pub(crate) cert: String,
    pub(crate) days_left: i64,
    pub(crate) warning: String,
}

type Key = (&'static str, Option<String>, Option<String>, Option<String>);

/// Remembers when each problem began.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    since: HashMap<Key, f64>,
    /// The lengths of queues that are not empty, the newest last.
    queues: HashMap<PoolName, VecDeque<usize>>,
}

impl Problems {
    /// Keeps what the next seconds need of this one; to be called once a second.
    pub(crate) fn remember(&mut self, facts: &Facts) {
        self.remember_queues(facts);
        self.since = self.all(facts).iter().map(|problem| (key(problem), problem.since)).collect();
    }

    /// What is wrong at this moment, the worst first.
    pub(crate) fn found(&mut self, facts: &Facts) -> Vec<Problem> {
        let mut found = self.all(facts);
        // One that is seen between two seconds does not begin anew with the next one.
        for problem in &found {
            self.since.entry(key(problem)).or_insert(problem.since);
        }
        // Stable: within a severity the order is that of the rules and of the configuration.
        found.sort_by_key(|problem| problem.severity != Severity::Critical.as_str());
        if found.len() > PROBLEMS_MAX {
            let others = found.len() - (PROBLEMS_MAX - 1);
            found.truncate(PROBLEMS_MAX - 1);
            let what = format!("{others} more problems are not listed");
            found.push(Problem { since: facts.at, ..problem(Severity::Warning, "more", what) });
        }
        found
    }

    fn all(&self, facts: &Facts) -> Vec<Problem> {
        let mut found: Vec<Problem> = facts.pools.iter().flat_map(|pool| self.of_pool(pool)).collect();
        found.extend(of_process(facts));
        for problem in found.iter_mut().filter(|problem| problem.since == 0.0) {
            problem.since = self.since.get(&key(problem)).copied().unwrap_or(facts.at);
        }
        found
    }

    fn remember_queues(&mut self, facts: &Facts) {
        let mut queues = HashMap::new();
        for pool in facts.pools.iter().filter(|pool| pool.waiting > 0) {
            let mut lengths = self.queues.remove(&pool.name).unwrap_or_default();
            if lengths.len() == QUEUE_MEMORY {
                lengths.pop_front();
            }
            lengths.push_back(pool.waiting);
            queues.insert(pool.name.clone(), lengths);
        }
        self.queues = queues;
    }

    fn of_pool(&self, pool: &PoolFacts) -> Vec<Problem> {
        let name = &pool.name;
        let mut found = Vec::new();
        if pool.usable == 0 && pool.is_needed {
            let what = format!("pool {name} has no usable server");
            found.push(problem(Severity::Critical, "pool-down", what));
        } else if pool.usable == 0 {
            let what = format!("pool {name} has no usable server; routes do without it");
            found.push(problem(Severity::Warning, "pool-down", what));
        }
        if let Some(since) = pool.panic {
            let what = format!("pool {name} uses ejected servers as well, because too few others are left");
            found.push(Problem { since, ..problem(Severity::Critical, "panic", what) });
        }
        found.extend(pool.breaker.as_ref().and_then(|state| breaker(&format!("pool {name}"), state)));
        found.extend(errors(name, pool.recent));
        let queue = self.queues.get(name).filter(|lengths| lengths.len() >= QUEUED_SECONDS);
        if let Some(lengths) = queue.filter(|_| pool.waiting > 0) {
            let (now, before) = (pool.waiting, lengths.front().copied().unwrap_or_default());
            let seconds = lengths.len() - 1;
            let what = format!("pool {name} has {now} queued requests; {seconds} s ago it had {before}");
            found.push(problem(Severity::Warning, "queue", what));
        }
        if let Some(why) = &pool.discovery {
            let what = format!("pool {name} cannot discover its servers: {why}");
            found.push(problem(Severity::Warning, "discovery", what));
        }
        found.extend(pool.servers.iter().flat_map(|server| of_server(name, server)));
        found.iter_mut().for_each(|problem| problem.pool = Some(name.to_string()));
        found
    }
}

fn key(problem: &Problem) -> Key {
    (problem.kind, problem.pool.clone(), problem.server.clone(), problem.listener.clone())
}

/// A problem that began when it was first seen.
fn problem(severity: Severity, kind: &'static str, what: String) -> Problem {
    let severity = severity.as_str();
    Problem { severity, what, since: 0.0, kind, pool: None, server: None, listener: None }
}

fn of_server(pool: &PoolName, server: &ServerFacts) -> Vec<Problem> {
    let ServerFacts { id, state, reason, since, breaker: circuit } = server;
    let mut found = Vec::new();
    // No problem: an unfit server, which has another role (a replica in a pool of the primary), or one that an operator drained.
    if let State::Down | State::Ejected = state {
        let what = format!("server {id} of pool {pool} is {state}: {reason}");
        found.push(Problem { since: *since, ..problem(Severity::Warning, "server-down", what) });
    }
    let of = format!("server {id} of pool {pool}");
    let circuit = circuit.as_ref().and_then(|state| breaker(&of, state));
    found.extend(circuit.map(|found| Problem { severity: Severity::Warning.as_str(), ..found }));
    found.iter_mut().for_each(|problem| problem.server = Some(id.to_string()));
    found
}

fn breaker(of: &str, (state, reason): &(CircuitState, String)) -> Option<Problem> {
    let (severity, word) = match state {
        CircuitState::Closed => return None,
        CircuitState::HalfOpen => (Severity::Warning, "half open"),
        CircuitState::Open => (Severity::Critical, "open"),
    };
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Some(problem(severity, "breaker", format!("the circuit breaker of {of} is {word}{because}")))
}

fn errors(pool: &PoolName, (requests, failed): (u64, u64)) -> Option<Problem> {
    let ratio = failed as f64 / (requests as f64).max(1.0);
    let severity = if ratio >= ERROR_RATIO_CRITICAL { Severity::Critical } else { Severity::Warning };
    let what = format!(
        "{:.1} % of the requests of pool {pool} fail: {failed} of {requests} in the last 10 s",
        ratio * 100.0
    );
    (ratio > ERROR_RATIO_MAX).then(|| problem(severity, "errors", what))
}

fn of_process(facts: &Facts) -> Vec<Problem> {
    let mut found = Vec::new();
    for (cause, step) in &facts.overload {
        let severity = if *step == "close" { Severity::Warning } else { Severity::Critical };
        found.push(problem(severity, "overload", format!("the process is overloaded by {cause}: {step}")));
    }
    if let Some((since, severity, why)) = &facts.reload {
        found.push(Problem { since: *since, ..problem(*severity, "reload", why.clone()) });
    }
    for certificate in &facts.certificates {
        let CertificateFacts { listener, cert, days_left, warning } = certificate;
        let is_late = *days_left < CERTIFICATE_CRITICAL_DAYS;
        let severity = if is_late { Severity::Critical } else { Severity::Warning };
        let what = format!("listener {listener}: {warning} ({cert})");
        let listener = Some(listener.to_string());
        found.push(Problem { listener, ..problem(severity, "certificate", what) });
    }
    for StaleFiles { listener, pool, what, since } in &facts.stale_files {
        let (listener, pool) =
            (listener.as_ref().map(ToString::to_string), pool.as_ref().map(ToString::to_string));
        let found_at = problem(Severity::Warning, "certificate-file", what.clone());
        found.push(Problem { since: *since, listener, pool, ..found_at });
    }
    if facts.log_dropped > 0 {
        let what = format!("the access log has lost {} lines in the last 10 s", facts.log_dropped);
        found.push(problem(Severity::Warning, "access-log", what));
    }
    found
}

#[cfg(test)]
#[path = "problems_tests.rs"]
mod tests;
