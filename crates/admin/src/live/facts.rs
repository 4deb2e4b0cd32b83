//! Reads the facts of this second for [`Problems`](super::problems::Problems).

use std::collections::HashSet;
use std::time::SystemTime;

use evenkeel_core::breaker::{CircuitState, Trip};
use evenkeel_core::health::State;
use evenkeel_core::overload::{OverloadCause, OverloadStep};
use evenkeel_core::snapshot::PoolState;
use evenkeel_observe::events::{EventKind, Severity};
use evenkeel_types::{BackendId, PoolName, Time};

use super::problems::{CertificateFacts, Facts, PoolFacts, Problem, ServerFacts};
use super::state::now;
use super::window::Recent;
use crate::context::Context;
use crate::rounded::rounded;

/// Servers of one pool that are looked at as problems.
const SERVERS_MAX: usize = 100;

/// What is wrong at this moment, the worst first: the one list for everybody who asks.
pub(crate) fn problems(context: &Context) -> Vec<Problem> {
    let recent = context.live.recent();
    let facts = facts(context, &recent, now());
    context.live.lock().problems.found(&facts)
}

/// The facts of this second, which is `at` by the wall clock; `recent` are its last seconds.
pub(super) fn facts(context: &Context, recent: &Recent, at: f64) -> Facts {
    let snapshot = context.snapshot.load();
    let unusable: HashSet<&PoolName> = snapshot.unusable().collect();
    let moment = Moment { now: context.clock.now(), at };
    let pools = snapshot.config.pools.iter().zip(&snapshot.pools).map(|(configured, handle)| {
        let state = handle.state();
        let known = context.discoveries.of(&configured.name);
        PoolFacts {
            recent: recent.outcomes(&configured.name),
            discovery: known.as_deref().and_then(|known| known.error.clone()),
            is_needed: unusable.contains(&configured.name),
            ..pool(&state, moment)
        }
    });
    Facts {
        at,
        pools: pools.collect(),
        overload: overload(context),
        certificates: certificates(context),
        stale_files: context.registry.stale_files().to_vec(),
        reload: reload(context),
        log_dropped: recent.log_dropped,
    }
}

/// A moment by both clocks.
#[derive(Clone, Copy)]
struct Moment {
    now: Time,
    at: f64,
}

impl Moment {
    /// A time of the process's clock, in seconds since the Unix epoch.
    fn unix(self, time: Time) -> f64 {
        rounded(self.at - self.now.since(time).as_secs_f64())
    }
}

fn pool(state: &PoolState, moment: Moment) -> PoolFacts {
    let servers = &state.servers;
    let guard = servers.guard.as_ref();
    let trips = guard.map_or(&[][..], |guard| &guard.servers);
    // A server of weight 0 gets no request, except those of clients that are sticky to it.
    let is_sticky = state.config.sticky.is_some();
    let of = |at: usize| {
        let known = &servers.states[at];
        let breaker = trips.get(at).and_then(|trip| troubled(trip));
        let is_out = matches!(known.state, State::Down | State::Ejected) && (known.weight > 0 || is_sticky);
        (is_out || breaker.is_some()).then(|| ServerFacts {
            id: BackendId::clone(&state.config.backends[at].id),
            state: known.state,
            reason: known.reason.clone(),
            since: moment.unix(known.since),
            breaker,
        })
    };
    PoolFacts {
        name: state.config.name.clone(),
        is_needed: true,
        usable: servers.members.usable_count(),
        panic: servers.panic.map(|since| moment.unix(since)),
        breaker: guard.and_then(|guard| troubled(&guard.breaker.trip)),
        waiting: guard.map_or(0, |guard| guard.breaker.waiting()) + servers.arrivals.waiting(),
        discovery: None,
        recent: (0, 0),
        servers: (0..servers.states.len()).filter_map(of).take(SERVERS_MAX).collect(),
    }
}

fn troubled(trip: &Trip) -> Option<(CircuitState, String)> {
    if trip.is_closed() { None } else { Some(trip.state()) }
}

fn overload(context: &Context) -> Vec<(&'static str, &'static str)> {
    let step = |cause: &OverloadCause| {
        let value = context.registry.overload[*cause as usize].value();
        OverloadStep::of(u8::try_from(value).unwrap_or_default())
    };
    let steps = OverloadCause::ALL.iter().map(|cause| (cause.as_str(), step(cause)));
    steps
        .filter(|(_, step)| *step != OverloadStep::None)
        .map(|(cause, step)| (cause, step.as_str()))
        .collect()
}

fn certificates(context: &Context) -> Vec<CertificateFacts> {
    let now = SystemTime::now();
    let certificates = context.registry.certificates();
    let near = certificates.iter().filter_map(|certificate| {
        Some(CertificateFacts {
            listener: certificate.listener.clone(),
            cert: certificate.cert.clone(),
            days_left: certificate.days_left(now),
            warning: certificate.warning(now)?,
        })
    });
    near.collect()
}

/// The last reload, if it has failed.
fn reload(context: &Context) -> Option<(f64, Severity, String)> {
    let last = context.registry.events.last_of(EventKind::Reload)?;
    (last.severity != Severity::Info).then_some((last.at, last.severity, last.what))
}
