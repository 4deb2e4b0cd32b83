//! A client's HTTP/1 connection: heads are read, become exchanges one after the other, and are answered in order.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_config::{HalfClose, Listener};
use evenkeel_net::Io;
use evenkeel_observe::{Ended, Protocol, RequestRefusal};
use evenkeel_types::Time;

use crate::body::{Body, FromHttp1, Source};
use crate::client::connection::{Client, Refused, body_limits};
use crate::client::h2::PREFACE;
use crate::client::linger::linger;
use crate::client::writer::{ResponseWriter, ToClient, Way, send_whole};
use crate::http::field::{Field, Known, has_token};
use crate::http::framing::Framing;
use crate::http::head::{HeadLimits, RequestHead, parse_request};
use crate::http::version::Version;
use crate::request::admit::{Refusal, admit};
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::request::plain::{Start, send};
use crate::request::setting::Setting;
use crate::response::WholeResponse;
use crate::worker::buffers::ReadSize;
use crate::worker::timer::{Limit, Timer};
use crate::worker::view::View;

/// How long a connection without any request may stay when the process leaves.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// How long a connection keeps what it needs to serve requests when none comes: to make room for it anew costs as much as a
/// twentieth of a request.
const LULL: Duration = Duration::from_secs(1);

/// A client's connection.
pub struct Connection {
    client: Client,
    io: Rc<Io>,
    timer: Timer,
    /// The client may turn out to speak HTTP/2, by prior knowledge (RFC 9113, 3.3). Over TLS, ALPN has decided.
    may_be_http2: bool,
    /// When the last request ended.
    rested: Option<Time>,
    /// What was read and not yet used; without a buffer while there is nothing.
    input: Vec<u8>,
}

/// What becomes of a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It waits for the next request.
    Idle,
    /// It is closed.
    Close,
    /// It is closed once the client has seen that, because it may still be sending.
    Linger,
}

