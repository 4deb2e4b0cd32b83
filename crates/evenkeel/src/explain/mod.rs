//! Where a request would go, and why: for `evenkeel explain`, which reads a configuration, and for `POST /explain`, which
//! asks a running process. Both ask the very functions that the data path asks.

mod caching;
mod files;
mod tcp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use evenkeel_config::{Config, Listener, Pool, Priority, Route, Transport, unknown_name};
use evenkeel_core::admission::describe_wait;
use evenkeel_core::balance::Picker;
use evenkeel_core::breaker;
use evenkeel_core::compress;
use evenkeel_core::explain::{Explained, explain};
use evenkeel_core::overload::OverloadStep;
use evenkeel_core::plan::{self, Act, Denied, Routed, Taken};
use evenkeel_core::retry;
use evenkeel_core::route::{Trace, Verdict, parse_host, rewrite};
use evenkeel_core::snapshot::{PoolState, Snapshot};
use evenkeel_net::Peer;
use evenkeel_proxy::http::framing::Framing;
use evenkeel_proxy::http::head::{HeadLimits, parse_request};
use evenkeel_proxy::{Origin, Refusal, Request, Secure, admit};
use evenkeel_tls::Coverage;
use evenkeel_types::{RequestIdText, Time};
use serde_json::{Value, json};

use self::caching::cached;
use self::files::file;
use self::tcp::Connection;

/// What is asked about.
#[derive(Debug)]
pub struct Question {
    /// The method; `tcp` for a connection, `udp` for a datagram.
    pub method: String,
    /// The URL; of a connection or datagram the address.
    pub url: String,
    /// Headers of the request, as `name: value`.
    pub headers: Vec<String>,
    /// The client's address.
    pub client: IpAddr,
    /// The server name in the TLS hello of a connection.
    pub sni: Option<String>,
    /// The listener that it comes by.
    pub listener: Option<String>,
}

/// What is known of the process that would take the request.
#[derive(Debug)]
pub struct Known<'s, C> {
    /// Its configuration, and its servers.
    pub snapshot: &'s Arc<Snapshot>,
    /// The names of the certificate that a client gets which asks a listener for this host.
    pub coverage: C,
    /// The time.
    pub now: Time,
    /// How far the process withdraws.
    pub step: OverloadStep,
}

/// The position of the listener that the question is about.
///
/// # Errors
/// There is none.
pub fn listener(config: &Config, question: &Question) -> Result<usize, String> {
    let is_https = question.url.starts_with("https://");
    match (&question.listener, transport(question)) {
        (None, Some(transport)) => tcp::listener(config, transport, &question.url),
        (None, None) => {
            let fits = |l: &Listener| !l.is_layer4() && l.tls.is_some() == is_https;
            match config.listeners.iter().position(fits) {
                None if config.listeners.is_empty() => Err("there is no listener".into()),
                found => Ok(found.unwrap_or(0)),
            }
        }
        (Some(name), _) => {
            config.listeners.iter().position(|listener| listener.name.as_str() == name).ok_or_else(|| {
                let known = config.listeners.iter().map(|listener| listener.name.as_str());
                unknown_name(format_args!("there is no listener {name}"), name, known)
            })
        }
    }
}

fn transport(question: &Question) -> Option<Transport> {
    match question.method.as_str() {
        "tcp" => Some(Transport::Stream),
        "udp" => Some(Transport::Datagram),
        _ => None,
    }
}

