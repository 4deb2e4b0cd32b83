//! Which server a request would get now, and of every other server of the pool why it would not: the same choice as the data
//! path's, for people, and without a trace of it in the pool.

use std::fmt;
use std::time::Duration;

use evenkeel_config::{Algorithm, Pool as PoolConfig};
use evenkeel_types::Time;

use crate::balance::{Availability, Picker};
use crate::choose::{Chosen, Keys, Why, preview};
use crate::health::State;
use crate::snapshot::{Pool, PoolState};

/// Servers of one pool that are shown: the chosen one, and others in the order of the configuration.
pub const CANDIDATES_MAX: usize = 50;

/// A pool, and what it would do with a request.
#[derive(Debug)]
pub struct Explained {
    /// The server that the request would get; `None` if there is none for it now.
    pub chosen: Option<Chosen>,
    /// Why the pool as a whole refuses the request or has it wait, whatever its servers do.
    pub held: Option<Held>,
    /// Its servers, the chosen one first.
    pub candidates: Vec<Candidate>,
    /// Servers that are not shown.
    pub others: usize,
}

/// One server that was looked at.
#[derive(Debug)]
pub struct Candidate {
    /// Its position in the pool.
    pub server: usize,
    /// Its state.
    pub state: State,
    /// Requests in flight there.
    pub in_flight: u32,
    /// The average of its latencies, if the algorithm goes by them and there is one.
    pub latency: Option<Duration>,
    /// Why it was chosen, or not.
    pub verdict: Verdict,
}

/// Why a server was chosen, or not. Displayed, it is a sentence about the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was, for this reason.
    Chosen(Why),
    /// It takes no requests in its state, for this reason.
    Out(State, String),
    /// Its weight is 0.
    NoWeight,
    /// Its circuit breaker is open, and why.
    Open(String),
    /// It has as many requests as `max_connections` allows.
    Full(u32),
    /// Only checks that have passed make it as good as others, which have.
    Unproven,
    /// A backup, while other servers are up.
    Backup,
    /// The client belongs to the chosen server.
    NotItsOwn,
    /// The algorithm has preferred the chosen server.
    Passed(Preference),
}

/// What an algorithm goes by when it passes a server over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// Turns.
    Turn,
    /// Requests in flight, by weight.
    InFlight,
    /// Latency and requests in flight.
    Latency,
    /// Two are drawn, and the one with fewer requests is taken.
    Draw,
    /// A key, which belongs to the chosen server.
    Key,
}

/// Why a pool holds a request back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Its circuit breaker is open, and why.
    Open(String),
    /// As many requests are in flight as may be.
    Full(u32),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen(why) => write!(f, "chosen: {why}"),
            Self::Out(state, reason) => write!(f, "{state}: {reason}"),
            Self::NoWeight => f.write_str("its weight is 0"),
            Self::Open(why) => write!(f, "its circuit breaker is not closed: {why}"),
            Self::Full(max) => write!(f, "full: {max} requests in flight are the most that it may have"),
            Self::Unproven => f.write_str("has not passed a check yet, and others have"),
            Self::Backup => f.write_str("a backup, and other servers are up"),
            Self::NotItsOwn => f.write_str("the client belongs to the chosen server"),
            Self::Passed(preference) => f.write_str(match preference {
                Preference::Turn => "it is not its turn",
                Preference::InFlight => "the chosen server has fewer requests in flight, by weight",
                Preference::Latency => "not drawn, or expected to be slower than the chosen server",
                Preference::Draw => "not drawn, or drawn with a less loaded one",
                Preference::Key => "the key of the request belongs to the chosen server",
            }),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(why) => write!(f, "the circuit breaker of the pool is not closed: {why}"),
            Self::Full(max) => write!(f, "{max} requests in flight are the most that the pool may have"),
        }
    }
}

