//! The plain exchange: a request that came whole goes over a kept connection to a server that answers in one read. Two steps
//! without a wait, and one wait between them. What turns out to be more than that goes on in the general path from where it
//! stands; all that is decided here, the same functions decide there.

mod fit;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;

use evenkeel_core::admission::{self, AfterHead, Leg, Role, Step, Terms};
use evenkeel_core::choose::Chosen;
use evenkeel_core::plan::{self, Act, Routed, Taken};
use evenkeel_core::route::rewrite;
use evenkeel_net::Io;
use evenkeel_types::Time;

use crate::client::writer::send_whole;
use crate::filter::fields;
use crate::forward::attempt::write_head;
use crate::forward::driver::Admission;
use crate::forward::outcome::{Asked, BegunForwarding};
use crate::forward::respond::copy_head;
use crate::forward::target::Target;
use crate::http::field::Field;
use crate::http::framing::{self, Framing};
use crate::http::head::{ResponseHead, parse_response};
use crate::http::write;
use crate::request::admit::Refusal;
use crate::request::incoming::Request;
use crate::request::limits;
use crate::request::log::{Delivered, RequestLog};
use crate::request::setting::Setting;
use crate::server::error::ServerError;
use crate::server::exchange::{RoundTrip, keeps_alive};
use crate::server::upload::{Sending, UploadError};
use crate::server::{Connection, Link};
use crate::worker::pool_view::PoolView;
use crate::worker::timer::{Limit, Timer, WriteError};

/// What a plain exchange has of its client.
pub struct PlainClient<'s> {
    /// The connection.
    pub io: &'s Io,
    /// What came behind the request's head.
    pub early: &'s [u8],
    /// The connection's timer.
    pub timer: &'s mut Timer,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

/// What a plain exchange has come to.
pub enum Exchanged<'x, 'c> {
    /// The client has its response, or has left.
    Served(Served),
    /// Nothing has happened: the request is for the general path.
    NotPlain,
    /// The general path goes on with this.
    Begun(Begun<'x, 'c>),
}

