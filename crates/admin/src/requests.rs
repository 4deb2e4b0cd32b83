//! `GET /requests` and `GET /requests/{id}`: the records of the flight recorder.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use evenkeel_core::route::{Facts, normalise, parse_host};
use evenkeel_observe::RecordDropped;
use evenkeel_observe::flight::{FlightRecord, FlightVerdict, Kept, NearRoute, WhyKept};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::context::Context;
use crate::refusal::{ErrorBody, Refusal, bad_request};

/// Records in an answer if the request does not say.
const LIMIT_DEFAULT: usize = 100;
/// The most that it lists.
const LIMIT_MAX: usize = 1_000;
/// One reads records at a time, so that many requests do not take many cores from the workers.
static READING: Semaphore = Semaphore::const_new(1);
/// Routes that are named of a request that no route took.
const NEAREST_MAX: usize = 5;
/// Parts of a record that are made at the end of a request, or when it is read, instead of as things happened.
const RECOMPUTED: [&str; 3] = ["nearly", "nearest", "candidates"];

/// Which records are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// How many at most, from 1 to 1000; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// True: only those that failed. False: only those that did not.
    failed: Option<bool>,
    /// Only those that took so many milliseconds, or more.
    #[param(minimum = 0)]
    min_ms: Option<f64>,
    /// Only those that went to this pool.
    pool: Option<String>,
    /// Only those whose last server was this.
    server: Option<String>,
    /// Only those that this route took.
    route: Option<String>,
    /// Only those with this status, as in `502`, or of this class, as in `5xx`.
    status: Option<String>,
    /// Only those that have this text in their id, method, host, target, client, reason, route, pool or server.
    q: Option<String>,
    /// True: the heads, as a replay needs them, in place of the summaries.
    heads: Option<bool>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Requests {
    /// The newest first.
    requests: Vec<Listed>,
    /// Records that there are.
    kept: usize,
    /// Records that there is room for, if further ones are as long as these.
    capacity: u64,
    /// Bytes that the records occupy.
    bytes: u64,
    /// Bytes that they may occupy; 0 when the recorder is off.
    memory_bytes: u64,
    /// Requests since the start that failed or were slow and have no record, because they came too fast.
    dropped: u64,
    /// When the oldest request with a record came, in seconds since the Unix epoch.
    oldest_at: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Listed {
    Summary(Box<Summary>),
    Head(Box<Head>),
}

/// A request in a line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestSummary)]
struct Summary {
    id: String,
    at: f64,
    client: String,
    method: String,
    host: String,
    target: String,
    status: u16,
    ended: String,
    duration_ms: f64,
    route: Option<String>,
    pool: Option<String>,
    server: Option<String>,
    tries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    why_kept: &'static str,
}

/// What routing goes by. Values that are not kept are `(redacted)`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestHead)]
struct Head {
    id: String,
    at: f64,
    listener: String,
    scheme: String,
    method: String,
    host: String,
    target: String,
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    #[schema(value_type = String)]
    client: IpAddr,
    status: u16,
    route: Option<String>,
    pool: Option<String>,
}

/// One request, with its whole record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestRecord)]
pub(crate) struct Whole {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    record: FlightRecord,
    /// Who was at fault, in a sentence; what to look at.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    verdict: FlightVerdict,
    /// If no route took it: those that come nearest.
    #[schema(value_type = Vec<Object>)]
    nearest: Vec<NearRoute>,
    /// Parts that were made at the end of the request, or now, instead of as things happened.
    recomputed: [&'static str; 3],
    /// Records that have this id. A trusted client may give one id to several requests: this is the newest.
    records_with_id: usize,
}

/// Requests that failed, were slow or are a sample, the newest first
#[utoipa::path(get, path = "/requests", tag = "requests", params(Filter), responses(
    (status = 200, body = Requests, description = "The records that match the filter."),
))]
pub(crate) async fn requests(
    State(context): State<Arc<Context>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Requests>, Refusal> {
    let Query(filter) = filter.map_err(|fault| bad_request(fault.body_text()))?;
    let limit = filter.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad_request(format!("`limit` is a whole number from 1 to {LIMIT_MAX}, not {limit}")));
    }
    if filter.min_ms.is_some_and(|ms| ms.is_nan() || ms < 0.0) {
        return Err(bad_request("`min_ms` is a number of milliseconds, 0 or more"));
    }
    let status = filter.status.as_deref().map(Statuses::read).transpose()?;
    read(move || list(&context, &filter, status, limit)).await.map(Json)
}