impl<C: Fn(&Listener, &str) -> Option<Coverage>> Known<'_, C> {
    /// What would become of it at the listener at this position.
    ///
    /// # Errors
    /// Nothing like that can be asked there.
    pub fn answer(&self, listener: usize, question: &Question) -> Result<Value, String> {
        let by = &self.snapshot.config.listeners[listener];
        if let Some(transport) = transport(question) {
            if by.transport() != transport {
                let kind = by.protocol.word();
                return Err(format!(
                    "listener {} has `protocol = \"{kind}\"`, and no {} comes there",
                    by.name, question.method
                ));
            }
            let connection = Connection { client: question.client, sni: question.sni.as_deref() };
            return tcp::answer(self.snapshot, listener, &connection, (self.now, self.step));
        }
        if by.is_layer4() {
            let (name, kind) = (&by.name, by.protocol.word());
            return Err(format!("listener {name} takes no requests: write `explain {kind} ADDRESS`"));
        }
        self.request(listener, question)
    }

    fn request(&self, listener: usize, question: &Question) -> Result<Value, String> {
        let config = &self.snapshot.config;
        let by = &config.listeners[listener];
        let head = head(question)?;
        let mut fields = Vec::new();
        let parsed =
            match parse_request(head.as_bytes(), HeadLimits::of_requests(&config.limits), &mut fields) {
                Ok(parsed) => parsed.ok_or("the request has no end")?,
                Err(error) => return Ok(refused(by, &error.into())),
            };
        let peer_text = question.client.to_string();
        let secure = Secure { coverage: self.covered(by, split(&question.url)?.0), subject: None };
        let origin = Origin {
            listener: by,
            reserved: &[],
            secure: by.tls.is_some().then_some(&secure),
            peer: Peer::Ip(SocketAddr::new(question.client, 0)),
            peer_text: &peer_text,
            port: None,
            sender: None,
            unsent: None,
            now: Time::ZERO,
            fresh_id: RequestIdText::Given("explain".into()),
            known_host: None,
        };
        match admit(head.as_bytes(), &parsed, &fields, origin) {
            Ok(request) => {
                let length = if let Framing::Length(length) = request.declared { Some(length) } else { None };
                Ok(answer(self.snapshot, listener, &request, (length, self.now, self.step)))
            }
            Err(refusal) => Ok(refused(by, &refusal)),
        }
    }

    /// `None` of a host that a client does not ask for by name (RFC 6066, 3).
    fn covered(&self, listener: &Listener, authority: &str) -> Option<Coverage> {
        let (name, _) = parse_host(authority).ok()?;
        let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
        listener.tls.as_ref().filter(|_| !is_address && !name.is_empty())?;
        (self.coverage)(listener, &name)
    }
}

/// The answer to a request that the listener refuses before it looks for a route.
fn refused(by: &Listener, refusal: &Refusal) -> Value {
    json!({ "listener": by.name.as_str(), "status": refusal.status, "reason": refusal.why })
}

/// Host and port of a URL, and what follows them. A path alone has no host.
fn split(url: &str) -> Result<(&str, &str), String> {
    if url.starts_with('/') {
        return Ok(("", url));
    }
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some((scheme, _)) if !scheme.contains(['/', '?']) => {
            return Err(format!("{scheme}:// is neither http:// nor https://"));
        }
        _ => {
            return Err(format!("`{url}` is neither a URL nor a path: write `http://{url}` or `/{url}`"));
        }
    };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if host.is_empty() {
        return Err(format!("`{url}` names no host"));
    }
    Ok((host, path))
}

/// Refuses what a request cannot be for; of a connection or datagram it says nothing.
///
/// # Errors
/// It is neither a URL nor a path.
pub fn check_url(question: &Question) -> Result<(), String> {
    match transport(question) {
        Some(_) => Ok(()),
        None => split(&question.url).map(drop),
    }
}

/// Refuses what is no header.
///
/// # Errors
/// It has no colon, or more than one line.
pub fn check_header(text: &str) -> Result<(), String> {
    if text.contains(':') && !text.contains(['\r', '\n']) {
        return Ok(());
    }
    Err(format!("`{text}` is no header: it takes the form 'name: value'"))
}

/// The request as it would come over the wire.
fn head(question: &Question) -> Result<String, String> {
    let (host, path) = split(&question.url)?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("{} {slash}{path} HTTP/1.1\r\n", question.method);
    let names_host = |header: &String| header.to_ascii_lowercase().starts_with("host:");
    if !question.headers.iter().any(names_host) {
        head.push_str(&format!("host: {host}\r\n"));
    }
    for header in &question.headers {
        check_header(header)?;
        head.push_str(&format!("{header}\r\n"));
    }
    head.push_str("\r\n");
    Ok(head)
}

