//! A fetch for the cache: a task of its own, which outlives the request that began it, asks a server and gives what it says to
//! all that wait for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_cache::{Leader, NewHead, Reader, Writer};
use evenkeel_core::cache::{
    AfterFailure, Exchange, Failure, Fields, HostId, Keep, Moment, NotKept, NotStored, RequestDirectives,
    UrlId, Wall, after_failure, merge, storable, validators,
};
use evenkeel_observe::{Ended, Fetching};
use tokio::sync::{mpsc, oneshot};

use super::body::PrivatePiece;
use super::disk::ready;
use super::facts::{self, Lines, RequestFields};
use super::parent::forward_up;
use super::store::{Meta, Object};
use crate::body::{Advance, Body, BodyLimits, FromBytes, Source};
use crate::client::writer::{Interim, ResponseWriter, ToClient, Way};
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::http::field::same_variable;
use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::request::admit::Refusal;
use crate::request::detached::Detached;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::response::{self, Head, Response};
use crate::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::ReadSize;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// For how long requests for a key do not wait for each other after an answer that may not be kept.
const PRIVATE_FOR: Duration = Duration::from_secs(30);
/// The same after an error, which may be over soon.
const ERROR_FOR: Duration = Duration::from_secs(1);
/// Pieces of a body for one client that may wait for it.
const PRIVATE_PIECES: usize = 4;
/// Fields by which a client asks for less than the whole response.
const CONDITIONS: [&str; 6] =
    ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

/// What a fetch is made of.
pub struct Fetch {
    /// Who fetches.
    pub worker: Rc<Worker>,
    /// What is in force.
    pub view: Rc<View>,
    /// The route's position.
    pub route: usize,
    /// The pool.
    pub pool: Rc<PoolView>,
    /// The cache nodes that are asked first.
    pub parents: Option<Rc<PoolView>>,
    /// By which purges of URLs and hosts what is fetched is found.
    pub purged_by: (UrlId, HostId),
    /// The duty to fetch.
    pub leader: Leader<Meta>,
    /// What the request that began it accepts, and when its object was purged softly.
    pub asked: (RequestDirectives, Option<Wall>),
}

/// What a fetch came to, for the request that began it.
pub struct Fetched {
    /// What.
    pub answer: FetchedAnswer,
    /// What was noted on the way to it.
    pub log: RequestLog,
}

/// What a fetch came to.
pub enum FetchedAnswer {
    /// The answer is shared: it is read as others read it. Tells that it will be kept. Lines of it that are not kept, as a
    /// cookie's, are for this client alone.
    Shared(Reader<Meta>, Vec<u8>),
    /// The kept object is as good as new.
    Fresh(Arc<Object>),
    /// A stale object stands for the answer, or for its absence.
    Stale,
    /// The answer is for this client alone.
    Private(PrivateAnswer),
    /// There is no answer: the client gets an error.
    Refused(Refusal, Ended),
}

/// An answer for one client alone.
pub struct PrivateAnswer {
    /// Its head.
    pub head: Head,
    /// Further lines for the client, as that of its cookie.
    pub fields: Vec<u8>,
    /// How its body is delimited.
    pub framing: Framing,
    /// Its body.
    pub body: mpsc::Receiver<PrivatePiece>,
    /// Why it is not shared.
    pub why: NotStored,
}

impl Fetch {
    /// Begins it; what it comes to arrives at the receiver, if that is still there, and interim responses before it.
    pub fn start(
        self,
        request: &Request<'_>,
        interims: Option<mpsc::UnboundedSender<Interim>>,
    ) -> oneshot::Receiver<Fetched> {
        let (to, fetched) = oneshot::channel();
        let detached = self.detached(request);
        tokio::task::spawn_local(Box::pin(self.run(detached, interims, to)));
        fetched
    }

    /// The request for the whole response, or whether what is kept is still good. Also for a HEAD, whose response could answer
    /// no GET.
    fn detached(&self, request: &Request<'_>) -> Detached {
        let is_condition =
            |name: &[u8]| CONDITIONS.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
        let kept = self.leader.revalidates().map(|object| Lines(object.head().response()));
        let added: Vec<_> = kept.iter().flat_map(validators).collect();
        Detached::of(request, is_condition, &added)
    }

