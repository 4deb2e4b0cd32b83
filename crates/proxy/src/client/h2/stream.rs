//! One stream of a client's connection: what it asks for, and the exchange that answers it.

use std::cell::{OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use evenkeel_config::Listener;
use evenkeel_http2::{Code, Head, StreamError};
use evenkeel_observe::RequestRefusal;

use super::lanes::Inlet;
use crate::body::{Body, FromBytes, FromStream, Source};
use crate::client::connection::{Client, Refused, body_limits};
use crate::client::writer::{ResponseWriter, ToClient, ToHttp2, Way, send_whole_over};
use crate::http::field::Field;
use crate::http::framing::Framing;
use crate::http::head::{HeadError, RequestHead};
use crate::http::lines;
use crate::http::version::Version;
use crate::http::websocket;
use crate::http::write;
use crate::http2::Exchange;
use crate::request::admit::{Refusal, admit};
use crate::request::incoming::{Incoming, Request};
use crate::request::log::{Delivered, RequestLog};
use crate::request::plain::{Start, send};
use crate::request::setting::Setting;
use crate::worker::Worker;
use crate::worker::buffers::{Buffers, TINY};
use crate::worker::timer::{Timer, WriteError};
use crate::worker::view::View;

/// What a lane serves: a stream, and what it asks for.
pub struct Job {
    /// The stream.
    pub exchange: Rc<Exchange>,
    /// What it asks for.
    pub asked: Asked,
}

/// What a stream asks for. What waits for a server holds nothing of a head but what it needs.
pub struct Asked {
    view: Rc<View>,
    position: usize,
    /// The head; one that breaks the rules with what it says of itself, in a box, because it is seldom and large.
    head: Result<RequestHead, Box<(Refusal, RequestHead)>>,
    lines: Vec<u8>,
    fields: Vec<Field>,
    is_tunnel: bool,
    /// True if nothing follows the head.
    has_ended: bool,
}

impl Asked {
    /// Reads a head, behind which nothing follows if it `ends` the stream; `None` if its listener is gone.
    pub fn read(client: &Client, head: &Head, ends: bool) -> Option<Self> {
        let (view, position) = client.view()?;
        let buffers = &client.worker.buffers;
        let mut lines = match lines::size_of(head) {
            ..=TINY => buffers.tiny(),
            _ if ends => buffers.small(),
            // What an upload holds, it may hold for long: no more than it needs.
            size => Vec::with_capacity(size),
        };
        let mut fields = buffers.fields();
        let mut upgrade = Vec::new();
        if let Some(protocol) = head.protocol() {
            ask_for_upgrade(protocol, &client.worker, &mut upgrade);
        }
        let read = lines::of_head(head, view.heads, &upgrade, &mut lines, &mut fields);
        let head = read.map_err(|error| {
            let head = lines::of_refused_head(head, view.heads, &mut lines, &mut fields);
            Box::new((Refusal::from(error), head))
        });
        Some(Self { view, position, head, lines, fields, is_tunnel: !upgrade.is_empty(), has_ended: ends })
    }

    /// Reads what can be read of a head that was refused.
    pub fn refused(client: &Client, head: &Head, error: StreamError) -> Option<Self> {
        let refusal = match error {
            StreamError::PeerMisbehaved { reason, .. } => Refusal::from(HeadError::Malformed(reason)),
            StreamError::Refused { reason } => Refusal::new(503, RequestRefusal::TooManyStreams, reason),
            StreamError::PeerReset { .. } | StreamError::PeerLeft { .. } => return None,
        };
        let (view, position) = client.view()?;
        let buffers = &client.worker.buffers;
        let (mut lines, mut fields) = (buffers.small(), buffers.fields());
        let head = lines::of_refused_head(head, view.heads, &mut lines, &mut fields);
        let head = Err(Box::new((refusal, head)));
        Some(Self { view, position, head, lines, fields, is_tunnel: false, has_ended: true })
    }

    fn end(self, buffers: &Buffers) {
        buffers.give(self.lines);
        buffers.give_fields(self.fields);
    }
}

/// Serves the streams of a lane, one after the other.
pub async fn serve(client: Rc<Client>, inlet: Rc<Inlet<Job>>) {
    // One for all of them: a timer is moved often, and armed seldom.
    let mut timer = Timer::new(client.worker.clock);
    loop {
        let Job { exchange, asked } = inlet.next().await;
        let is_whole = {
            // Pinned where it is made: it is large, and would be copied.
            pin!(answer(&client, &exchange, &asked, &mut timer)).await
        };
        // What is left of the request is not needed, or the response cannot be ended.
        exchange.reset(if is_whole { Code::NO_ERROR } else { Code::CANCEL });
        asked.end(&client.worker.buffers);
    }
}

/// Answers a request; true if the response has been sent to its end.
async fn answer(client: &Client, exchange: &Rc<Exchange>, asked: &Asked, timer: &mut Timer) -> bool {
    let Asked { view, position, head, lines, fields, is_tunnel, has_ended } = asked;
    let worker = &client.worker;
    let head = match head {
        Ok(head) => head,
        Err(refused) => {
            let (refusal, head) = &**refused;
            return Box::pin(turn_away(client, exchange, asked, head, refusal)).await;
        }
    };
    let mut id = [0; 32];
    let known_host = client.known_host();
    // Stays where it is made, because it is large.
    let mut origin = client.origin(view, *position, &mut id, known_host.as_deref());
    origin.unsent = Some(&exchange.session.unsent);
    let admitted = admit(lines, head, fields, origin);
    let request = match &admitted {
        Ok(request) if !is_tunnel || request.upgrade.is_some() => request,
        _ => {
            // What asks for a tunnel (RFC 8441) is that or nothing: what would follow is no body of a plain request.
            let no_tunnel = || Refusal::new(501, RequestRefusal::Unsupported, "no tunnel for that protocol");
            let refusal = admitted.err().unwrap_or_else(no_tunnel);
            return Box::pin(turn_away(client, exchange, asked, head, &refusal)).await;
        }
    };
    let target = head.target.of_bytes(lines);
    let (pool, parents) = (OnceCell::new(), OnceCell::new());
    let setting = Setting { worker, view, listener: *position, pool: &pool, parents: &parents };
    let mut log = RequestLog::default();
    client.begin(request);
    if exchange.has_failed() {
        // Its client has given it up already: no server is asked.
        let (sent, delivered) = (Err(WriteError::Failed), Delivered::default());
        client.end_plain(setting, target, request, (sent, delivered, 0), &mut log);
        return false;
    }
    let framing = framing(request.declared, request.method, request.upgrade.is_some() || *has_ended);
    // The end of chunks is still to be said to the server, and what follows an upgrade is no body.
    let is_plain = request.upgrade.is_none() && matches!(framing, Framing::Empty | Framing::Length(_));
    let body = if is_plain { exchange.take_whole() } else { None };
    let came = body.as_deref().map(|body| (framing, body));
    let served = match came {
        // Pinned where it is made, as above.
        Some(came) => pin!(serve_plainly((setting, request, came), exchange, timer, &mut log)).await,
        None => Err(Start::New),
    };
    match served {
        Ok((sent, delivered, bytes_in)) => {
            client.end_plain(setting, target, request, (sent, delivered, bytes_in as u64), &mut log);
            sent.is_ok()
        }
        Err(start) => {
            // In a box, because it is large and most requests are plain.
            let came = (framing, body, *has_ended);
            Box::pin(go_on(client, exchange, (setting, start), (target, request), came, timer, &mut log))
                .await
        }
    }
}

/// Serves a request of which all is there, as far as it is plain. Tells whether the client has taken the response, what it has
/// got, and how many bytes of a body it has sent.
async fn serve_plainly<'x>(
    (setting, request, came): (Setting<'x>, &Request<'_>, (Framing, &[u8])),
    exchange: &Rc<Exchange>,
    timer: &mut Timer,
    log: &mut RequestLog,
) -> Result<(Result<(), WriteError>, Delivered, usize), Start<'x>> {
    let mut flight = poll_fn(|cx| Poll::Ready(send(setting, request, came, log, cx))).await?;
    if !came.1.is_empty() {
        exchange.consume(came.1.len());
    }
    let mut buf = Vec::new();
    let answering = poll_fn(|cx| {
        flight.poll_answer(cx, (request.unsent, &mut buf), timer, |cx| exchange.poll_failed(cx))
    });
    let Some(read) = answering.await else {
        return Err(flight.goes_on((buf, None)));
    };
    let answered = flight.answer(request, (buf, read), log)?;
    let bytes_in = answered.bytes_in;
    let stall = setting.view.listener(setting.listener).timeout.write;
    let (sent, delivered) = send_whole_over(setting.worker, exchange, stall, answered).await;
    Ok((sent, delivered, bytes_in))
}