/// Follows the order of decisions that the data path follows.
fn answer(
    snapshot: &Snapshot,
    listener: usize,
    request: &Request<'_>,
    (length, now, step): (Option<u64>, Time, OverloadStep),
) -> Value {
    let name = snapshot.config.listeners[listener].name.as_str();
    let mut answer = json!({ "listener": name, "host": request.host, "path": request.path });
    let routed = plan::route(snapshot, listener, request, length, step);
    if let Ok(Routed::ToHttps(to)) = routed {
        (answer["status"], answer["location"]) = (json!(308), json!(to));
        return answer;
    }
    let trace = snapshot.routes.trace(listener, request);
    answer["considered"] = json!(considered(snapshot, &trace));
    let others = trace.considered.len().saturating_sub(CONSIDERED_MAX);
    if others > 0 {
        answer["others"] = json!(others);
    }
    let taken = match routed {
        Ok(Routed::By(taken)) => taken,
        Err(denied) => return deny(answer, snapshot, denied),
        Ok(Routed::ToHttps(_)) => return answer,
    };
    answer["route"] = json!(taken.route.name.as_str());
    protection(&mut answer, taken.route);
    match plan::act(snapshot, &taken, request, || fastrand::u64(..)) {
        Ok(Act::Respond(respond)) => {
            answer["status"] = json!(respond.status);
            let facts = compress::Facts {
                status: respond.status,
                content_type: Some(respond.content_type.as_bytes()),
                length: Some(respond.body.len() as u64),
                ..compress::Facts::default()
            };
            compressed(&mut answer, taken.route, request, Some(&facts));
        }
        Ok(Act::Redirect { status, location }) => {
            (answer["status"], answer["location"]) = (json!(status), json!(location));
        }
        Ok(Act::Forward(pool)) => {
            forwarded(&mut answer, (snapshot, pool), &taken, request, now);
            compressed(&mut answer, taken.route, request, None);
        }
        Ok(Act::Files { files, path }) => file(&mut answer, files, &path, taken.route, request),
        Err(denied) => return deny(answer, snapshot, denied),
    }
    answer
}

/// The answer to a request that goes no further.
fn deny(mut answer: Value, snapshot: &Snapshot, denied: Denied) -> Value {
    if let Some(route) = denied.route {
        answer["route"] = json!(snapshot.routes.route(route).name.as_str());
    }
    (answer["status"], answer["reason"]) = (json!(denied.why.status()), json!(denied.why.to_string()));
    answer
}

/// What stands between the request and its answer, as far as the route says something about it.
fn protection(answer: &mut Value, route: &Route) {
    let sizes = route.limits.to_toml();
    let priority = Some(route.priority.word()).filter(|_| route.priority != Priority::Normal);
    let limits: Vec<String> = route.rate_limits.iter().map(ToString::to_string).collect();
    let rows = [
        ("priority", priority.map(str::to_owned)),
        ("sizes", (!sizes.is_empty()).then(|| sizes.join(", "))),
        ("limits", (!limits.is_empty()).then(|| limits.join("; "))),
        ("deadline", route.deadline_header.as_ref().map(|header| format!("in {}", header.name()))),
        ("mirror", route.mirror.as_ref().map(ToString::to_string)),
    ];
    for (key, value) in rows.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        answer[key] = json!(value);
    }
}

fn compressed(answer: &mut Value, route: &Route, request: &Request<'_>, facts: Option<&compress::Facts<'_>>) {
    if let Some(settings) = &route.compress {
        answer["compress"] = json!(compress::describe(settings, &request.accepted(), facts));
    }
}

/// Routes that are shown: the winner, and those that come nearest to it.
const CONSIDERED_MAX: usize = 20;