/// What a wait for a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// There is one, or the start of one.
    Request,
    /// None has come so far.
    Lull,
    /// The connection has had its time, is to go, or was closed.
    Over,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(client: Client, io: Rc<Io>) -> Self {
        let timer = Timer::new(client.worker.clock);
        let allows = |(view, position): (Rc<View>, usize)| view.listener(position).http.http2;
        let may_be_http2 = client.secure.is_none() && client.view().is_some_and(allows);
        Self { client, io, timer, may_be_http2, rested: None, input: Vec::new() }
    }

    /// The client, the connection and what was read of it, if it speaks HTTP/2.
    pub fn into_parts(self) -> (Client, Rc<Io>, Vec<u8>) {
        (self.client, self.io, self.input)
    }

    /// Serves it until it closes; true if it turns out that the client speaks HTTP/2.
    pub async fn serve(&mut self) -> bool {
        while self.wait_for_first().await == Waited::Request {
            if self.may_be_http2 && self.input.starts_with(PREFACE) {
                return true;
            }
            self.may_be_http2 = false;
            if self.rested.is_none() {
                self.client.worker.metrics.connection_speaks(Protocol::Http1);
            }
            // In a box of its own, so that a connection that waits for long weighs no more than what it waits with.
            match Box::pin(self.serve_requests()).await {
                Next::Idle => self.client.rest(),
                Next::Close => return false,
                Next::Linger => {
                    let worker = &self.client.worker;
                    let rate_min = worker.view().snapshot.config.limits.body_rate;
                    Box::pin(linger(worker, &self.io, &mut self.timer, rate_min)).await;
                    return false;
                }
            }
        }
        false
    }

    /// Waits for the first request, or for the next after a while without any.
    async fn wait_for_first(&mut self) -> Waited {
        let Some((view, position)) = self.client.view() else { return Waited::Over };
        let timeout = &view.listener(position).timeout;
        let wait = if self.rested.is_some() { timeout.idle } else { timeout.head };
        drop(view);
        self.wait_for_request(wait, None).await
    }

    /// Waits, without a buffer, for the first bytes of a request, for as long as `wait`; for as long as `lull` at most, if that
    /// is given.
    async fn wait_for_request(&mut self, wait: Duration, lull: Option<Duration>) -> Waited {
        let lull = lull.filter(|lull| *lull < wait);
        let Self { client, io, timer, may_be_http2, input, .. } = self;
        let since = self.rested.unwrap_or_else(|| client.worker.clock.now());
        let due = since + lull.unwrap_or(wait);
        let late = if lull.is_some() { Waited::Lull } else { Waited::Over };
        let mut waits = false;
        let waited = poll_fn(|cx| match poll_request(client, io, *may_be_http2, cx, (input, &mut waits)) {
            Poll::Pending if client.is_to_go() => Poll::Ready(None),
            Poll::Pending => timer.poll_until(cx, due).map(|()| Some(late)),
            come => come.map(Some),
        });
        if let Some(waited) = waited.await {
            return waited;
        }
        // To go, but there may be a request on its way already.
        let due = client.worker.clock.now() + LAST_REQUEST;
        let waited = poll_fn(|cx| match poll_request(client, io, *may_be_http2, cx, (input, &mut waits)) {
            Poll::Pending => timer.poll_until(cx, due).map(|()| Waited::Over),
            come => come,
        });
        waited.await
    }

    /// Serves requests until none has come for a while.
    async fn serve_requests(&mut self) -> Next {
        let mut fields = self.client.worker.buffers.fields();
        let next = loop {
            let Some((view, position)) = self.client.view() else { break Next::Close };
            let next = self.serve_one(&view, position, &mut fields).await;
            skip_empty_lines(&mut self.input);
            if next != Next::Idle {
                break next;
            }
            let idle = view.listener(position).timeout.idle;
            drop(view);
            if self.input.is_empty() {
                self.client.worker.buffers.give(std::mem::take(&mut self.input));
                match self.wait_for_request(idle, Some(LULL)).await {
                    Waited::Request => {}
                    Waited::Lull => break Next::Idle,
                    Waited::Over => break Next::Close,
                }
            }
        };
        self.client.worker.buffers.give(std::mem::take(&mut self.input));
        self.client.worker.buffers.give_fields(fields);
        next
    }

    async fn serve_one(&mut self, view: &Rc<View>, position: usize, fields: &mut Vec<Field>) -> Next {
        let listener = view.listener(position);
        let head = match self.read_head(view, listener, fields).await {
            Ok(Some(head)) => head,
            Ok(None) => return Next::Close,
            Err(refusal) => return refuse((&self.client, &self.io), view, listener, &refusal, None).await,
        };
        if !listener.http.http1 {
            let refusal = Refusal::new(505, RequestRefusal::Unsupported, "only HTTP/2 is spoken here");
            let refused = Refused { bytes: &self.input, head: &head, fields };
            return refuse((&self.client, &self.io), view, listener, &refusal, Some(refused)).await;
        }
        let mut id = [0; 32];
        let Self { client, io, timer, input, .. } = self;
        let (worker, known_host, owes_continue) = (&client.worker, client.known_host(), Cell::new(false));
        let (pool, parents) = (OnceCell::new(), OnceCell::new());
        let (next, surplus, now) = 'served: {
            let origin = client.origin(view, position, &mut id, known_host.as_deref());
            // Stays where it is: it is large.
            let admitted = admit(input, &head, fields, origin);
            let request = match &admitted {
                Ok(request) => request,
                Err(refusal) => {
                    let refused = Refused { bytes: input, head: &head, fields };
                    return refuse((client, io), view, listener, refusal, Some(refused)).await;
                }
            };
            let early = &input[head.len..];
            let (framing, target, keep_alive) =
                (request.declared, head.target.of_bytes(input), may_stay(client, request));
            let setting = Setting { worker, view, listener: position, pool: &pool, parents: &parents };
            let mut log = RequestLog::default();
            client.begin(request);
            let exchange = plain(setting, request, (framing, early), (io, timer), &mut log);
            let start = match exchange.await {
                Ok(answered) => {
                    let stays = keep_alive && !worker.is_leaving();
                    let to = (listener.timeout.write, request.version, stays);
                    let used = answered.bytes_in;
                    let (sent, delivered) = send_whole(worker, io, to, answered).await;
                    let ends = (sent, delivered, used as u64);
                    let (ended, now) = client.end_plain(setting, target, request, ends, &mut log);
                    break 'served (after_plain(ended, stays), Surplus::behind(early, used), now);
                }
                Err(start) => start,
            };
            owes_continue.set(request.expects_continue && framing != Framing::Empty && early.is_empty());
            let source = FromHttp1::new(io, &worker.buffers, framing, early, view.heads.bytes);
            let limits = body_limits(view, listener);
            let mut body = RefCell::new(Body::new(Source::Http1(source), framing, worker.clock, limits));
            let (way, write) = (Way::Http1(Rc::clone(io)), listener.timeout.write);
            let mut writer = ResponseWriter::new(worker, way, write, head.version, request.is_head());
            writer.serves_half_closed = listener.half_close == HalfClose::Serve;
            writer.keep_alive = keep_alive;
            if owes_continue.get() {
                writer.owes_continue = Some(&owes_continue);
                body.get_mut().awaited = Some(&owes_continue);
            }
            let mut to_client = ToClient { writer: &mut writer, timer };
            let incoming = Incoming { request, body: &body };
            let of = (setting, start);
            let (ended, now) = client.handle(of, target, incoming, &mut to_client, &mut log).await;
            after(body.get_mut(), &writer, (ended, now)).await
        };
        self.rested = Some(now);
        self.keep_surplus(next, surplus);
        next
    }

    /// Reads until there is a whole head; `None` when the client closed instead.
    async fn read_head(
        &mut self,
        view: &View,
        listener: &Listener,
        fields: &mut Vec<Field>,
    ) -> Result<Option<RequestHead>, Refusal> {
        let limits = view.heads;
        let mut deadline: Option<Time> = None;
        let mut looked = 0;
        loop {
            if !self.input.is_empty()
                && worth_parsing(&self.input, looked, limits)
                && let Some(head) = parse_request(&self.input, limits, fields)?
            {
                return Ok(Some(head));
            }
            looked = self.input.len();
            if looked > 0 && deadline.is_none() {
                deadline = Some(self.client.worker.clock.now() + listener.timeout.head);
            }
            if self.input.len() == self.input.capacity() {
                self.input.reserve(self.input.len());
            }
            let limit = Limit { at_most: deadline, ..listener.timeout.head.into() };
            let read = self.timer.within(limit, self.io.read(&mut self.input)).await;
            match read {
                Err(_) if self.input.is_empty() => return Ok(None),
                Err(_) => {
                    return Err(Refusal::new(408, RequestRefusal::HeadTimeout, "the request took too long"));
                }
                Ok(Ok(0)) | Ok(Err(_)) => return Ok(None),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// What was read beyond this request is the start of the next.
    fn keep_surplus(&mut self, next: Next, surplus: Surplus) {
        match surplus {
            // Nearly all requests come alone.
            Surplus::Early(0) => self.input.clear(),
            _ if next != Next::Idle => self.input.clear(),
            Surplus::Early(left) => {
                let used = self.input.len() - left;
                self.input.drain(..used);
            }
            Surplus::Own(bytes) => {
                self.input.clear();
                self.input.extend_from_slice(&bytes);
            }
        }
    }
}

/// Where the bytes behind a request are.
enum Surplus {
    /// The last bytes, so many, of what came with the head.
    Early(usize),
    /// In the body's own buffer.
    Own(Vec<u8>),
}

impl Surplus {
    /// What came with a head, behind a body of so many bytes.
    fn behind(early: &[u8], body: usize) -> Self {
        Self::Early(early.len() - body)
    }
}

/// True if the connection may carry another request after this one (RFC 9112, 9.3).
fn may_stay(client: &Client, request: &Request<'_>) -> bool {
    let has = |token| request.values(Known::Connection).any(|value| has_token(value, token));
    let asked = match request.version {
        Version::Http11 | Version::Http2 => !has("close"),
        Version::Http10 => has("keep-alive") && !has("close"),
    };
    asked && !client.is_to_close()
}

/// Answers what never became a request, and ends the connection.
async fn refuse(
    (client, io): (&Client, &Rc<Io>),
    view: &View,
    listener: &Listener,
    refusal: &Refusal,
    refused: Option<Refused<'_>>,
) -> Next {
    let (way, write) = (Way::Http1(Rc::clone(io)), listener.timeout.write);
    let mut writer = ResponseWriter::new(&client.worker, way, write, Version::Http11, false);
    match Box::pin(client.refuse(view, &mut writer, refusal, refused)).await {
        Ended::ClientAborted => Next::Close,
        _ => Next::Linger,
    }
}

/// Has a server answer a request, if that takes no more than a plain exchange.
///
/// # Errors
/// It takes more: the general path takes the request up there.
async fn plain<'x>(
    setting: Setting<'x>,
    request: &Request<'_>,
    came: (Framing, &[u8]),
    (client, timer): (&Io, &mut Timer),
    log: &mut RequestLog,
) -> Result<WholeResponse, Start<'x>> {
    let mut flight = poll_fn(|cx| Poll::Ready(send(setting, request, came, log, cx))).await?;
    let mut buf = Vec::new();
    match poll_fn(|cx| flight.poll_answer(cx, (None, &mut buf), timer, |cx| client.poll_come(cx))).await {
        Some(read) => flight.answer(request, (buf, read), log),
        None => Err(flight.goes_on((buf, None))),
    }
}