/// Serves a request in the general path, from `start` on; true if the response has been sent to its end.
async fn go_on<'x>(
    client: &Client,
    exchange: &Rc<Exchange>,
    (setting, start): (Setting<'x>, Start<'x>),
    (target, request): (&[u8], &'x Request<'_>),
    (framing, came, has_ended): (Framing, Option<Vec<u8>>, bool),
    timer: &mut Timer,
    log: &mut RequestLog,
) -> bool {
    let Setting { worker, view, listener, .. } = setting;
    let listener = view.listener(listener);
    let source = source(exchange, framing, came, has_ended);
    let body = RefCell::new(Body::new(source, framing, worker.clock, body_limits(view, listener)));
    let mut writer = writer(client, exchange, listener, request.is_head());
    let mut client_side = ToClient { writer: &mut writer, timer };
    let incoming = Incoming { request, body: &body };
    client.handle((setting, start), target, incoming, &mut client_side, log).await;
    writer.is_whole()
}

/// Where the body of a request comes from, of which all may have come already.
fn source(
    exchange: &Rc<Exchange>,
    framing: Framing,
    came: Option<Vec<u8>>,
    has_ended: bool,
) -> Source<'static> {
    let length = if let Framing::Length(length) = framing { Some(length) } else { None };
    match came {
        Some(body) => Source::Bytes(FromBytes::of(exchange, body)),
        None => Source::Stream(FromStream::new(Rc::clone(exchange), length, has_ended)),
    }
}

