//! Copies of requests for another pool: nobody waits for them, and what goes wrong with one is felt by no client.

use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{PoolProtocol, Route};
use evenkeel_core::health::Failure;
use evenkeel_core::route::{is_sampled, rewrite};
use evenkeel_observe::{BackendFailure, MirrorOutcome};
use evenkeel_types::{Clock, PoolName, Time};
use http::Request as Head;

use crate::body::send::send as send_data;
use crate::body::{Advance, Body, BodyLimits, FromHttp1, FromHttp2, Source};
use crate::forward::held::{Answered, Guarded, Held};
use crate::forward::pick::pick_at_once;
use crate::forward::seat::Seat;
use crate::http::field::{Known, has_token};
use crate::http::framing::{self, Framing};
use crate::http::head::HeadLimits;
use crate::http::version::Version;
use crate::request::exchange::{Exchange, Request};
use crate::server::error::AnswerError;
use crate::server::h2::Place;
use crate::server::{Connection, Link, Upstream, h1, h2};
use crate::shared::Event;
use crate::worker::Worker;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// Copies under way from one worker to one pool; what comes beyond is dropped.
const COPIES_MAX: usize = 64;
/// How long a copy may take in all.
const COPY_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read; the connection of a longer one is closed.
const ANSWER_MAX: u64 = 1 << 20;
/// Interim responses before the final one.
const INTERIM_MAX: usize = 16;
/// The field by which a server knows a copy. What a client itself sends under that name is removed.
pub const FIELD: &str = "x-evenkeel-mirror";

/// Copies a request of the route at `position` if it is one of the share that is mirrored. True if its body is yet to
/// come, which is copied along as it passes: then [`finish`] must follow.
pub fn begin(worker: &Rc<Worker>, view: &View, position: usize, exchange: &mut Exchange<'_>) -> bool {
    let route = view.snapshot.routes.route(position);
    let Some(mirror) = &route.mirror else { return false };
    if exchange.request.upgrade.is_some() || !is_sampled(mirror.percent, worker.random()) {
        return false;
    }
    let body = &mut exchange.body;
    if body.is_done() {
        // A length of zero that was said is said to both.
        let body = (body.framing() != Framing::Empty).then(Vec::new);
        send(worker, view, (position, route), &exchange.request, body);
        return false;
    }
    if body.left().is_some_and(|length| length > mirror.body as u64) {
        view.tally.mirrored((position, route), MirrorOutcome::TooLarge);
        return false;
    }
    body.copy_up_to(mirror.body);
    true
}

/// Sends the copy of a request whose body has passed.
pub fn finish(worker: &Rc<Worker>, view: &View, position: usize, exchange: &mut Exchange<'_>) {
    let route = (position, view.snapshot.routes.route(position));
    match exchange.body.take_copy() {
        None => view.tally.mirrored(route, MirrorOutcome::TooLarge),
        Some(_) if !exchange.body.is_done() => view.tally.mirrored(route, MirrorOutcome::Dropped),
        Some(body) => send(worker, view, route, &exchange.request, Some(body)),
    }
}

/// Has a task of its own send the copy, if there is a place and a server for it.
fn send(
    worker: &Rc<Worker>,
    view: &View,
    route: (usize, &Route),
    request: &Request<'_>,
    body: Option<Vec<u8>>,
) {
    match copy(worker, view, route, request, body) {
        None => view.tally.mirrored(route, MirrorOutcome::Dropped),
        Some(copy) => {
            let counts = view.tally.mirror_counts(route);
            let index = worker.index;
            tokio::task::spawn_local(Box::pin(async move {
                let sent = tokio::time::timeout(COPY_MAX, copy.run()).await;
                let is_sent = matches!(sent, Ok(Ok(())));
                counts.count(index, if is_sent { MirrorOutcome::Sent } else { MirrorOutcome::Failed });
            }));
        }
    }
}

/// A copy on its way.
struct Copy {
    worker: Rc<Worker>,
    upstream: Rc<Upstream>,
    pool: PoolName,
    is_judged: bool,
    connect: Duration,
    response: Duration,
    heads: HeadLimits,
    /// The head as lines, and for servers of HTTP/2 as theirs.
    head: Vec<u8>,
    head2: Option<Head<()>>,
    body: Vec<u8>,
    /// `HEAD`, whose answer has no body.
    to_head: bool,
    is_repeatable: bool,
    /// What it holds of a pool with limits.
    held: Option<(Box<Held>, Option<Box<Seat>>)>,
    _under_way: UnderWay,
}

/// One of the copies under way to a pool, and one of a server's requests unless its seat counts it.
struct UnderWay(Rc<Cell<usize>>, Option<(Rc<Upstream>, Clock)>);