/// What becomes of a connection after a plain exchange, of whose request nothing is left.
fn after_plain(ended: Ended, stays: bool) -> Next {
    match ended {
        Ended::Complete if stays => Next::Idle,
        Ended::Complete => Next::Linger,
        _ => Next::Close,
    }
}

/// Brings the connection to the start of the next request, if there is to be one.
async fn after(
    body: &mut Body<'_>,
    writer: &ResponseWriter<'_>,
    (ended, now): (Ended, Time),
) -> (Next, Surplus, Time) {
    let answered = matches!(
        ended,
        Ended::Complete
            | Ended::Refused
            | Ended::BackendAborted
            | Ended::FileAborted
            | Ended::BackendTimeout
            | Ended::RequestTimeout
    ) && writer.status() != 0;
    let next = match ended {
        Ended::ClientTimeout if writer.status() == 408 => Next::Linger,
        _ if !answered || !writer.is_whole() => Next::Close,
        _ if writer.keep_alive && body.drain().await => Next::Idle,
        // A close at once would reset the connection if anything more came, and take the end of the answer along.
        _ => Next::Linger,
    };
    let [early, own] = body.surplus();
    let surplus = if own.is_empty() { Surplus::Early(early.len()) } else { Surplus::Own(own.to_vec()) };
    (next, surplus, now)
}