/// Answers what never became a request; true if that has been sent to its end.
async fn turn_away(
    client: &Client,
    exchange: &Rc<Exchange>,
    asked: &Asked,
    head: &RequestHead,
    refusal: &Refusal,
) -> bool {
    let Asked { view, position, lines, fields, .. } = asked;
    let is_head = asked.head.as_ref().is_ok_and(|head| head.method.of_bytes(lines) == b"HEAD");
    let mut writer = writer(client, exchange, view.listener(*position), is_head);
    let refused = Refused { bytes: lines, head, fields };
    client.refuse(view, &mut writer, refusal, Some(refused)).await;
    writer.is_whole()
}

/// The way back over a stream.
fn writer<'c>(
    client: &'c Client,
    exchange: &Rc<Exchange>,
    listener: &Listener,
    is_head: bool,
) -> ResponseWriter<'c> {
    let way = Way::Http2(ToHttp2::new(Rc::clone(exchange)));
    ResponseWriter::new(&client.worker, way, listener.timeout.write, Version::Http2, is_head)
}

/// How long a body is: the end of the stream says what no length says, which we say to a server of HTTP/1.1 where the method
/// lets it expect content (RFC 9110, 8.6).
fn framing(declared: Framing, method: &str, has_ended: bool) -> Framing {
    match declared {
        Framing::Empty if !has_ended => Framing::Chunked,
        Framing::Empty if matches!(method, "POST" | "PUT" | "PATCH") => Framing::Length(0),
        declared => declared,
    }
}

/// A stream that is to become a tunnel (RFC 8441) asks for it as HTTP/1.1 does, from here on.
fn ask_for_upgrade(protocol: &[u8], worker: &Worker, lines: &mut Vec<u8>) {
    write::field(lines, "connection", b"upgrade");
    // What takes the key's place here is the stream itself. Other protocols have none.
    if protocol.eq_ignore_ascii_case(b"websocket") {
        let random = u128::from(worker.random()) << 64 | u128::from(worker.random());
        write::field(lines, "sec-websocket-key", &websocket::key(random));
    }
    write::field(lines, "upgrade", protocol);
}
