//! A client's HTTP/2 connection: each of its streams becomes an exchange, in a task of its own for as long.

mod guard;
mod tasks;
mod watch;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_net::{Io, Wire};
use evenkeel_observe::RequestRefusal;
use evenkeel_types::Time;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{HeaderValue, Method, Request as Head, header};

use self::guard::{Guard, poll_accept};
use self::tasks::{Seat, Tasks};
use self::watch::{Over, Watch};
use crate::body::{Body, FromHttp2, Source};
use crate::client::connection::{Client, Refused, body_limits, linger};
use crate::client::writer::{ResponseWriter, ToClient, ToHttp2, Way};
use crate::http::field::{Field, is_token};
use crate::http::framing::Framing;
use crate::http::head::{HeadError, RequestHead};
use crate::http::lines;
use crate::http::version::Version;
use crate::request::admit::{Refusal, admit};
use crate::worker::Worker;
use crate::worker::buffers::Buffers;
use crate::worker::timer::Timer;
use crate::worker::unsent::{CONNECTION_MAX, Unsent};
use crate::worker::view::View;

/// What a client sends in front of its first frame (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests under way at a time.
const STREAMS_MAX: u32 = 128;
/// Bytes of a request body that a client may send ahead, of one stream and of all.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a response that may wait for the connection behind those of other streams: one frame.
const UNSENT_MAX: usize = 16 * 1024;
/// Bookkeeping of small DATA frames that wait to be read, of which each may cost 256: as many as one stream has room for
/// of sixteen bytes each. The default ends connections over bursts of small messages of gRPC.
const DATA_FRAME_BUDGET: usize = WINDOW as usize / 16 * 256;
/// How long the tasks of a connection wait for further streams when there are none.
const LULL: Duration = Duration::from_secs(1);

/// What the streams of a connection share.
struct Streams {
    client: Client,
    /// What their responses make us keep.
    unsent: Rc<Unsent>,
    tasks: Tasks<Box<Asked>>,
    /// How many are under way.
    active: Cell<usize>,
    /// When the last of them ended.
    rested: Cell<Time>,
}

/// Serves a connection, of which `early` has been read already, until it closes.
pub async fn serve(client: Client, io: Rc<Io>, early: Vec<u8>) {
    let worker = Rc::clone(&client.worker);
    worker.metrics.connection_speaks(evenkeel_observe::Protocol::Http2);
    if requests(client, &io, early).await {
        let rate_min = worker.view().snapshot.config.limits.body_rate;
        linger(&worker, &io, &mut Timer::new(worker.clock), rate_min).await;
    }
}

/// Takes requests for as long as there may be any; true if the client may still be sending.
async fn requests(client: Client, io: &Rc<Io>, early: Vec<u8>) -> bool {
    let Some((view, position)) = client.view() else { return false };
    let timeout = view.listener(position).timeout.clone();
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(UNSENT_MAX)
        .max_header_list_size(u32::try_from(view.heads.bytes).unwrap_or(u32::MAX))
        .data_frame_budget(DATA_FRAME_BUDGET)
        .enable_connect_protocol();
    drop(view);
    let clock = client.worker.clock;
    let (wire, alarm) = Guard::new(Wire::new(Rc::clone(io), early));
    let mut timer = Timer::new(clock);
    let Ok(shaken) = timer.within(timeout.head.into(), builder.handshake::<_, Bytes>(wire)).await else {
        return false;
    };
    let Ok(mut connection) = shaken else { return true };
    let unsent = Rc::new(Unsent::new(CONNECTION_MAX));
    let (active, rested) = (Cell::new(0), Cell::new(clock.now()));
    let streams = Rc::new(Streams { client, unsent, tasks: Tasks::default(), active, rested });
    let mut watch = Watch::new(alarm, clock, timeout.clone());
    let mut is_leaving = false;
    let may_be_sending = loop {
        let next = poll_fn(|cx| {
            if !is_leaving && streams.client.is_to_close() {
                is_leaving = true;
                connection.graceful_shutdown();
            }
            poll_next(&mut connection, &mut watch, cx, &streams, &mut timer)
        });
        match next.await {
            Ok((request, respond)) => {
                if let Some(asked) = Asked::read(&streams.client, request, respond) {
                    streams.take(asked);
                }
            }
            Err(Over::Idle) if !is_leaving => {
                is_leaving = true;
                streams.rested.set(clock.now());
                connection.graceful_shutdown();
            }
            Err(Over::Idle) => break false,
            Err(Over::Stuck) => {
                io.reset_on_close();
                break false;
            }
            Err(Over::Slow) => {
                streams.client.worker.metrics.request_refused(RequestRefusal::HeadTimeout);
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                let told = poll_fn(|cx| connection.poll_closed(cx));
                // Whether or not it came to be told.
                let _ = timer.within(watch.farewell().into(), told).await;
                break false;
            }
            Err(Over::Closed) => break true,
        }
    };
    streams.tasks.close();
    may_be_sending
}