impl UnderWay {
    fn begin(copies: &Rc<Cell<usize>>, counted: Option<(&Rc<Upstream>, Clock)>) -> Self {
        copies.set(copies.get() + 1);
        counted.iter().for_each(|(upstream, _)| upstream.load.begin());
        Self(Rc::clone(copies), counted.map(|(upstream, clock)| (Rc::clone(upstream), clock)))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
        self.1.iter().for_each(|(upstream, clock)| upstream.load.end_unlimited(|| clock.now()));
    }
}

/// What a copy holds of a pool with limits before it has a server; `None` if there is no place for it now.
fn enter(guarded: &Rc<Guarded>, now: Time) -> Option<Box<Held>> {
    let mut held = Held::new(guarded);
    (held.ask_pool(now).is_ok() && held.enter().is_ok()).then(|| Box::new(held))
}

fn copy(
    worker: &Rc<Worker>,
    view: &View,
    (position, route): (usize, &Route),
    request: &Request<'_>,
    body: Option<Vec<u8>>,
) -> Option<Copy> {
    let pool = view.snapshot.mirror_of(position)?;
    let (of, config) = (&view.pools[pool], view.pool(pool));
    if of.copies.get() >= COPIES_MAX {
        return None;
    }
    let now = worker.clock.now();
    let mut held = match &of.guarded {
        Some(guarded) => Some(enter(guarded, now)?),
        None => None,
    };
    let (chosen, seat) = pick_at_once(view, pool, request, held.as_deref_mut(), &[], now)?;
    let upstream = &of.upstreams[chosen.server];
    let path = rewrite(route, &request.path);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let target = [&*path, mark, query];
    let framing = body.as_ref().map_or(Framing::Empty, |body| Framing::Length(body.len() as u64));
    let mut head = Vec::with_capacity(request.bytes.len() + 256);
    h1::write_request(&mut head, request, &upstream.host, &target, &route.request_headers, framing, None);
    head.truncate(head.len() - 2);
    head.extend_from_slice(FIELD.as_bytes());
    head.extend_from_slice(b": 1\r\n\r\n");
    let head2 = match config.protocol {
        PoolProtocol::Http1 => None,
        PoolProtocol::Http2 => {
            Some(h2::head(&head, request.method, &target.concat(), upstream.is_secure()).ok()?)
        }
    };
    Some(Copy {
        worker: Rc::clone(worker),
        upstream: Rc::clone(upstream),
        pool: config.name.clone(),
        is_judged: config.outlier.is_some(),
        connect: config.timeout.connect,
        response: config.timeout.response,
        heads: view.heads,
        head,
        head2,
        body: body.unwrap_or_default(),
        to_head: request.is_head(),
        is_repeatable: route.retry.repeats_over_a_fresh_connection(request.method),
        _under_way: UnderWay::begin(&of.copies, seat.is_none().then_some((upstream, worker.clock))),
        held: held.map(|held| (held, seat)),
    })
}

impl Copy {
    /// Sends it, over a fresh connection if the server was closing the one that was kept.
    async fn run(mut self) -> Result<(), AnswerError> {
        let mut timer = Timer::new(self.worker.clock);
        let mut kept = self.upstream.kept(self.worker.clock.now());
        let outcome = loop {
            let link = match kept.take() {
                Some(link) => Ok(link),
                None => self.open(&mut timer).await,
            };
            let outcome = match link {
                Err(error) => Err(error),
                Ok(Link::Http1(connection)) => {
                    let reused = connection.reused;
                    match self.over_http1(&mut timer, connection).await {
                        Err(AnswerError::Closed | AnswerError::Reset(_)) if reused && self.is_repeatable => {
                            continue;
                        }
                        outcome => outcome,
                    }
                }
                Ok(Link::Http2(place)) => self.over_http2(&mut timer, place).await,
            };
            break outcome;
        };
        self.report(&outcome);
        if let (Some((held, seat)), Err(error)) = (&mut self.held, &outcome) {
            held.tried(seat.take(), Some(error));
        }
        outcome.map(drop)
    }

    /// The head of its answer is there.
    fn answered(&mut self, status: u16, sent: Time) {
        if let Some((held, seat)) = &mut self.held {
            let at = self.worker.clock.now();
            let answer = Answered { status, at, took: Some(at - sent), uploading: Duration::ZERO };
            held.answered(seat.as_deref_mut(), &answer);
        }
    }

    async fn open(&self, timer: &mut Timer) -> Result<Link, AnswerError> {
        let connecting = self.upstream.connect(self.worker.clock.now(), self.heads);
        match timer.within(self.connect.into(), connecting).await {
            Ok(connected) => connected.map_err(AnswerError::Connect),
            Err(_) => Err(AnswerError::ConnectTimeout),
        }
        .inspect_err(|_| self.upstream.figures().connect_failures.increment())
    }