/// The record of one request: what happened, when, and who was at fault
#[utoipa::path(get, path = "/requests/{id}", tag = "requests",
    params(("id" = String, Path, description = "As in `X-Request-Id`, percent-encoded.")),
    responses(
        (status = 200, body = Whole, description = "Its record: the summary, the steps, the servers, and who was at fault."),
        (status = 404, body = ErrorBody, description = "There is no record of such a request, and why."),
    ))]
pub(crate) async fn request(
    State(context): State<Arc<Context>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Whole>, Refusal> {
    let Path(id) = path.map_err(|fault| bad_request(fault.body_text()))?;
    read(move || whole(&context, &id)).await?.map(Json)
}

/// Reads records on another thread: many of them take milliseconds, for which other requests to this API should not wait.
async fn read<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let failed = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the records cannot be read");
    let _turn = READING.acquire().await.map_err(|_| failed())?;
    spawn_blocking(work).await.map_err(|_| failed())
}

fn list(context: &Context, filter: &Filter, status: Option<Statuses>, limit: usize) -> Requests {
    let recorder = &context.registry.recorder;
    let all = recorder.all();
    let (kept, (_, bytes), memory_bytes) = (all.len(), recorder.size(), recorder.memory());
    let average = if kept == 0 { 1_024 } else { (bytes / kept as u64).max(1) };
    let oldest_at = all.last().and_then(Kept::read).map(|record| record.at);
    let wanted = all
        .iter()
        .filter(|kept| filter.may_hold(kept) && status.is_none_or(|status| status.holds(kept.status())))
        .filter_map(Kept::read)
        .filter(|record| filter.holds(record));
    let listed: Vec<Listed> = match filter.heads {
        Some(true) => wanted.filter_map(head).map(|head| Listed::Head(Box::new(head))).take(limit).collect(),
        _ => wanted.map(|record| Listed::Summary(Box::new(summary(record)))).take(limit).collect(),
    };
    Requests {
        requests: listed,
        kept,
        capacity: memory_bytes / average,
        bytes,
        memory_bytes,
        dropped: RecordDropped::ALL.iter().map(|&why| recorder.dropped_so_far(why)).sum(),
        oldest_at,
    }
}

/// One status, or a class of them.
#[derive(Debug, Clone, Copy)]
enum Statuses {
    One(u16),
    Class(u16),
}

impl Statuses {
    fn read(text: &str) -> Result<Self, Refusal> {
        let class = text.strip_suffix("xx").and_then(|digit| digit.parse().ok());
        match class {
            Some(class @ 1..=5) => Ok(Self::Class(class)),
            _ => text
                .parse()
                .map(Self::One)
                .map_err(|_| bad_request("`status` is a status, as in 502, or a class, as in 5xx")),
        }
    }