    async fn run(
        self,
        detached: Detached,
        interims: Option<mpsc::UnboundedSender<Interim>>,
        to: oneshot::Sender<Fetched>,
    ) {
        let (worker, view, pool) = (Rc::clone(&self.worker), Rc::clone(&self.view), Rc::clone(&self.pool));
        let parents = self.parents.clone();
        let request = detached.request();
        let route = view.snapshot.routes.route(self.route);
        let _counted = Fetching::begin(&view.tally.cached((self.route, route)), worker.index);
        let target = Target::new(&worker, &view, route, &pool, &request);
        let limits = BodyLimits { stall: Duration::MAX, at_most: None, rate_min: 0, bytes_max: None };
        let source = Source::Bytes(FromBytes::new(Vec::new()));
        let body = RefCell::new(Body::new(source, Framing::Empty, worker.clock, limits));
        let incoming = Incoming { request: &request, body: &body };
        let way = Way::Fetch(interims);
        let mut writer = ResponseWriter::new(&worker, way, Duration::MAX, Version::Http11, false);
        let mut timer = Timer::new(worker.clock);
        let mut client = ToClient { writer: &mut writer, timer: &mut timer };
        let mut log = RequestLog::default();
        let sent = worker.wall(worker.clock.now());
        let Some(rules) = &route.cache else { return };
        let of = (rules, self.route);
        let outcome = forward_up(of, parents.as_ref(), target, incoming, &mut client, &mut log).await;
        let fields = writer.take_fields();
        match outcome {
            Outcome::Response(response) => {
                let exchange = Answered { request: &request, response, fields, sent };
                self.answered(exchange, log, to).await;
            }
            Outcome::Refused(refusal, ended) => {
                let failure = match refusal.status {
                    504 => Failure::Timeout,
                    503 => Failure::Unreachable,
                    _ => Failure::Broken,
                };
                let status = refusal.status;
                let answer = if self.may_use_stale(failure) {
                    FetchedAnswer::Stale
                } else {
                    FetchedAnswer::Refused(refusal, ended)
                };
                self.leader.pause(worker.clock.now());
                if is_unreachable(ended, &log) {
                    self.leader.unreachable(status)
                } else {
                    self.leader.fail()
                }
                let _ = to.send(Fetched { answer, log });
            }
            Outcome::Gone(ended) => {
                let refusal = Refusal { status: 502, kind: None, why: "no answer".into(), retry_after: None };
                let _ = to.send(Fetched { answer: FetchedAnswer::Refused(refusal, ended), log });
            }
        }
    }

    fn rules(&self) -> Option<&evenkeel_config::Cache> {
        self.view.snapshot.routes.route(self.route).cache.as_ref()
    }

    /// True if the object that is revalidated stands in for a server that failed like this.
    fn may_use_stale(&self, failure: Failure) -> bool {
        let Some(object) = self.leader.revalidates() else { return false };
        let now = self.worker.wall(self.worker.clock.now());
        let (asked, purged) = &self.asked;
        let moment = Moment { now, purged: *purged, origin_down: false };
        after_failure(&object.head().meta().stored, asked, &moment, failure) == AfterFailure::UseStale
    }

    async fn answered(self, of: Answered<'_, '_, '_>, log: RequestLog, to: oneshot::Sender<Fetched>) {
        let status = of.response.head.status;
        let received = self.worker.wall(self.worker.clock.now());
        if status == 304 && self.leader.revalidates().is_some() {
            return self.freshen(of, received, log, to);
        }
        if status >= 500 {
            self.leader.pause(self.worker.clock.now());
        }
        if self.may_use_stale(Failure::Status(status)) {
            self.leader.fail();
            let _ = to.send(Fetched { answer: FetchedAnswer::Stale, log });
            return;
        }
        let Some(rules) = self.rules() else { return };
        let (answer, request) = (&of.response.head, RequestFields(of.request));
        let exchange = Exchange { request: &request, status, answer, sent: of.sent, received };
        let kept = storable(rules, &exchange).and_then(|keep| match varies_by_client(&keep, of.request) {
            true => Err(NotStored::VaryClient),
            false => Ok(keep),
        });
        let longest = rules.max_object;
        match kept {
            Ok(keep) if !is_longer(of.response.framing, longest) => {
                self.share(of, &keep, longest, log, to).await
            }
            Ok(_) => self.pass_on(of, NotStored::TooLarge, log, to).await,
            Err(why) => self.pass_on(of, why, log, to).await,
        }
    }

