//! Copies of requests for another pool: no client waits for them, and what goes wrong with one is felt by no client.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::Route;
use evenkeel_core::admission::Answer;
use evenkeel_core::choose::Chosen;
use evenkeel_core::route::{is_sampled, rewrite, stripped};
use evenkeel_observe::MirrorOutcome;

use super::incoming::{Incoming, Request};
use super::setting::Setting;
use super::spans::passed;
use crate::body::{Body, BodyLimits, FromBytes, Source};
use crate::forward::driver::Permit;
use crate::forward::target::Target;
use crate::http::framing::Framing;
use crate::server::error::ServerError;
use crate::server::exchange::{OutgoingHead, RoundTrip};
use crate::server::h1::{self, Changes, Ours};
use crate::server::upload::Passage;
use crate::server::{Asker, Link, Sender};
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// Copies under way from one worker to one pool; what comes beyond is dropped.
const COPIES_MAX: usize = 64;
/// How long a copy may take in all.
const COPY_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read; the connection of a longer one is closed.
const ANSWER_MAX: u64 = 1 << 20;

/// Copies a request of the route at `position` if it is one of the share that is mirrored. True if its body is yet to
/// come, which is copied along as it passes: then [`finish`] must follow.
pub fn begin(setting: Setting<'_>, position: usize, incoming: Incoming<'_, '_>) -> bool {
    let Setting { worker, view, .. } = setting;
    let route = view.snapshot.routes.route(position);
    let Some(mirror) = &route.mirror else { return false };
    if incoming.request.upgrade.is_some() || !is_sampled(mirror.percent, worker.random()) {
        return false;
    }
    let body = &mut *incoming.body.borrow_mut();
    if body.is_done() {
        // A length of zero that was said is said to both.
        let body = (body.framing() != Framing::Empty).then(Vec::new);
        send(worker, view, (position, route), incoming.request, body);
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
pub fn finish(setting: Setting<'_>, position: usize, incoming: Incoming<'_, '_>) {
    let Setting { worker, view, .. } = setting;
    let route = (position, view.snapshot.routes.route(position));
    let copy = incoming.body.borrow_mut().take_copy();
    match copy {
        None => view.tally.mirrored(route, MirrorOutcome::TooLarge),
        Some(_) if !incoming.body.borrow().is_done() => view.tally.mirrored(route, MirrorOutcome::Dropped),
        Some(body) => send(worker, view, route, incoming.request, Some(body)),
    }
}

/// Has a task of its own send the copy, if there is a place and a server for it.
fn send(
    worker: &Rc<Worker>,
    view: &Rc<View>,
    route: (usize, &Route),
    request: &Request<'_>,
    body: Option<Vec<u8>>,
) {
    match copy(worker, view, route, request, body) {
        None => view.tally.mirrored(route, MirrorOutcome::Dropped),
        Some((copy, permit)) => {
            let counts = view.tally.mirror_counts(route);
            let index = worker.index;
            tokio::task::spawn_local(Box::pin(async move {
                let sent = tokio::time::timeout(COPY_MAX, copy.run(permit)).await;
                let is_sent = matches!(sent, Ok(Ok(())));
                counts.count(index, if is_sent { MirrorOutcome::Sent } else { MirrorOutcome::Failed });
            }));
        }
    }
}

/// A copy on its way.
struct Copy {
    worker: Rc<Worker>,
    view: Rc<View>,
    /// The position of the route whose request it is, and the pool that it is for.
    route: usize,
    pool: Rc<PoolView>,
    chosen: Chosen,
    method: String,
    target: String,
    /// The head as lines.
    head: Vec<u8>,
    body: Vec<u8>,
    /// The request's host if the pool's TLS needs it, else empty.
    host: String,
    /// Who sent the request, and its id, if the pool's servers learn that by a PROXY header.
    sender: Option<(Rc<Sender>, String)>,
    /// `HEAD`, whose answer has no body.
    to_head: bool,
    is_repeatable: bool,
    _under_way: UnderWay,
}

/// One of the copies under way to a pool.
struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    fn begin(copies: &Rc<Cell<usize>>) -> Self {
        copies.set(copies.get() + 1);
        Self(Rc::clone(copies))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn copy(
    worker: &Rc<Worker>,
    view: &Rc<View>,
    (position, route): (usize, &Route),
    request: &Request<'_>,
    body: Option<Vec<u8>>,
) -> Option<(Copy, Permit)> {
    let pool = view.pool_now(view.snapshot.mirror_of(position)?);
    let to = Target { worker, view, route, pool: &pool, deadline: None, owner_of: None };
    let side = to.side();
    if side.copies.get() >= COPIES_MAX {
        return None;
    }
    let (chosen, permit) = side.gate.admit_at_once(request, worker.clock.now())?;
    let upstream = to.upstream(chosen.server);
    let asked = request.forwarded(route);
    let path = rewrite(route, &asked);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let target = [&*path, mark, query];
    let framing = body.as_ref().map_or(Framing::Empty, |body| Framing::Length(body.len() as u64));
    let mut head = Vec::with_capacity(request.bytes.len() + 256);
    let changes = Changes {
        server_host: &upstream.host,
        target,
        prefix: stripped(route, &asked),
        via: to.pool().via,
        edits: &route.request_headers,
        body: framing,
        deadline: None,
        node: to.node(),
        trace: passed(view, request, None),
    };
    h1::write_request(&mut head, request, &changes);
    head.truncate(head.len() - 2);
    head.extend_from_slice(h1::MIRROR.as_bytes());
    head.extend_from_slice(b": 1\r\n\r\n");
    let copy = Copy {
        worker: Rc::clone(worker),
        view: Rc::clone(view),
        route: position,
        pool: Rc::clone(&pool),
        chosen,
        host: if upstream.is_named_by_host() { request.host.to_string() } else { String::new() },
        sender: request
            .sender
            .filter(|_| upstream.learns_senders())
            .map(|sender| (Rc::clone(sender), request.id.to_string())),
        method: request.method.to_owned(),
        target: target.concat(),
        head,
        body: body.unwrap_or_default(),
        to_head: request.is_head(),
        is_repeatable: route.retry.repeats_over_a_fresh_connection(request.method),
        _under_way: UnderWay::begin(&side.copies),
    };
    Some((copy, permit))
}

impl Copy {
    fn to(&self) -> Target<'_> {
        let route = self.view.snapshot.routes.route(self.route);
        let (worker, view, pool) = (&*self.worker, &*self.view, &*self.pool);
        Target { worker, view, route, pool, deadline: None, owner_of: None }
    }

    fn asker(&self) -> Asker<'_> {
        let (sender, id) =
            self.sender.as_ref().map_or((None, ""), |(sender, id)| (Some(sender), id.as_str()));
        Asker { host: &self.host, sender, id }
    }

    /// Sends it, over a fresh connection if the server was closing the one that was kept.
    async fn run(self, mut permit: Permit) -> Result<(), ServerError> {
        let mut timer = Timer::new(self.worker.clock);
        let upstream = self.to().upstream(self.chosen.server);
        let mut kept = upstream.kept(&self.host, self.asker().sender, self.worker.clock.now());
        let outcome = loop {
            let link = match kept.take() {
                Some(link) => link,
                None => match self.open(&mut timer).await {
                    Ok(link) => link,
                    Err(error) => break Err(error),
                },
            };
            let reused = link.reused();
            match self.over(link, &mut permit, &mut timer).await {
                Err((error, untouched))
                    if reused && error.is_worth_a_fresh_connection(untouched, self.is_repeatable) => {}
                outcome => break outcome.map_err(|(error, _)| error),
            }
        };
        self.report(&outcome);
        if let Err(error) = &outcome {
            permit.failed(&error.failed_try(error.cause(false), false), self.worker.clock.now());
        }
        outcome.map(drop)
    }

    async fn open(&self, timer: &mut Timer) -> Result<Link, ServerError> {
        let (to, now) = (self.to(), self.worker.clock.now());
        let upstream = to.upstream(self.chosen.server);
        let connecting =
            upstream.connect(self.asker(), now, self.worker.surroundings(self.view.response_heads));
        match timer.within(to.pool().timeout.connect.into(), connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(ServerError::ConnectTimeout),
        }
        .inspect_err(|_| upstream.figures().connect_failures.increment())
    }

    /// The answer's status. An error comes with whether the connection was an old one over which nothing came.
    async fn over(
        &self,
        link: Link,
        permit: &mut Permit,
        timer: &mut Timer,
    ) -> Result<u16, (ServerError, bool)> {
        let (to, clock) = (self.to(), self.worker.clock);
        let response = to.pool().timeout.response;
        let limits = BodyLimits { stall: response, at_most: None, rate_min: 0, bytes_max: None };
        let framing = Framing::Length(self.body.len() as u64);
        let source = Source::Bytes(FromBytes::new(self.body.clone()));
        let body = RefCell::new(Body::new(source, framing, clock, limits));
        let edits = &to.route.request_headers;
        let ours = Ours { reserved: &[], deadline: None, edits, underscores: false };
        let heads = self.view.heads;
        let passage = Passage { buffers: &self.worker.buffers, ours, heads, stall: response.into() };
        let upstream = to.upstream(self.chosen.server);
        let parts = [self.target.as_str(), "", ""];
        let is_secure = upstream.is_secure();
        let lines = self.head.clone();
        let mut head = OutgoingHead { lines, method: &self.method, target: parts, is_secure, upgrade: None };
        let rest = (!self.body.is_empty()).then_some(&body);
        let around = self.worker.surroundings(self.view.response_heads);
        let mut trip = RoundTrip::over(around, link);
        let sent = trip.send(&mut head, rest, &passage, timer).await;
        let mut sending = sent.map_err(|error| (error, false))?;
        let head = match trip.send_rest(&mut sending).await {
            Ok(Some(early)) if early.status >= 200 => Ok(early),
            Ok(_) => trip.read_final_head(timer, response.into()).await,
            Err(error) => Err(error),
        };
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                if matches!(error, ServerError::Timeout) {
                    trip.gave_no_answer();
                }
                return Err((error, trip.is_untouched()));
            }
        };
        permit.answered(&Answer::whole(head.status, trip.uploaded.unwrap_or(trip.sent), clock.now()));
        let limits = BodyLimits { stall: response, at_most: None, rate_min: 0, bytes_max: Some(ANSWER_MAX) };
        let answer = trip.into_body(&head, self.to_head, Framing::Empty, limits);
        let mut answer = answer.map_err(|error| (error, false))?;
        if answer.read_away().await {
            let sent_whole = matches!(sending.result(), Some(Ok(())));
            answer.finish(sent_whole, upstream, clock.now());
        }
        Ok(head.status)
    }

    /// Counts what went wrong, and lets passive checks know: to the mirror's pool this is live traffic.
    fn report(&self, outcome: &Result<u16, ServerError>) {
        let (to, server) = (self.to(), self.chosen.server);
        match outcome {
            Ok(status) => to.report_status(server, *status),
            Err(error) => to.report_failure(server, error),
        }
    }
}