/// What the pool would do with the request now. Turns and random numbers are those of `picker`: each worker has its own.
pub fn explain(state: &PoolState, picker: &mut Picker, request: &impl Keys, now: Time) -> Explained {
    let (config, pool) = (&*state.config, &state.servers);
    let refused: Vec<Option<Verdict>> =
        (0..pool.members.len()).map(|at| refused(pool, config, at, now)).collect();
    let passed: Vec<usize> = (0..refused.len()).filter(|at| refused[*at].is_some()).collect();
    let chosen = preview(pool, config, picker, request, &passed, now);
    let mut order: Vec<usize> = chosen.iter().map(|chosen| chosen.server).collect();
    order.extend((0..refused.len()).filter(|at| chosen.is_none_or(|chosen| chosen.server != *at)));
    let candidate = |at: usize| {
        let load = &pool.members.server(at).load;
        let latency = load.latency(now);
        let is_timed = config.algorithm == Algorithm::LeastResponseTime && latency > 0.0;
        Candidate {
            server: at,
            state: pool.states.get(at).map_or(State::Up, |known| known.state),
            in_flight: load.in_flight(),
            latency: is_timed.then(|| Duration::from_nanos(latency as u64)),
            verdict: match (&refused[at], chosen) {
                (_, Some(chosen)) if chosen.server == at => Verdict::Chosen(chosen.why),
                (Some(refused), _) => refused.clone(),
                (None, Some(chosen)) => outdone(pool, config, at, chosen),
                (None, None) => Verdict::Unproven,
            },
        }
    };
    let others = order.len().saturating_sub(CANDIDATES_MAX);
    let candidates = order.into_iter().take(CANDIDATES_MAX).map(candidate).collect();
    Explained { chosen, held: held(pool, config, now), candidates, others }
}

/// Why a server takes no request at all now.
fn refused(pool: &Pool, config: &PoolConfig, at: usize, now: Time) -> Option<Verdict> {
    if pool.members.availability(at) == Availability::Out {
        let known = pool.states.get(at);
        return Some(
            known.map_or(Verdict::NoWeight, |known| Verdict::Out(known.state, known.reason.clone())),
        );
    }
    if pool.members.server(at).weight == 0 {
        return Some(Verdict::NoWeight);
    }
    let trip = pool.guard.as_ref().and_then(|guard| guard.servers.get(at));
    if let (Some(trip), Some(settings)) = (trip, &config.server_breaker)
        && trip.refuses(settings, now)
    {
        return Some(Verdict::Open(trip.description(now).unwrap_or_default()));
    }
    let max = config.backends[at].max_connections?;
    (pool.members.server(at).load.in_flight() >= max).then_some(Verdict::Full(max))
}

/// Why a server that takes requests is not the chosen one.
fn outdone(pool: &Pool, config: &PoolConfig, at: usize, chosen: Chosen) -> Verdict {
    let members = &pool.members;
    let rank = |at: usize| (members.availability(at) == Availability::Unproven, members.server(at).backup);
    let ((is_unproven, is_backup), (their_unproven, their_backup)) = (rank(at), rank(chosen.server));
    if chosen.why == Why::Sticky {
        return Verdict::NotItsOwn;
    }
    if is_unproven && !their_unproven {
        return Verdict::Unproven;
    }
    if is_backup && !their_backup {
        return Verdict::Backup;
    }
    Verdict::Passed(match &config.algorithm {
        Algorithm::RoundRobin => Preference::Turn,
        Algorithm::LeastConnections => Preference::InFlight,
        Algorithm::LeastResponseTime => Preference::Latency,
        Algorithm::PowerOfTwo | Algorithm::Random => Preference::Draw,
        Algorithm::IpHash | Algorithm::ConsistentHash(_) | Algorithm::Maglev(_) => Preference::Key,
    })
}

fn held(pool: &Pool, config: &PoolConfig, now: Time) -> Option<Held> {
    let breaker = &pool.guard.as_ref()?.breaker;
    let settings = config.breaker.as_ref().and_then(|breaker| breaker.trip.as_ref());
    let is_open = settings.is_some_and(|settings| breaker.trip.refuses(settings, now));
    if is_open {
        return Some(Held::Open(breaker.trip.description(now).unwrap_or_default()));
    }
    let (max, _) = breaker.limit(config);
    (breaker.in_flight() >= max).then_some(Held::Full(max))
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