    /// What is kept is still good: its body gets a new head.
    fn freshen(
        self,
        of: Answered<'_, '_, '_>,
        received: Wall,
        log: RequestLog,
        to: oneshot::Sender<Fetched>,
    ) {
        let (Some(object), Some(rules)) = (self.leader.revalidates().cloned(), self.rules()) else { return };
        let old = object.head();
        let (kept, new) = (Lines(old.response()).pairs(), Lines(of.response.head.lines()).pairs());
        let merged = merge(&kept, &new, &NotKept::default());
        let request = RequestFields(of.request);
        let exchange = Exchange {
            request: &request,
            status: old.meta().status,
            answer: &merged,
            sent: of.sent,
            received,
        };
        let keep = match storable(rules, &exchange) {
            Ok(keep) => keep,
            // The client has none of it yet: it fetches it whole.
            Err(why) => {
                self.supersede(304, why);
                return self.leader.fail();
            }
        };
        let mut lines = Vec::with_capacity(old.response().len());
        for (name, value) in merged.iter().filter(|(name, _)| !keep.without.holds(name)) {
            write_line(&mut lines, name, value);
        }
        add_date(&mut lines, received);
        let vary = facts::variant(&keep.vary, of.request);
        let meta = Meta { stored: keep.stored, ..*old.meta() };
        let head = NewHead {
            url: old.url(),
            host: old.host(),
            path: old.path(),
            tags: &keep.tags.0,
            vary: &vary,
            response: &lines,
            meta,
        };
        if let Ok(object) = self.leader.freshen(head, self.worker.clock.now()) {
            let _ = to.send(Fetched { answer: FetchedAnswer::Fresh(object), log });
        }
    }

    /// The answer is kept, and shared with all that wait while it arrives.
    async fn share(
        self,
        of: Answered<'_, '_, '_>,
        keep: &Keep,
        longest: u64,
        log: RequestLog,
        to: oneshot::Sender<Fetched>,
    ) {
        let Answered { request, response, .. } = of;
        let route = self.view.snapshot.routes.route(self.route);
        let received = self.worker.wall(self.worker.clock.now());
        let mut lines = Vec::with_capacity(response.head.lines().len() + 40);
        let mut own = Vec::new();
        for (name, _, line) in Lines(response.head.lines()).iter() {
            if !keep.without.holds(name) && !name.eq_ignore_ascii_case(b"content-length") {
                lines.extend_from_slice(line);
            } else if keep.without.is_of_one_request(name) {
                own.extend_from_slice(line);
            }
        }
        add_date(&mut lines, received);
        let vary = facts::variant(&keep.vary, request);
        let length = match response.framing {
            Framing::Length(length) => Some(length),
            Framing::Empty => Some(0),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let head = NewHead {
            url: self.purged_by.0,
            host: self.purged_by.1,
            path: &request.forwarded(route),
            tags: &keep.tags.0,
            vary: &vary,
            response: &lines,
            meta: Meta { stored: keep.stored, status: response.head.status, length },
        };
        let reader = self.leader.reader();
        let Ok(writer) = self.leader.publish(head, longest) else { return };
        if let Some(reader) = reader {
            let _ = to.send(Fetched { answer: FetchedAnswer::Shared(reader, own), log });
        }
        if fill(&self.worker, response, writer).await {
            self.view.tally.cached((self.route, route)).shard(self.worker.index).stored();
        }
    }

    /// The server has answered with something that is not kept, for this reason. What it was to take the place of is not used
    /// again, unless the server only failed, or the answer is one to this client, who made a fresh response be asked about.
    fn supersede(&self, status: u16, why: NotStored) {
        let Some(object) = self.leader.revalidates() else { return };
        let Meta { stored, status: kept, .. } = *object.head().meta();
        let is_for_client = matches!(why, NotStored::Authorization | NotStored::SetCookie);
        let now = self.worker.wall(self.worker.clock.now());
        let is_usable = stored.is_fresh(now) && is_for_client && (status == 304 || status == kept);
        if status < 500 && !is_usable {
            self.leader.supersede();
        }
    }

    /// The answer is for one client alone.
    async fn pass_on(
        self,
        of: Answered<'_, '_, '_>,
        why: NotStored,
        log: RequestLog,
        to: oneshot::Sender<Fetched>,
    ) {
        let Answered { response, fields, .. } = of;
        let Response { head, body, framing, .. } = response;
        let marked_for = if head.status >= 400 { ERROR_FOR } else { PRIVATE_FOR };
        self.supersede(head.status, why);
        self.leader.private(self.worker.clock.now(), marked_for);
        let (pieces, receiver) = mpsc::channel(PRIVATE_PIECES);
        let answer = PrivateAnswer { head, fields, framing, body: receiver, why };
        if to.send(Fetched { answer: FetchedAnswer::Private(answer), log }).is_err() {
            return;
        }
        let response::Body::Stream(mut stream) = body else {
            let _ = pieces.send(PrivatePiece::End(Bytes::new())).await;
            return;
        };
        match Box::pin(relay_to(&mut stream, &pieces)).await {
            Some(Ok(())) => {
                let sending = stream.take_sending();
                stream.finish(&sending);
            }
            Some(Err(error)) => drop(stream.broke_off(&error)),
            // The client has left.
            None => {}
        }
    }
}

/// True if no connection to a server could be opened, at any try: then nothing in the request is the cause, and the requests that
/// wait for it would come to the same. A request that was sent may have failed because of what it says.
fn is_unreachable(ended: Ended, log: &RequestLog) -> bool {
    log.sent.is_none() && matches!(ended, Ended::BackendAborted | Ended::BackendTimeout)
}

/// A request that was answered.
struct Answered<'r, 'x, 'c> {
    request: &'r Request<'r>,
    response: Response<'x, 'c>,
    /// Further lines for the client that began the fetch.
    fields: Vec<u8>,
    sent: Wall,
}