    fn holds(self, status: u16) -> bool {
        match self {
            Self::One(one) => status == one,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl Filter {
    /// What can be said without reading the record.
    fn may_hold(&self, kept: &Kept) -> bool {
        self.failed.is_none_or(|failed| failed == (kept.why() == WhyKept::Failed))
            && self.min_ms.is_none_or(|min| kept.duration_ms() >= min)
    }

    fn holds(&self, record: &FlightRecord) -> bool {
        let is = |wanted: &Option<String>, name: &Option<String>| wanted.is_none() || wanted == name;
        is(&self.pool, &record.pool)
            && is(&self.server, &record.server)
            && is(&self.route, &record.route)
            && self.q.as_deref().is_none_or(|text| mentions(record, text))
    }
}

fn mentions(record: &FlightRecord, text: &str) -> bool {
    let FlightRecord { id, method, host, target, client, .. } = record;
    let named = [&record.reason, &record.route, &record.pool, &record.server];
    let text = text.to_lowercase();
    [id, method, host, target, client]
        .into_iter()
        .chain(named.into_iter().flatten())
        .any(|place| place.to_lowercase().contains(&text))
}

fn summary(record: FlightRecord) -> Summary {
    let why_kept = record.why_kept.as_str();
    let FlightRecord { id, at, client, method, host, target, status, ended, .. } = record;
    let FlightRecord { duration_ms, route, pool, server, tries, reason, .. } = record;
    Summary {
        id,
        at,
        client,
        method,
        host,
        target,
        status,
        ended,
        duration_ms,
        route,
        pool,
        server,
        tries,
        reason,
        why_kept,
    }
}

/// The head of a record; `None` of one that was no request.
fn head(record: FlightRecord) -> Option<Head> {
    if record.method.is_empty() || record.target.is_empty() {
        return None;
    }
    // A client of a unix socket has no address: routes are matched as if it had this one.
    let client = record.client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let FlightRecord { id, at, listener, scheme, method, host, target, .. } = record;
    let FlightRecord { headers, status, route, pool, .. } = record;
    Some(Head { id, at, listener, scheme, method, host, target, headers, client, status, route, pool })
}

fn whole(context: &Context, id: &str) -> Result<Whole, Refusal> {
    let all = context.registry.recorder.all();
    let same = all.iter().filter(|kept| kept.may_be(id)).filter_map(Kept::read);
    let mut same = same.filter(|record| record.id == id);
    let Some(record) = same.next() else { return Err(not_kept(context, &all, id)) };
    Ok(Whole {
        verdict: record.judge(),
        nearest: nearest(context, &record),
        recomputed: RECOMPUTED,
        records_with_id: 1 + same.count(),
        record,
    })
}

/// Why there is no record.
fn not_kept(context: &Context, all: &[Kept], id: &str) -> Refusal {
    let recorder = &context.registry.recorder;
    let no = |why: String| {
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no record of request {id}: {why}"))
    };
    if recorder.memory() == 0 {
        return no("the flight recorder is off (`memory` in `[recorder]`)".into());
    }
    let settings = &context.snapshot.load().config.recorder;
    let slow = evenkeel_config::show_duration(settings.slow);
    let mut why = format!(
        "it neither failed nor took {slow} or longer, was answered by the first server that was asked, and is not in the sample \
         ({})",
        settings.sample
    );
    if let Some(oldest) = all.last().and_then(Kept::read) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let age = (now.as_secs_f64() - oldest.at).max(0.0);
        why.push_str(&format!(
            "; or newer records have replaced its record: there are {}, the oldest {age:.0} s old",
            all.len()
        ));
    }
    let dropped: u64 = RecordDropped::ALL.iter().map(|&why| recorder.dropped_so_far(why)).sum();
    if dropped > 0 {
        why.push_str(&format!(
            "; or it is one of {dropped} that failed or were slow and came faster than records are made"
        ));
    }
    why.push_str(
        "; or it has not ended yet, or another process has handled it, before the start of this one",
    );
    no(why)
}

/// The routes that come nearest to a request that none took, if the routes are still those that it met.
fn nearest(context: &Context, record: &FlightRecord) -> Vec<NearRoute> {
    let snapshot = context.snapshot.load();
    let is_meant = record.route.is_none() && record.cause.as_deref() == Some("no_route");
    if !is_meant || record.generation != snapshot.generation {
        return Vec::new();
    }
    let listeners = &snapshot.config.listeners;
    let named = |listener: &evenkeel_config::Listener| listener.name.as_str() == record.listener;
    let (Some(listener), Some(seen)) = (listeners.iter().position(named), Seen::of(record)) else {
        return Vec::new();
    };
    let name = |route: usize| snapshot.routes.route(route).name.to_string();
    let is_known = |route: usize| record.nearly.iter().any(|near| near.route == name(route));
    let others = snapshot.routes.others(listener, &seen, is_known, NEAREST_MAX);
    others.into_iter().map(|near| NearRoute { route: name(near.route), why_not: near.reason }).collect()
}

/// A record as routes look at it. Only listener, host and path are asked for.
struct Seen<'a> {
    record: &'a FlightRecord,
    host: String,
    path: String,
    client: IpAddr,
}

impl<'a> Seen<'a> {
    fn of(record: &'a FlightRecord) -> Option<Self> {
        let host = parse_host(&record.host).map(|(host, _)| host.into_owned()).unwrap_or_default();
        // Only before the path; a query may hold URLs.
        let scheme = |(scheme, _): &(&str, &str)| !scheme.contains(['/', '?']);
        let after_authority = match record.target.split_once("://").filter(scheme) {
            Some((_, rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
            None => &record.target,
        };
        let path = after_authority.split(['?', '#']).next()?;
        let path = normalise(if path.is_empty() { "/" } else { path }).ok()?.into_owned();
        let client = record.client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Some(Self { record, host, path, client })
    }
}

impl Facts for Seen<'_> {
    fn method(&self) -> &str {
        &self.record.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn has_header(&self, _: &str, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::yield_now;

    use super::*;

    #[tokio::test]
    async fn records_are_read_for_one_request_at_a_time() {
        static READING_NOW: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            let others = READING_NOW.fetch_add(1, Ordering::SeqCst);
            (0..1_000).for_each(|_| yield_now());
            READING_NOW.fetch_sub(1, Ordering::SeqCst);
            others
        };
        let tasks: Vec<_> = (0..16).map(|_| tokio::spawn(read(work))).collect();
        for task in tasks {
            let others = task.await.expect("it ends").map_err(|_| "it is read");
            assert_eq!(others, Ok(0));
        }
    }
}