/// A response that has gone out.
pub struct Served {
    /// How the request has ended.
    pub ended: Result<(), WriteError>,
    /// What the client has got.
    pub delivered: Delivered,
    /// Bytes of the request's body.
    pub bytes_in: usize,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

/// A request that goes on in the general path.
pub struct Begun<'x, 'c> {
    /// The route that took it.
    pub taken: Taken<'x>,
    /// Lines for its response: how the rate limits stand.
    pub lines: Vec<u8>,
    /// Where it stands.
    pub stage: Stage<'x, 'c>,
}

/// Where a request stands that goes on in the general path.
pub enum Stage<'x, 'c> {
    /// A rate limit has refused it.
    Refused(Refusal),
    /// It is being forwarded. In a box, because it is seldom and large.
    Forwarding(Box<BegunForwarding<'x, 'c>>),
}

/// Where a plain request goes.
#[derive(Clone, Copy)]
struct Plain<'x, 'r> {
    setting: Setting<'x>,
    taken: Taken<'x>,
    target: Target<'x>,
    request: &'r Request<'x>,
    /// The request's body, all of it.
    body: &'r [u8],
}

/// A request that its server has.
struct Asking {
    leg: Leg,
    chosen: Chosen,
    connection: Connection,
    /// When the head was written, and when the body was.
    sent: Time,
    uploaded: Option<Time>,
}

/// Serves a request that was admitted, as far as it is plain.
pub async fn exchange<'x, 'c>(
    setting: Setting<'x>,
    request: &'x Request<'c>,
    client: PlainClient<'_>,
    log: &mut RequestLog,
) -> Exchanged<'x, 'c> {
    let PlainClient { io, early, timer, keep_alive } = client;
    let Some(body) = fit::body(request, early) else { return Exchanged::NotPlain };
    let Some((taken, pool)) = destination(setting, request, body) else { return Exchanged::NotPlain };
    let target = Target::new(setting.worker, setting.view, taken.route, pool, request);
    let plain = Plain { setting, taken, target, request, body };
    log.route = Some(taken.position);
    let Setting { worker, view, .. } = setting;
    let Some(rated) = limits::rates_at_once(worker, view, taken.position, request, log) else {
        return Exchanged::NotPlain;
    };
    let lines = rated.lines;
    if let Some(refusal) = rated.refusal {
        return Exchanged::Begun(Begun { taken, lines, stage: Stage::Refused(refusal) });
    }
    let terms = target.terms(request, body.is_empty());
    let mut admission = Admission::new(&pool.gate, &terms, request.started);
    let step = poll_fn(|cx| Poll::Ready(admission.poll(&terms, request.started, cx))).await;
    let Some((leg, chosen, connection)) = plain.connection(&step) else {
        return plain.goes_on(lines, admission, step, None);
    };
    log.tries_at(&chosen);
    let (sent, written) = plain.send((chosen.server, &connection), timer).await;
    let uploaded = (!body.is_empty()).then(|| setting.worker.clock.now());
    let asking = Asking { leg, chosen, connection, sent, uploaded };
    if written.is_err() {
        let asked = plain.asked(asking, (Vec::new(), None), Err(UploadError::Server), log);
        return plain.goes_on(lines, admission, step, Some(asked));
    }
    let mut buf = Vec::new();
    let read = plain.wait(&asking.connection.io, io, &mut buf, timer, sent).await;
    let mut fields = setting.worker.buffers.fields();
    let answer = if let Some(Ok(1..)) = read { plain.read_answer(&buf, &mut fields) } else { None };
    let Some((head, framing)) = answer else {
        setting.worker.buffers.give_fields(fields);
        let failed = match read {
            Some(Ok(0)) => Some(ServerError::Closed),
            Some(Err(error)) => Some(ServerError::Reset(error)),
            Some(Ok(_)) | None => None,
        };
        let asked = plain.asked(asking, (buf, failed), Ok(()), log);
        return plain.goes_on(lines, admission, step, Some(asked));
    };
    log.sends(sent);
    log.uploaded(uploaded);
    let now = setting.worker.clock.now();
    log.answer_came(now);
    plain.judge(&asking, head.status, &mut admission, &terms, log);
    let keep_alive = keep_alive && !setting.worker.is_leaving();
    let (out, bytes) = plain.response((&buf, &fields), &head, framing, &lines, keep_alive);
    let buffers = &setting.worker.buffers;
    buffers.give(buf);
    buffers.give(lines);
    buffers.give_fields(fields);
    target.upstream(asking.chosen.server).keep(asking.connection, now);
    let stall = setting.view.listener(setting.listener).timeout.write;
    let ended = send_whole(setting.worker, io, stall, &out, bytes).await;
    buffers.give(out);
    let delivered = Delivered { status: head.status, bytes, is_whole: true };
    Exchanged::Served(Served { ended, delivered, bytes_in: body.len(), keep_alive })
}

/// The route and the pool of a request, if all that it meets there is plain.
fn destination<'x>(
    setting: Setting<'x>,
    request: &'x Request<'_>,
    body: &[u8],
) -> Option<(Taken<'x>, &'x PoolView)> {
    let Setting { worker, view, listener, .. } = setting;
    if !fit::is_plain_everywhere(view, request) || !fit::is_plain_listener(view.listener(listener)) {
        return None;
    }
    let length = Some(body.len() as u64);
    let routed = plan::route(&view.snapshot, listener, request, length, worker.shared.step());
    let Ok(Routed::By(taken)) = routed else { return None };
    if !fit::is_plain_route(taken.route) {
        return None;
    }
    let act = plan::act(&view.snapshot, &taken, request, || worker.random());
    let Ok(Act::Forward(pool)) = act else { return None };
    let pool = setting.pool.get_or_init(|| view.pool_now(pool));
    fit::is_plain_pool(pool.config()).then_some((taken, &**pool))
}