/// Ready when there is input other than empty lines, of which a client may send some before its request
/// (RFC 9112, 2.2), or when there will be none.
fn poll_request(
    client: &Client,
    io: &Io,
    may_be_http2: bool,
    cx: &mut Context<'_>,
    (input, waits): (&mut Vec<u8>, &mut bool),
) -> Poll<Waited> {
    loop {
        match ready!(client.worker.buffers.poll_awaited(ReadSize::Small, io, cx, input, waits)) {
            Ok(0) | Err(_) => return Poll::Ready(Waited::Over),
            Ok(_) => {}
        }
        skip_empty_lines(input);
        // The start of a preface is not yet a request; nothing else begins like it.
        let may_be_preface = may_be_http2 && input.len() < PREFACE.len() && PREFACE.starts_with(input);
        if !input.is_empty() && !may_be_preface {
            return Poll::Ready(Waited::Request);
        }
        if input.is_empty() {
            client.worker.buffers.give(std::mem::take(input));
        }
    }
}

fn skip_empty_lines(input: &mut Vec<u8>) {
    let lines = input.chunks_exact(2).take_while(|line| line == b"\r\n").count();
    if lines > 0 {
        input.drain(..2 * lines);
    }
}

/// A head is parsed when its end may have come, not at each byte: that would make a slow head a costly one.
fn worth_parsing(input: &[u8], looked: usize, limits: HeadLimits) -> bool {
    if looked == 0 || input.len() >= limits.bytes {
        return true;
    }
    let from = looked.saturating_sub(3);
    memchr::memmem::find(&input[from..], b"\r\n\r\n").is_some()
        || memchr::memchr_iter(b'\n', &input[looked..])
            .any(|at| looked + at == 0 || input[looked + at - 1] != b'\r')
        || looked < limits.uri && input.len() >= limits.uri
}
