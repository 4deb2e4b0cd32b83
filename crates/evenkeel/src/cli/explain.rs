//! `evenkeel explain`: where a request would go, and why. It asks the very functions that the data path asks.

mod caching;
mod discovering;
mod tcp;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use evenkeel_config::{Action, Config, Files, Listener, Pool, Priority, Route, Transport};
use evenkeel_core::admission::describe_wait;
use evenkeel_core::balance::Picker;
use evenkeel_core::breaker;
use evenkeel_core::choose::choose;
use evenkeel_core::compress;
use evenkeel_core::files::{FileMethod, FilePath, cache_control, content_type};
use evenkeel_core::overload::OverloadStep;
use evenkeel_core::plan::{self, Act, Denied, Routed, Taken};
use evenkeel_core::retry;
use evenkeel_core::route::{Trace, Verdict, parse_host, rewrite};
use evenkeel_core::snapshot::Snapshot;
use evenkeel_net::Peer;
use evenkeel_observe::Registry;
use evenkeel_proxy::http::framing::Framing;
use evenkeel_proxy::http::head::{HeadLimits, parse_request};
use evenkeel_proxy::{Origin, Request, Secure, admit};
use evenkeel_tls::{Coverage, ServerTls};
use evenkeel_types::Time;
use serde_json::{Value, json};

use self::caching::cached;
use self::discovering::{Findings, discover};
use self::tcp::Connection;
use super::output::{fail, print};
use super::source::Source;
use crate::servers::{Derived, ServerRegistry};

#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    source: Source,
    /// The method, as in GET; tcp for a connection, udp for a datagram
    method: String,
    /// The URL, as in https://shop.example.com/api/cart; with tcp and udp the address, as in 127.0.0.1:5432
    url: String,
    /// A header of the request, as in 'x-canary: 1'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,
    /// With tcp: the server name that the client asks for in its TLS hello
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The listener that the request comes by; the first one if left out
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Ask the name servers for the servers that pools discover by name
    #[arg(long)]
    resolve: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Explain) -> ExitCode {
    let config = match args.source.load() {
        Ok(parsed) => parsed.config,
        Err(code) => return code,
    };
    match explain(args, config) {
        Ok(answer) if args.json => print(&format!("{answer:#}\n")),
        Ok(answer) => print(&text(&answer)),
        Err(error) => fail(&error),
    }
}

fn explain(args: &Explain, mut config: Config) -> Result<Value, String> {
    // Nothing is known here of which servers are up: all of them count as such.
    config.pools.iter_mut().for_each(|pool| pool.health = None);
    let is_https = args.url.starts_with("https://");
    let transport = match args.method.as_str() {
        "tcp" => Some(Transport::Stream),
        "udp" => Some(Transport::Datagram),
        _ => None,
    };
    let listener = match (&args.listener, transport) {
        (None, Some(transport)) => tcp::listener(&config, transport, &args.url)?,
        (None, None) => {
            let fits = |l: &Listener| !l.is_layer4() && l.tls.is_some() == is_https;
            config.listeners.iter().position(fits).unwrap_or(0)
        }
        (Some(name), _) => config
            .listeners
            .iter()
            .position(|listener| listener.name.as_str() == name)
            .ok_or_else(|| format!("there is no listener {name}"))?,
    };
    let limits = HeadLimits::of_requests(&config.limits);
    let mut servers = ServerRegistry::new(Derived::of(config, None)?, Registry::new(1), Time::ZERO);
    let findings = discover(&mut servers, args.resolve)?;
    let snapshot = Arc::new(servers.snapshot());
    let by = &snapshot.config.listeners[listener];
    if let Some(transport) = transport {
        if by.transport() != transport {
            let kind = by.protocol.word();
            return Err(format!(
                "listener {} has `protocol = \"{kind}\"`, and no {} comes there",
                by.name, args.method
            ));
        }
        let connection = Connection { client: args.client, sni: args.sni.as_deref() };
        let mut answer = tcp::answer(&snapshot, listener, &connection)?;
        discovered(&mut answer, &findings);
        return Ok(answer);
    }
    if by.is_layer4() {
        let (name, kind) = (&by.name, by.protocol.word());
        return Err(format!("listener {name} takes no requests: write `explain {kind} ADDRESS`"));
    }

    let head = head(args)?;
    let mut fields = Vec::new();
    let parsed = parse_request(head.as_bytes(), limits, &mut fields)
        .map_err(|error| format!("the request would be refused: {error}"))?
        .ok_or("the request has no end")?;
    let peer_text = args.client.to_string();
    let secure = Secure { coverage: coverage(by, split(&args.url)?.0), subject: None };
    let origin = Origin {
        listener: by,
        reserved: &[],
        secure: by.tls.is_some().then_some(&secure),
        peer: Peer::Ip(SocketAddr::new(args.client, 0)),
        peer_text: &peer_text,
        port: None,
        sender: None,
        now: Time::ZERO,
        fresh_id: "explain",
        known_host: None,
    };
    match admit(head.as_bytes(), &parsed, &fields, origin) {
        Ok((request, framing)) => {
            let length = if let Framing::Length(length) = framing { Some(length) } else { None };
            let mut answer = answer(&snapshot, listener, &request, length);
            discovered(&mut answer, &findings);
            Ok(answer)
        }
        Err(refusal) => Ok(json!({ "status": refusal.status, "reason": refusal.why })),
    }
}