    /// The answer's status.
    async fn over_http1(&mut self, timer: &mut Timer, connection: Connection) -> Result<u16, AnswerError> {
        let (io, limit) = (&connection.io, self.response.into());
        let sent = self.worker.clock.now();
        let mut slices = [&self.head[..], &self.body].map(IoSlice::new);
        timer.write_all(limit, io, &mut slices).await.map_err(|_| AnswerError::Closed)?;
        let (mut buf, mut fields) = (Vec::with_capacity(4096), Vec::new());
        let mut interim = 0;
        let head = loop {
            let reading = h1::read_head(io, &mut buf, &mut fields, self.heads);
            let head = timer.within(limit, reading).await.map_err(|_| AnswerError::Timeout)??;
            match head.status {
                200.. => break head,
                101 => return Err(AnswerError::Malformed("101 without being asked")),
                _ if interim == INTERIM_MAX => {
                    return Err(AnswerError::Malformed("too many interim responses"));
                }
                _ => interim += 1,
            }
            buf.drain(..head.len);
        };
        self.answered(head.status, sent);
        let framing = framing::of_response(&buf, &fields, head.version, head.status, self.to_head)
            .map_err(|error| AnswerError::Malformed(error.0))?;
        let mut options = fields.iter().filter(|field| field.known == Known::Connection);
        let stays = head.version == Version::Http11
            && framing != Framing::UntilClose
            && !options.any(|field| has_token(field.value.of_bytes(&buf), "close"));
        let source = FromHttp1::new(io, &self.worker.buffers, framing, &buf[head.len..], self.heads.bytes);
        let is_whole = self.read_away(Source::Http1(source), framing).await;
        if is_whole && stays {
            self.upstream.keep(connection, self.worker.clock.now());
        }
        Ok(head.status)
    }

    async fn over_http2(&mut self, timer: &mut Timer, place: Place) -> Result<u16, AnswerError> {
        let head = self.head2.take().ok_or(AnswerError::Unprocessed)?;
        let limit = self.response.into();
        let sent = self.worker.clock.now();
        let sending = place.send(head, self.body.is_empty());
        let (mut waiting, mut stream) =
            timer.within(limit, sending).await.map_err(|_| AnswerError::Timeout)??;
        if !self.body.is_empty() {
            send_data(&mut stream, &self.body, true, timer, limit).await.map_err(|_| AnswerError::Closed)?;
        }
        let (mut buf, mut fields) = (Vec::new(), Vec::new());
        for _ in 0..=INTERIM_MAX {
            let reading = waiting.read_head(self.heads, &mut buf, &mut fields);
            let Ok(head) = timer.within(limit, reading).await else {
                place.give_up();
                return Err(AnswerError::Timeout);
            };
            let head = head?;
            if head.status >= 200 {
                self.answered(head.status, sent);
                let source = Source::Http2(FromHttp2::new(waiting.body.take(), None));
                self.read_away(source, Framing::Chunked).await;
                return Ok(head.status);
            }
            buf.clear();
        }
        Err(AnswerError::Malformed("too many interim responses"))
    }

    /// Reads an answer's body and throws it away; true if that was all of it and nothing beyond.
    async fn read_away(&self, source: Source<'_>, framing: Framing) -> bool {
        let limits =
            BodyLimits { stall: self.response, at_most: None, rate_min: 0, bytes_max: Some(ANSWER_MAX) };
        let mut body = Body::new(source, framing, self.worker.clock, limits);
        loop {
            match body.advance() {
                Ok(Advance::Piece) => {}
                Ok(Advance::End) => return body.surplus().iter().all(|bytes| bytes.is_empty()),
                Ok(Advance::MustRead) if body.read().await.is_ok() => {}
                Ok(Advance::MustRead) | Err(_) => return false,
            }
        }
    }

    /// Counts what went wrong, and tells passive checks: to the mirror's pool this is live traffic.
    fn report(&self, outcome: &Result<u16, AnswerError>) {
        let (kind, failure) = match outcome {
            Ok(status @ 502..=504) => (Some(BackendFailure::Status), Some(Failure::Status(*status))),
            Ok(_) => return,
            Err(error) => (error.kind(), error.failure()),
        };
        if let Some(kind) = kind {
            self.upstream.figures().failed(kind);
        }
        if let Some(failure) = failure.filter(|_| self.is_judged) {
            let (pool, id) = (self.pool.clone(), self.upstream.id.clone());
            self.worker.shared.tell(Event::Failure { pool, id, failure });
        }
    }
}