/// A stream's request, and the way back.
type Accepted = (Head<RecvStream>, SendResponse<Bytes>);

fn poll_next(
    connection: &mut Connection<Guard<Wire>, Bytes>,
    watch: &mut Watch,
    cx: &mut Context<'_>,
    streams: &Streams,
    timer: &mut Timer,
) -> Poll<Result<Accepted, Over>> {
    match poll_accept(connection, &watch.alarm, cx) {
        Poll::Ready(Some(Ok(asked))) => {
            watch.asked();
            return Poll::Ready(Ok(asked));
        }
        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Over::Closed)),
        Poll::Pending => {}
    }
    let rested = (streams.active.get() == 0).then(|| streams.rested.get());
    let due = watch.due(rested);
    if let Some(lull) = rested.filter(|_| streams.tasks.are_waiting()).map(|rested| rested + LULL)
        && due.as_ref().is_none_or(|(due, _)| lull < *due)
    {
        ready!(timer.poll_until(cx, lull));
        streams.tasks.dismiss();
    }
    match due {
        Some((due, over)) => timer.poll_until(cx, due).map(|()| Err(over)),
        None => Poll::Pending,
    }
}

impl Streams {
    /// Has a task serve a stream: one that has nothing else to do, or a new one.
    fn take(self: &Rc<Self>, asked: Box<Asked>) {
        self.active.update(|active| active + 1);
        if let Some(asked) = self.tasks.give(asked) {
            // In a box, which is moved where the future itself would be copied.
            tokio::task::spawn_local(Box::pin(serve_streams(Rc::clone(self), asked)));
        }
    }
}

/// Serves a stream, and those that come later.
async fn serve_streams(streams: Rc<Streams>, first: Box<Asked>) {
    let worker = &streams.client.worker;
    let seat = Rc::default();
    let mut timer = Timer::new(worker.clock);
    let mut next = Some(first);
    while let Some(mut asked) = next {
        asked.serve(&streams, &mut timer).await;
        asked.end(&worker.buffers);
        streams.active.update(|active| active - 1);
        next = Seat::next(&seat, &streams.tasks).await;
    }
}

/// What a stream asks for. What waits for a server holds nothing of a head but what it needs.
struct Asked {
    view: Rc<View>,
    position: usize,
    /// The head; one that breaks the rules with what it says of itself.
    head: Result<RequestHead, (HeadError, RequestHead)>,
    lines: Vec<u8>,
    fields: Vec<Field>,
    is_tunnel: bool,
    /// Its body, until it is taken.
    stream: Option<RecvStream>,
    /// The way back, likewise.
    respond: Option<SendResponse<Bytes>>,
}

impl Asked {
    /// Reads a head; `None` if the stream was refused.
    fn read(client: &Client, request: Head<RecvStream>, respond: SendResponse<Bytes>) -> Option<Box<Self>> {
        let Some((view, position)) = client.view() else {
            refuse_unprocessed(respond);
            return None;
        };
        let (mut parts, stream) = request.into_parts();
        let is_tunnel = parts.extensions.get::<Protocol>().is_some();
        let upgraded = upgrade(&mut parts, &client.worker);
        let buffers = &client.worker.buffers;
        let (mut lines, mut fields) = (buffers.small(), buffers.fields());
        let head = upgraded
            .and_then(|()| lines::of_request(&parts, view.heads, &mut lines, &mut fields))
            .map_err(|error| (error, lines::of_refused(&parts, view.heads, &mut lines, &mut fields)));
        let (stream, respond) = (Some(stream), Some(respond));
        Some(Box::new(Self { view, position, head, lines, fields, is_tunnel, stream, respond }))
    }