impl<'x> Plain<'x, '_> {
    /// The server that the request goes to, and a connection to it, if both are there at once.
    fn connection(&self, step: &Step) -> Option<(Leg, Chosen, Connection)> {
        let Step::Send { leg, chosen, role: Role::Alone } = *step else { return None };
        let Request { host, sender, started, .. } = self.request;
        match self.target.upstream(chosen.server).kept(host, *sender, *started)? {
            Link::Http1(connection) => Some((leg, chosen, connection)),
            Link::Http2(_) => None,
        }
    }

    /// Sends the request; tells when.
    async fn send(
        &self,
        (server, connection): (usize, &Connection),
        timer: &mut Timer,
    ) -> (Time, Result<(), WriteError>) {
        let Self { setting, target, request, body, .. } = *self;
        let asked = request.forwarded(target.route);
        let path = rewrite(target.route, &asked);
        let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
        let mut out = setting.worker.buffers.medium();
        let parts = [&*path, mark, query];
        write_head(&mut out, target, server, request, (&asked, parts), request.declared);
        out.extend_from_slice(body);
        let sent = setting.worker.clock.now();
        let written = timer.write_all(target.stall(), &connection.io, &mut [IoSlice::new(&out)]).await;
        setting.worker.buffers.give(out);
        (sent, written)
    }

    /// Waits for the first bytes of the answer; `None` if they have not come in time, or something has come from the client.
    async fn wait(
        &self,
        server: &Io,
        client: &Io,
        buf: &mut Vec<u8>,
        timer: &mut Timer,
        sent: Time,
    ) -> Option<io::Result<usize>> {
        let Self { setting, target, .. } = *self;
        let limit = Limit { since: Some(sent), after: target.head_within(), at_most: target.deadline };
        let around = setting.worker.surroundings(setting.view.response_heads);
        let reading = poll_fn(|cx| match around.poll_head(server, cx, buf) {
            Poll::Pending if client.poll_come(cx).is_ready() => Poll::Ready(None),
            read => read.map(Some),
        });
        timer.within(limit, reading).await.ok().flatten()
    }

    /// The head of an answer that is plain and has come whole, and how its body is delimited.
    fn read_answer(&self, buf: &[u8], fields: &mut Vec<Field>) -> Option<(ResponseHead, Framing)> {
        let Self { setting, target, request, .. } = *self;
        let head = parse_response(buf, setting.view.response_heads, fields).ok()??;
        let is_final = head.status >= 200 && !target.route.retry.on.holds_status(head.status);
        if !is_final || !keeps_alive(buf, fields, &head) {
            return None;
        }
        let (version, to_head) = (head.version, request.is_head());
        let framing = framing::of_response(buf, fields, version, head.status, to_head).ok()?;
        let length = match framing {
            Framing::Empty => 0,
            Framing::Length(length) => length,
            Framing::Chunked | Framing::UntilClose => return None,
        };
        ((buf.len() - head.len) as u64 == length).then_some((head, framing))
    }

    /// Judges the server by its answer, which is passed on.
    fn judge(
        &self,
        asking: &Asking,
        status: u16,
        admission: &mut Admission,
        terms: &Terms<'_, Request<'_>>,
        log: &RequestLog,
    ) {
        let Self { target, request, .. } = *self;
        let Asking { leg, chosen, sent, uploaded, .. } = asking;
        let (took, now) = (log.first_byte(), log.answered.unwrap_or(*sent));
        target.report_answer(chosen.server, status, took);
        let answer = admission::Answer::whole(status, uploaded.unwrap_or(*sent), now);
        let after = admission.handle_head(*leg, &answer, terms);
        debug_assert_eq!(after, AfterHead::PassOn, "a status that the route retries is not plain");
        target.judge(chosen.server, status, took, request.started);
    }

    /// The whole response, and how long its body is.
    fn response(
        &self,
        (buf, fields): (&[u8], &[Field]),
        head: &ResponseHead,
        framing: Framing,
        lines: &[u8],
        keep_alive: bool,
    ) -> (Vec<u8>, u64) {
        let Self { setting, target, request, .. } = *self;
        let mut copied = copy_head(target, (buf, fields), head, request, false);
        let edits = &target.route.response_headers;
        fields::finish_head(&mut copied, setting.worker, request, edits, request.started);
        let (mut out, body) = (copied.into_bytes(), &buf[head.len..]);
        out.extend_from_slice(lines);
        if let Framing::Length(length) = framing {
            write::content_length(&mut out, length);
        }
        write::end_head(&mut out, request.version, keep_alive);
        out.extend_from_slice(body);
        (out, body.len() as u64)
    }

    /// The request as the general path has it while a server does. `read` is what has come of the answer.
    #[cold]
    fn asked<'c>(
        &self,
        asking: Asking,
        read: (Vec<u8>, Option<ServerError>),
        written: Result<(), UploadError>,
        log: &mut RequestLog,
    ) -> Asked<'x, 'c> {
        let Self { setting, target, .. } = *self;
        let Asking { chosen, connection, sent, uploaded, .. } = asking;
        log.sends(sent);
        log.uploaded(uploaded);
        let around = setting.worker.surroundings(target.view.response_heads);
        let trip = RoundTrip::resume(around, connection, read, sent, uploaded);
        Asked { chosen, trip, sending: Sending::Done(written) }
    }

    /// Leaves the request to the general path.
    #[cold]
    fn goes_on<'c>(
        &self,
        lines: Vec<u8>,
        admission: Admission,
        step: Step,
        asked: Option<Asked<'x, 'c>>,
    ) -> Exchanged<'x, 'c> {
        let Self { taken, target, .. } = *self;
        let stage = Stage::Forwarding(Box::new(BegunForwarding { target, admission, step, asked }));
        Exchanged::Begun(Begun { taken, lines, stage })
    }
}
