//! Requests that were seen, replayed through two configurations by the functions of the data path.

use std::net::{IpAddr, SocketAddr};

use evenkeel_config::{Config, Listener};
use evenkeel_core::plan::{Comparison, End, Outcome, REDACTED, Sample};
use evenkeel_core::snapshot::Snapshot;
use evenkeel_net::Peer;
use evenkeel_observe::Registry;
use evenkeel_proxy::http::framing::Framing;
use evenkeel_proxy::http::head::{HeadLimits, parse_request};
use evenkeel_proxy::{Origin, Secure, admit};
use evenkeel_types::{Address, RequestIdText, Time};
use serde_json::Value;

use crate::servers::{Derived, ServerRegistry};

/// Combinations of values that are tried in place of redacted ones, for one request.
const STAND_INS_MAX: usize = 256;

/// Replays requests through two configurations.
///
/// # Errors
/// One of them cannot be put in force.
pub fn replay(before: &Config, after: &Config, samples: &[Sample]) -> Result<Comparison, String> {
    let (before, after) = (snapshot(before)?, snapshot(after)?);
    let mut comparison = Comparison::default();
    for sample in samples {
        let configs = [&*before.config, &*after.config];
        if let Some(name) = unknown_query(sample, &configs) {
            comparison.add_unknown(sample, &format!("a route depends on the query parameter {name}"));
            continue;
        }
        let unknown = unknown(sample, &configs);
        let outcomes = |stand_ins: Vec<StandIns>| -> Vec<(Outcome, Outcome)> {
            let both =
                |it: &StandIns| (outcome(&before, None, sample, it), ends(&before, &after, sample, it));
            stand_ins.iter().map(both).collect()
        };
        let outcomes = combinations(&unknown).map(outcomes).unwrap_or_default();
        // Whatever the values are, nothing changes; or the same changes.
        let is_certain =
            outcomes.iter().all(|(was, is)| was == is) || outcomes.iter().all(|it| *it == outcomes[0]);
        match outcomes.first() {
            Some((was, is)) if is_certain => comparison.add(sample, was, is),
            _ => {
                let names: Vec<&str> = unknown.iter().map(|(name, _)| name.as_str()).collect();
                comparison.add_unknown(sample, &format!("a route depends on {}", names.join(", ")));
            }
        }
    }
    Ok(comparison)
}

/// The snapshot that a replay needs. It reads no file.
fn snapshot(config: &Config) -> Result<Snapshot, String> {
    let mut config = config.clone();
    config.server.secret_file = None;
    Ok(ServerRegistry::new(Derived::of(config, None)?, Registry::new(1), Time::ZERO).snapshot())
}

/// The redacted fields of the request that a route has a condition on, each with the values that make a difference, and one that
/// stands for all others.
fn unknown(sample: &Sample, configs: &[&Config]) -> Vec<(String, Vec<String>)> {
    let routes = || configs.iter().flat_map(|config| &config.routes);
    let mut unknown = Vec::new();
    for name in sample.redacted() {
        let named = routes().flat_map(|route| &route.headers).filter(|(of, _)| *of == name);
        let mut values: Vec<String> = named.map(|(_, value)| value.clone()).collect();
        values.sort_unstable();
        values.dedup();
        if !values.is_empty() && unknown.iter().all(|(of, _)| *of != name) {
            values.push(REDACTED.into());
            unknown.push((name, values));
        }
    }
    unknown
}

/// A redacted query parameter of the request that a route has a condition on.
fn unknown_query<'s>(sample: &'s Sample, configs: &[&Config]) -> Option<&'s str> {
    let is_asked_for = |name: &&str| {
        let routes = configs.iter().flat_map(|config| &config.routes);
        routes.flat_map(|route| &route.query).any(|(of, _)| of == name)
    };
    sample.redacted_query().find(is_asked_for)
}

/// Values in place of redacted fields, by their names.
type StandIns = Vec<(String, String)>;

/// All combinations of values for the redacted fields; `None` if there are too many.
fn combinations(unknown: &[(String, Vec<String>)]) -> Option<Vec<StandIns>> {
    let mut all = vec![Vec::new()];
    for (name, values) in unknown {
        if all.len() * values.len() > STAND_INS_MAX {
            return None;
        }
        let with = |chosen: &Vec<(String, String)>, value: &String| {
            let mut chosen = chosen.clone();
            chosen.push((name.clone(), value.clone()));
            chosen
        };
        all = all.iter().flat_map(|chosen| values.iter().map(move |value| with(chosen, value))).collect();
    }
    Some(all)
}