fn considered(snapshot: &Snapshot, trace: &Trace) -> Vec<Value> {
    let verdict = |verdict| match verdict {
        Verdict::Won => "won",
        Verdict::LessSpecific => "less specific",
        Verdict::Refused => "refused",
    };
    let row = |considered: &evenkeel_core::route::Considered| {
        json!({
            "route": snapshot.routes.route(considered.route).name.as_str(),
            "verdict": verdict(considered.verdict),
            "reason": considered.reason,
        })
    };
    trace.considered.iter().take(CONSIDERED_MAX).map(row).collect()
}

fn forwarded(
    answer: &mut Value,
    (snapshot, pool): (&Snapshot, usize),
    taken: &Taken<'_>,
    request: &Request<'_>,
    now: Time,
) {
    let Taken { position, route, .. } = *taken;
    let state = snapshot.pools[pool].state();
    let config = &state.config;
    pool_facts(answer, config);
    split_shares(answer, snapshot, position);
    let path = request.forwarded(route);
    let target = rewrite(route, &path);
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    answer["target"] = json!(format!("{target}{query}"));
    answer["retry"] = json!(retry::describe(&route.retry));
    if let Some(hedge) = &route.hedge {
        answer["hedge"] = json!(retry::describe_hedge(hedge));
    }
    if let Some(rules) = &route.cache {
        let parents = snapshot.parent_of(position).map(|parents| snapshot.pools[parents].state());
        cached(answer, rules, (&target, &path), (route, config, parents.as_deref()), request);
    }
    if let Some(waits) = describe_wait(config) {
        answer["waits"] = json!(waits);
    }
    let mut picker = Picker::new(fastrand::u64(..));
    let explained = explain(&state, &mut picker, request, now);
    candidates(answer, &state, &explained);
    match (&explained.held, explained.chosen) {
        (Some(held), _) => (answer["status"], answer["reason"]) = (json!(503), json!(held.to_string())),
        (None, Some(chosen)) => {
            let backend = &config.backends[chosen.server];
            answer["server"] = json!(backend.id.as_str());
            answer["address"] = json!(backend.address.to_string());
            answer["reason"] = json!(chosen.why.to_string());
        }
        (None, None) => {
            answer["status"] = json!(503);
            answer["reason"] = json!(format!("no server of pool {} takes requests", config.name));
        }
    }
}

/// The servers of the pool, and why each was chosen or not.
fn candidates(answer: &mut Value, pool: &PoolState, explained: &Explained) {
    let row = |candidate: &evenkeel_core::explain::Candidate| {
        let backend = &pool.config.backends[candidate.server];
        let is_chosen = explained.chosen.is_some_and(|chosen| chosen.server == candidate.server);
        let mut row = json!({
            "server": backend.id.as_str(),
            "address": backend.address.to_string(),
            "state": candidate.state.as_str(),
            "chosen": is_chosen,
            "in_flight": candidate.in_flight,
            "weight": pool.servers.states[candidate.server].weight,
            "why": candidate.verdict.to_string(),
        });
        if let Some(latency) = candidate.latency {
            row["latency_ms"] = json!((latency.as_secs_f64() * 1e6).round() / 1e3);
        }
        row
    };
    answer["candidates"] = explained.candidates.iter().map(row).collect();
    if explained.others > 0 {
        answer["other_candidates"] = json!(explained.others);
    }
}

/// The pool, and what limits it.
fn pool_facts(answer: &mut Value, pool: &Pool) {
    answer["pool"] = json!(pool.name.as_str());
    if let Some(breaker) = breaker::describe(pool) {
        answer["breaker"] = json!(breaker);
    }
}

/// Which share each pool of a `split` gets now.
fn split_shares(answer: &mut Value, snapshot: &Snapshot, route: usize) {
    if let Some(split) = snapshot.split_of(route) {
        let total: u32 = split.iter().map(|(_, weight)| weight).sum();
        let shares =
            split.iter().map(|(name, weight)| format!("{name} {weight}/{total}")).collect::<Vec<_>>();
        answer["split"] = json!(shares.join(", "));
    }
}
