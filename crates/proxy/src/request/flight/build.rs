//! Makes the record of a request that has ended: of its log, of what was noted as it happened, and of what `core` says of
//! routes and servers now.

use evenkeel_core::balance::{Roster, score};
use evenkeel_core::health::State;
use evenkeel_core::route::{Considered, Verdict};
use evenkeel_observe::flight::{
    Candidate, FlightRecord, NearRoute, Redactor, Side, StepKind, WhyKept, milliseconds,
};
use evenkeel_observe::{Client, Ended, RequestFigures};
use evenkeel_types::{Time, cut};

use super::super::log::Finished;
use super::super::noted::{NotedStep, Notes};
use super::steps::Story;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// Routes that a record names beside the one that took the request.
const NEAR_MAX: usize = 8;
/// Servers that a record names.
const CANDIDATES_MAX: usize = 16;
/// Fields of the head that a record holds, and bytes of a name, of a value, and of all together.
const FIELDS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 512;
const FIELDS_BYTES_MAX: usize = 6 << 10;
/// Bytes of a value or target that are looked at.
const READ_BYTES_MAX: usize = 4 << 10;
/// Bytes of the target, and of any other text.
const TARGET_BYTES_MAX: usize = 2 << 10;
const TEXT_BYTES_MAX: usize = 512;

/// The record of a request.
pub fn build(
    (worker, view): (&Worker, &View),
    finished: &Finished<'_>,
    (figures, why_kept): (&RequestFigures, WhyKept),
    now: Time,
    redactor: &Redactor,
) -> FlightRecord {
    let Finished { request, log, ended, .. } = *finished;
    let notes = log.noted.notes();
    let life = now - request.started;
    let near = near_routes(view, finished, redactor);
    let (headers, headers_left_out) = fields(finished, redactor);
    let story = Story { view, finished, notes, near: &near, now };
    let (steps, steps_left_out) = story.steps();
    let (candidates, candidates_left_out) = candidates(finished, notes, now);
    let (client, client_port) = client(finished.client());
    let route = log.route.map(|route| view.snapshot.routes.route(route).name.to_string());
    let pool = finished.pool.map(PoolView::config);
    FlightRecord {
        id: cut(request.id.as_str(), TEXT_BYTES_MAX),
        at: (worker.unix_ns(request.started) / 1_000) as f64 / 1e6,
        client,
        client_port,
        method: cut(request.method, NAME_BYTES_MAX),
        host: cut(request.authority, TEXT_BYTES_MAX),
        target: cut(&redactor.url(&text(finished.target)), TARGET_BYTES_MAX),
        status: figures.status,
        ended: ended.to_string(),
        duration_ms: milliseconds(figures.total),
        nearly: nearly(view, near, log.route),
        route,
        pool: pool.map(|pool| pool.name.to_string()),
        server: pool.zip(log.server).map(|(pool, server)| pool.backends[server].id.to_string()),
        tries: log.tries,
        reason: log.why().map(|why| cut(&why, TEXT_BYTES_MAX)),
        why_kept,
        cause: notes
            .and_then(|notes| notes.cause)
            .filter(|_| why_kept != WhyKept::Sampled)
            .map(str::to_owned),
        listener: finished.listener.to_owned(),
        scheme: request.scheme.to_owned(),
        version: finished.version().as_str().to_owned(),
        headers,
        headers_left_out,
        steps,
        steps_left_out,
        candidates,
        candidates_left_out,
        closed_first: closed_first(ended, notes),
        wait_ms: notes.map_or(0.0, |notes| milliseconds(notes.waited)),
        connect_ms: log.connect.map(milliseconds),
        upload_ms: finished.upload().map(milliseconds),
        first_byte_ms: figures.upstream.map(milliseconds),
        transfer_ms: log
            .answered
            .filter(|_| log.tunnel.is_none())
            .map(|answered| milliseconds(life.saturating_sub(answered - request.started))),
        generation: view.snapshot.generation,
    }
}

fn client(client: Client<'_>) -> (String, Option<u16>) {
    match client {
        Client::Peer(text, port) => (text.to_owned(), Some(port)),
        Client::Ip(ip, port) => (ip.to_string(), Some(port).filter(|port| *port != 0)),
        Client::Unix => ("unix".into(), None),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(READ_BYTES_MAX)]).into_owned()
}