/// Sends a body piece by piece to the one client that gets it; `None` if that has left.
async fn relay_to(
    stream: &mut Stream<'_, '_>,
    to: &mpsc::Sender<PrivatePiece>,
) -> Option<Result<(), crate::stream::StreamError>> {
    loop {
        match stream.advance() {
            Err(error) => return Some(Err(error)),
            Ok(Advance::Piece) => {
                let piece = Bytes::copy_from_slice(stream.piece());
                to.send(PrivatePiece::Chunk(piece)).await.ok()?;
            }
            Ok(Advance::End) => break,
            Ok(Advance::MustRead) => {
                let read = tokio::select! {
                    read = stream.read(ReadSize::Large) => read,
                    () = to.closed() => return None,
                };
                if let Err(error) = read {
                    return Some(Err(error));
                }
            }
        }
    }
    match stream.trailers() {
        Err(error) => Some(Err(error)),
        Ok(trailers) => {
            to.send(PrivatePiece::End(trailers.into())).await.ok()?;
            Some(Ok(()))
        }
    }
}

/// Reads a response to its end into the store. True if it is kept.
async fn fill(worker: &Worker, response: Response<'_, '_>, mut writer: Writer<Meta>) -> bool {
    let response::Body::Stream(mut stream) = response.body else {
        return writer.finish(Bytes::new(), worker.clock.now()).is_some();
    };
    let sending = stream.take_sending();
    match Box::pin(fill_from(worker, &mut stream, &mut writer)).await {
        Ok(Some(trailers)) => {
            stream.finish(&sending);
            let is_spooling = writer.is_spooling();
            writer.finish(trailers, worker.clock.now()).is_some() || is_spooling
        }
        Ok(None) => false,
        Err(error) => {
            stream.broke_off(&error);
            writer.fail();
            false
        }
    }
}

/// `None` if no request reads it any more, and it will not be kept.
async fn fill_from(
    worker: &Worker,
    stream: &mut Stream<'_, '_>,
    writer: &mut Writer<Meta>,
) -> Result<Option<Bytes>, crate::stream::StreamError> {
    loop {
        match stream.advance()? {
            Advance::Piece => {
                let piece = Bytes::copy_from_slice(stream.piece());
                if writer.push(piece, worker.clock.now()).is_err() || ready(writer).await.is_err() {
                    return Ok(None);
                }
            }
            Advance::End => break,
            Advance::MustRead => stream.read(ReadSize::Large).await?,
        }
    }
    Ok(Some(stream.trailers()?.into()))
}

/// True if the response depends on who the client is.
fn varies_by_client(keep: &Keep, request: &Request<'_>) -> bool {
    let mut names = keep.vary.names().split(',');
    names.any(|name| {
        let is_subject =
            request.reserved.iter().any(|reserved| same_variable(name.as_bytes(), reserved.as_bytes()));
        is_subject || facts::OF_THE_CLIENT.contains(&name)
    })
}

fn is_longer(framing: Framing, max: u64) -> bool {
    matches!(framing, Framing::Length(length) if length > max)
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A kept response says when it was made (RFC 9110, 6.6.1).
fn add_date(lines: &mut Vec<u8>, received: Wall) {
    if !Lines(lines).has("date") {
        write_line(lines, b"date", received.http_date().as_bytes());
    }
}