    async fn serve(&mut self, streams: &Streams, timer: &mut Timer) {
        let Self { view, position, head, lines, fields, .. } = self;
        let (client, listener) = (&streams.client, view.listener(*position));
        let worker = &client.worker;
        let Some(respond) = self.respond.take() else { return };
        let mut id = [0; 32];
        let known_host = client.known_host();
        let way = Way::Http2(ToHttp2::new(respond, Rc::clone(&streams.unsent)));
        let is_head = head.as_ref().is_ok_and(|head| head.method.of_bytes(lines) == b"HEAD");
        let mut writer = ResponseWriter::new(worker, way, listener.timeout.write, Version::Http2, is_head);
        let head = match head {
            Ok(head) => &*head,
            Err((error, head)) => {
                let (refusal, refused) = (Refusal::from(*error), Refused { bytes: lines, head, fields });
                Box::pin(client.refuse(view, &mut writer, &refusal, Some(refused))).await;
                return;
            }
        };
        let admitted =
            admit(lines, head, fields, client.origin(view, *position, &mut id, known_host.as_deref()));
        let request = match &admitted {
            Ok(request) if !self.is_tunnel || request.upgrade.is_some() => request,
            _ => {
                // What asks for a tunnel (RFC 8441) is that or nothing: what would follow is no body of a plain request.
                let no_tunnel =
                    || Refusal::new(501, RequestRefusal::Unsupported, "no tunnel for that protocol");
                let refusal = admitted.err().unwrap_or_else(no_tunnel);
                let refused = Some(Refused { bytes: lines, head, fields });
                Box::pin(client.refuse(view, &mut writer, &refusal, refused)).await;
                return;
            }
        };
        let stream = self.stream.take().filter(|stream| !stream.is_end_stream());
        let has_ended = request.upgrade.is_some() || stream.is_none();
        let framing = framing(request.declared, request.method, has_ended);
        let length = if let Framing::Length(length) = framing { Some(length) } else { None };
        let source = Source::Http2(FromHttp2::new(stream, length));
        let body = RefCell::new(Body::new(source, framing, worker.clock, body_limits(view, listener)));
        let target = head.target.of_bytes(lines);
        let mut client_side = ToClient { writer: &mut writer, timer };
        let (_, now) = client.handle((view, *position), target, request, &body, &mut client_side).await;
        streams.rested.set(now);
    }
}

impl Asked {
    /// Lets go of all that it holds, so that a waiting task holds nothing: an unread body takes room in
    /// the connection's window, and a view keeps what a reload has replaced.
    fn end(self, buffers: &Buffers) {
        let Self { lines, fields, .. } = self;
        buffers.give(lines);
        buffers.give_fields(fields);
    }
}

/// A stream that nothing was done for may be asked for again elsewhere (RFC 9113, 8.7).
fn refuse_unprocessed(mut respond: SendResponse<Bytes>) {
    respond.send_reset(Reason::REFUSED_STREAM);
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
fn upgrade(parts: &mut Parts, worker: &Worker) -> Result<(), HeadError> {
    if parts.method != Method::CONNECT {
        return Ok(());
    }
    let Some(protocol) = parts.extensions.remove::<Protocol>() else { return Ok(()) };
    let invalid = HeadError::Malformed("invalid :protocol");
    let name = HeaderValue::from_str(protocol.as_str()).map_err(|_| invalid)?;
    if !is_token(name.as_bytes()) {
        return Err(invalid);
    }
    parts.method = Method::GET;
    let fields = &mut parts.headers;
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    // What takes the key's place here is the stream itself. Other protocols have none.
    if name.as_bytes().eq_ignore_ascii_case(b"websocket")
        && let Ok(key) = HeaderValue::from_bytes(&websocket_key(worker))
    {
        fields.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    fields.insert(header::UPGRADE, name);
    Ok(())
}

/// Sixteen random bytes in base64 (RFC 6455, 4.1).
fn websocket_key(worker: &Worker) -> [u8; 24] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = u128::from(worker.random()) << 64 | u128::from(worker.random());
    let mut key = [b'='; 24];
    for digit in &mut key[..21] {
        *digit = DIGITS[(bits & 63) as usize];
        bits >>= 6;
    }
    // The last digit stands for two bits alone.
    key[21] = DIGITS[((bits & 3) << 4) as usize];
    key
}