/// Where the request would end: by the listener that then has an address of the one that it came by, preferably the one of the same
/// name.
fn ends(before: &Snapshot, after: &Snapshot, sample: &Sample, stand_ins: &[(String, String)]) -> Outcome {
    let of_name = |it: &&Listener| it.name.as_str() == sample.listener;
    let now = after.config.listeners.iter().find(of_name);
    let Some(was) = before.config.listeners.iter().find(of_name) else {
        return outcome(after, now, sample, stand_ins);
    };
    let has = |wide: &Address, address: &Address| wide == address || evenkeel_net::covers(wide, address);
    let keeps = |it: &&Listener| {
        it.transport() == was.transport()
            && it.bind.iter().any(|wide| was.bind.iter().any(|address| has(wide, address)))
    };
    match now.filter(keeps).or_else(|| after.config.listeners.iter().find(keeps)) {
        None if now.is_some() => {
            let addresses: Vec<String> = was.bind.iter().map(Address::to_string).collect();
            let why = format!("nothing listens on {} any more", addresses.join(" or "));
            Outcome::without_route(End::Unreachable(why))
        }
        listener => outcome(after, listener, sample, stand_ins),
    }
}

/// Where the request ends by one configuration, if it comes by this listener; without one, by that of its name.
fn outcome(
    snapshot: &Snapshot,
    listener: Option<&Listener>,
    sample: &Sample,
    stand_ins: &[(String, String)],
) -> Outcome {
    let name = listener.map_or(sample.listener.as_str(), |listener| listener.name.as_str());
    let listeners = &snapshot.config.listeners;
    let Some(position) = listeners.iter().position(|it| it.name.as_str() == name) else {
        return Outcome::without_route(End::Unreachable(format!("there is no listener {name}")));
    };
    let listener = &listeners[position];
    if listener.is_layer4() {
        let why = format!("listener {name} relays TCP or UDP, and takes no HTTP requests");
        return Outcome::without_route(End::Unreachable(why));
    }
    let head = sample.head(stand_ins);
    let mut fields = Vec::new();
    let limits = HeadLimits::of_requests(&snapshot.config.limits);
    let refused = |status: u16, why: &str| Outcome::without_route(End::Refused(status, why.into()));
    let parsed = match parse_request(head.as_bytes(), limits, &mut fields) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return refused(400, "the head of the request is incomplete"),
        Err(error) => {
            let refusal = evenkeel_proxy::Refusal::from(error);
            return refused(refusal.status, &refusal.why);
        }
    };
    let (peer_text, secure) = (sample.client.to_string(), Secure::default());
    let origin = Origin {
        listener,
        reserved: &[],
        secure: listener.tls.is_some().then_some(&secure),
        peer: Peer::Ip(SocketAddr::new(sample.client, 0)),
        peer_text: &peer_text,
        port: None,
        sender: None,
        unsent: None,
        now: Time::ZERO,
        fresh_id: RequestIdText::Given(sample.id.as_str().into()),
        known_host: None,
    };
    match admit(head.as_bytes(), &parsed, &fields, origin) {
        Ok(request) => {
            let body = if let Framing::Length(length) = request.declared { Some(length) } else { None };
            Outcome::of(snapshot, position, &request, body)
        }
        Err(refusal) => refused(refusal.status, &refusal.why),
    }
}

/// The requests in the flight recorder of a process, as `GET /requests?heads=true` shows them, and how many of them cannot be
/// replayed.
pub fn samples(answer: &Value) -> (Vec<Sample>, usize) {
    let requests = answer["requests"].as_array().map_or(&[][..], Vec::as_slice);
    let samples: Vec<Sample> = requests.iter().filter_map(sample).collect();
    let others = requests.len() - samples.len();
    (samples, others)
}

fn sample(request: &Value) -> Option<Sample> {
    let text = |key: &str| request[key].as_str().map(str::to_owned);
    let header = |pair: &Value| {
        let (name, value) = (pair[0].as_str()?, pair[1].as_str()?);
        // A head cannot have such a field.
        let is_sound = |text: &str| !text.contains(['\r', '\n', '\0']);
        (is_sound(name) && is_sound(value)).then(|| (name.to_owned(), value.to_owned()))
    };
    let client: IpAddr = request["client"].as_str()?.parse().ok()?;
    Some(Sample {
        id: text("id").unwrap_or_default(),
        listener: text("listener")?,
        scheme: text("scheme").unwrap_or_else(|| "http".into()),
        method: text("method").filter(|method| !method.is_empty())?,
        host: text("host").unwrap_or_default(),
        target: text("target").filter(|target| !target.contains([' ', '\r', '\n']) && !target.is_empty())?,
        headers: request["headers"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(header)
            .collect(),
        client,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "replay_tests.rs"]
mod tests;