/// The names of the certificate that a client gets when it asks for this host; `None` if it does not ask by name (RFC 6066, 3).
/// Without the files of the certificates, which may be on another machine, nothing is known of it.
fn coverage(listener: &Listener, authority: &str) -> Option<Coverage> {
    let (name, _) = parse_host(authority).ok()?;
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    let settings = listener.tls.as_ref().filter(|_| !is_address && !name.is_empty())?;
    match ServerTls::load(settings, listener.http) {
        Ok(tls) => Some(tls.coverage(Some(&name))),
        Err(error) => {
            eprintln!("warning: cannot read the certificates, so the answer leaves them out: {error}");
            None
        }
    }
}

/// Host and port of a URL, and what follows them.
fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some((scheme, _)) => return Err(format!("{scheme}:// is neither http:// nor https://")),
        None => url,
    };
    Ok(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// The request as it would come over the wire.
fn head(args: &Explain) -> Result<String, String> {
    let (host, path) = split(&args.url)?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("{} {slash}{path} HTTP/1.1\r\n", args.method);
    let names_host = |header: &String| header.to_ascii_lowercase().starts_with("host:");
    if !args.headers.iter().any(names_host) {
        head.push_str(&format!("host: {host}\r\n"));
    }
    for header in &args.headers {
        if !header.contains(':') || header.contains(['\r', '\n']) {
            return Err(format!("`{header}` is no header: it takes the form 'name: value'"));
        }
        head.push_str(&format!("{header}\r\n"));
    }
    head.push_str("\r\n");
    Ok(head)
}

/// Follows the order of decisions that the data path follows.
fn answer(snapshot: &Snapshot, listener: usize, request: &Request<'_>, length: Option<u64>) -> Value {
    let name = snapshot.config.listeners[listener].name.as_str();
    let mut answer = json!({ "listener": name, "path": request.path });
    let routed = plan::route(snapshot, listener, request, length, OverloadStep::None);
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
            forwarded(&mut answer, snapshot, pool, &taken, request);
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

fn forwarded(answer: &mut Value, snapshot: &Snapshot, pool: usize, taken: &Taken<'_>, request: &Request<'_>) {
    let Taken { position, route, .. } = *taken;
    let state = snapshot.pools[pool].state();
    let config = &state.config;
    pool_facts(answer, config);
    split_shares(answer, route);
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
    if let Some(role) = config.health.as_ref().and_then(|health| health.probe.role_rule()?.role) {
        // Which server has it only a check can tell.
        answer["reason"] = json!(format!("the server of pool {} that is {}", config.name, role.word()));
        return;
    }
    let mut picker = Picker::new(fastrand::u64(..));
    let chosen = choose(&state.servers, config, &mut picker, request, &[], Time::ZERO);
    match chosen {
        Some(chosen) => {
            let backend = &config.backends[chosen.server];
            answer["server"] = json!(backend.id.as_str());
            answer["address"] = json!(backend.address.to_string());
            answer["reason"] = json!(chosen.why.to_string());
        }
        None => {
            answer["status"] = json!(503);
            answer["reason"] = json!(format!("no server of pool {} takes requests", config.name));
        }
    }
}

/// How the pool discovers servers, if it does. Where it was not asked, that none is known here means nothing.
fn discovered(answer: &mut Value, findings: &Findings) {
    let Some(finding) = answer["pool"].as_str().and_then(|pool| findings.get(&pool.into())) else { return };
    answer["discovery"] = json!(finding.text);
    if !finding.is_asked && answer["server"].is_null() {
        answer["status"] = Value::Null;
        answer["reason"] = json!("the servers are discovered when the balancer runs, and not known here");
    }
}

/// The pool, and what limits it.
fn pool_facts(answer: &mut Value, pool: &Pool) {
    answer["pool"] = json!(pool.name.as_str());
    if let Some(breaker) = breaker::describe(pool) {
        answer["breaker"] = json!(breaker);
    }
}

/// Which share each pool of a `split` gets.
fn split_shares(answer: &mut Value, route: &Route) {
    if let Action::Split(split) = &route.action {
        let total: u32 = split.iter().map(|(_, weight)| weight).sum();
        let shares =
            split.iter().map(|(name, weight)| format!("{name} {weight}/{total}")).collect::<Vec<_>>();
        answer["split"] = json!(shares.join(", "));
    }
}

/// Which file the request is for. What is on the disk is not looked at: it may be another machine's.
fn file(answer: &mut Value, files: &Files, path: &str, route: &Route, request: &Request<'_>) {
    answer["files"] = json!(files.root.display().to_string());
    match FileMethod::of(request.method) {
        FileMethod::Read => {}
        FileMethod::Options => return answer["status"] = json!(204),
        FileMethod::NotAllowed => {
            (answer["status"], answer["reason"]) = (json!(405), json!("a file can only be read"));
            return;
        }
    }
    let below = match FilePath::of(path) {
        Ok(FilePath { path, is_directory: false }) => path.into_owned(),
        Ok(FilePath { path, is_directory: true }) => {
            let index = files.index.first().map_or("", String::as_str);
            if path.is_empty() { index.to_owned() } else { format!("{path}/{index}") }
        }
        Err(why) => {
            answer["reason"] = json!(why.to_string());
            let Some(fallback) = &files.fallback else { return answer["status"] = json!(404) };
            fallback.trim_start_matches('/').to_owned()
        }
    };
    answer["file"] = json!(files.root.join(&below).display().to_string());
    answer["type"] = json!(content_type(&below));
    answer["control"] = json!(cache_control(files, &below));
    let content_type = content_type(&below);
    let facts = compress::Facts {
        status: 200,
        content_type: Some(content_type.as_bytes()),
        no_transform: cache_control(files, &below).is_some_and(|value| value.contains("no-transform")),
        ..compress::Facts::default()
    };
    compressed(answer, route, request, Some(&facts));
    answer["fallback"] = json!(files.fallback);
}

/// The answer for people, in the order in which a request would meet it.
fn text(answer: &Value) -> String {
    let mut text = String::new();
    let keys = [
        "listener",
        "sni",
        "path",
        "route",
        "tls",
        "session",
        "priority",
        "sizes",
        "limits",
        "deadline",
        "mirror",
        "files",
        "file",
        "type",
        "control",
        "fallback",
        "split",
        "pool",
        "discovery",
        "cache",
        "cache_key",
        "parent",
        "server",
        "address",
        "target",
        "status",
        "location",
        "reason",
        "retry",
        "hedge",
        "breaker",
        "waits",
        "compress",
    ];
    for key in keys {
        match &answer[key] {
            Value::Null => {}
            Value::String(value) => text.push_str(&format!("{key:<10}{value}\n")),
            value => text.push_str(&format!("{key:<10}{value}\n")),
        }
    }
    let considered = answer["considered"].as_array().map_or(&[][..], Vec::as_slice);
    if !considered.is_empty() {
        text.push_str("\nroutes considered, the most specific first:\n");
    }
    for row in considered {
        let cell = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        text.push_str(&format!("  {:<28} {:<14} {}\n", cell("route"), cell("verdict"), cell("reason")));
    }
    if let Some(others) = answer["others"].as_u64() {
        text.push_str(&format!("  and {others} more, which match less of the request\n"));
    }
    text
}