/// The fields of the head, as they may be kept, and how many have no room.
fn fields(finished: &Finished<'_>, redactor: &Redactor) -> (Vec<(String, String)>, usize) {
    let request = finished.request;
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for field in request.fields.iter().take(FIELDS_MAX) {
        let name = text(field.name.of_bytes(request.bytes));
        let value = redactor.field(&name, &text(field.value.of_bytes(request.bytes)));
        let (name, value) = (cut(&name, NAME_BYTES_MAX), cut(&value, VALUE_BYTES_MAX));
        bytes += name.len() + value.len();
        if bytes > FIELDS_BYTES_MAX {
            break;
        }
        kept.push((name, value));
    }
    let left_out = request.fields.len() - kept.len();
    (kept, left_out)
}

/// The routes that match in part, the winner among them. Empty of a head that became no request.
fn near_routes(view: &View, finished: &Finished<'_>, redactor: &Redactor) -> Vec<Considered> {
    let snapshot = &view.snapshot;
    let named = |listener: &evenkeel_config::Listener| listener.name.as_str() == finished.listener;
    match snapshot.config.listeners.iter().position(named) {
        Some(listener) if !finished.request.path.is_empty() => {
            let is_secret = |name: &str| redactor.is_sensitive(name);
            snapshot.routes.near(listener, finished.request, NEAR_MAX, is_secret)
        }
        _ => Vec::new(),
    }
}

fn nearly(view: &View, near: Vec<Considered>, winner: Option<usize>) -> Vec<NearRoute> {
    let others = near.into_iter().filter(|near| near.verdict != Verdict::Won && Some(near.route) != winner);
    let name = |route| view.snapshot.routes.route(route).name.to_string();
    others
        .map(|near| NearRoute { route: name(near.route), why_not: cut(&near.reason, TEXT_BYTES_MAX) })
        .collect()
}

/// The servers of the pool: those that were tried first, then the others in order.
fn candidates(finished: &Finished<'_>, notes: Option<&Notes>, now: Time) -> (Vec<Candidate>, usize) {
    let (Some(pool), log) = (finished.pool, finished.log) else { return (Vec::new(), 0) };
    let (config, servers) = (pool.config(), pool.servers());
    let members: &Roster = &servers.members;
    let failed = |at: usize| {
        let id = &config.backends[at].id;
        let steps = notes?.steps.iter().rev();
        let is_failure = |step: &NotedStep| {
            step.took.is_some() && matches!(step.kind, StepKind::Connect | StepKind::Answer)
        };
        let mut failures = steps.filter(|step| step.server.as_ref() == Some(id) && is_failure(step));
        failures.next().map(|step| format!("tried: {}", step.what))
    };
    let chosen = |at: usize| log.why.filter(|_| log.server == Some(at)).map(|why| format!("chosen: {why}"));
    let standing = |at: usize| match &servers.states[at] {
        state if state.state != State::Up => Some(cut(&state.reason, TEXT_BYTES_MAX)),
        _ if !members.usable(at) => Some("its weight is 0".into()),
        _ if members.server(at).backup => Some("a backup".into()),
        _ => None,
    };
    let mut order: Vec<usize> = (0..members.len().min(servers.states.len())).collect();
    order.sort_by_key(|&at| (log.server != Some(at), failed(at).is_none()));
    let left_out = order.len().saturating_sub(CANDIDATES_MAX);
    let candidate = |at: usize| Candidate {
        server: config.backends[at].id.to_string(),
        state: servers.states[at].state.to_string(),
        score: score(&config.algorithm, members, at, now).map(|score| (score * 1e3).round() / 1e3),
        in_flight: members.server(at).load.in_flight(),
        weight: members.effective_weight(at),
        why: failed(at).or_else(|| chosen(at)).or_else(|| standing(at)),
    };
    (order.into_iter().take(CANDIDATES_MAX).map(candidate).collect(), left_out)
}

fn closed_first(ended: Ended, notes: Option<&Notes>) -> Option<Side> {
    match ended {
        Ended::ClientAborted => Some(Side::Client),
        Ended::ClientTimeout | Ended::BackendTimeout | Ended::RequestTimeout | Ended::FileAborted => {
            Some(Side::Proxy)
        }
        Ended::BackendAborted => notes.and_then(|notes| notes.closed_first).or(Some(Side::Server)),
        Ended::Complete | Ended::Refused | Ended::Tunnel => None,
    }
}
