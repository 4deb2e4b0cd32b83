//! A client's HTTP/2 connection: each of its streams becomes an exchange, in a task of its own.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_net::Wire;
use evenkeel_observe::RequestRefusal;
use evenkeel_types::Time;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request as Head;

use crate::downstream::client::{Client, Refused, body_limits};
use crate::downstream::reply::{Reply, ToHttp2, Way};
use crate::exchange::Exchange;
use crate::h1::framing::Framing;
use crate::h2::lines;
use crate::message::{Body, FromHttp2, Source};
use crate::stage::admit::{Refusal, admit};
use crate::timer::{Limit, Timer};
use crate::version::Version;
use crate::view::View;

/// What a client sends in front of its first frame (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests under way at a time.
const STREAMS_MAX: u32 = 128;
/// Bytes of a request body that a client may send ahead, of one stream and of all.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of responses that may wait in one stream for the client's window.
const UNSENT_MAX: usize = 64 * 1024;
/// How long a client may go on with its streams after it was told to leave, before the grace ends it.
const STREAMS_KEPT: usize = 64;

/// Timers of streams that have ended, for those that come: one that is armed already is seldom armed anew.
type Timers = std::cell::RefCell<Vec<Timer>>;

/// What the streams of a connection share.
struct Streams {
    client: Client,
    timers: Timers,
    /// When the last of them ended.
    rested: Cell<Time>,
}

/// Serves a connection until it closes.
pub async fn serve(client: Client, wire: Wire) {
    let Some((view, position)) = client.view() else { return };
    let worker = Rc::clone(&client.worker);
    let timeout = view.listener(position).timeout.clone();
    let heads = view.heads;
    drop(view);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(UNSENT_MAX)
        .max_header_list_size(u32::try_from(heads.bytes).unwrap_or(u32::MAX))
        .enable_connect_protocol();
    let mut timer = Timer::new(worker.clock);
    let shaking = builder.handshake::<_, Bytes>(wire);
    let Ok(Ok(mut connection)) = timer.within(timeout.head.into(), shaking).await else { return };
    let rested = Cell::new(worker.clock.now());
    let streams = Rc::new(Streams { client, timers: Timers::default(), rested });
    let mut told_to_go = false;
    loop {
        let next = poll_fn(|cx| {
            if !told_to_go && streams.client.is_to_go() {
                told_to_go = true;
                connection.graceful_shutdown();
            }
            poll_next(&mut connection, cx, &streams, &mut timer, timeout.idle)
        });
        match next.await {
            Next::Stream(request, respond) => {
                tokio::task::spawn_local(serve_stream(Rc::clone(&streams), request, respond));
            }
            Next::Idle if !told_to_go => {
                told_to_go = true;
                connection.graceful_shutdown();
            }
            Next::Idle | Next::Closed => return,
        }
    }
}

enum Next {
    Stream(Head<RecvStream>, SendResponse<Bytes>),
    /// Nothing was asked for too long.
    Idle,
    Closed,
}

fn poll_next(
    connection: &mut Connection<Wire, Bytes>,
    cx: &mut Context<'_>,
    streams: &Rc<Streams>,
    timer: &mut Timer,
    idle: Duration,
) -> Poll<Next> {
    match connection.poll_accept(cx) {
        Poll::Ready(Some(Ok((request, respond)))) => return Poll::Ready(Next::Stream(request, respond)),
        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Next::Closed),
        Poll::Pending => {}
    }
    // The tasks of streams hold a reference each.
    if Rc::strong_count(streams) > 1 {
        return Poll::Pending;
    }
    timer.poll_until(cx, streams.rested.get() + idle).map(|()| Next::Idle)
}

async fn serve_stream(streams: Rc<Streams>, request: Head<RecvStream>, respond: SendResponse<Bytes>) {
    let client = &streams.client;
    let Some((view, position)) = client.view() else { return refuse_unprocessed(respond) };
    let worker = &client.worker;
    let mut lines = worker.buffers.small();
    let mut fields = worker.buffers.fields();
    let mut timer = streams.timers.borrow_mut().pop().unwrap_or_else(|| Timer::new(worker.clock));
    let listener = view.listener(position);
    let (parts, stream) = request.into_parts();
    let way = Way::Http2(ToHttp2::new(respond));
    let mut reply = Reply::new(worker, way, listener.timeout.write, Version::Http2);
    match lines::of_request(&parts, view.heads, &mut lines, &mut fields) {
        Err(error) => drop(client.refuse(&view, &mut reply, &Refusal::from(error), None).await),
        Ok(head) => {
            let mut id = [0; 32];
            match admit(&lines, &head, &fields, client.origin(listener, &mut id)) {
                Err(refusal) => {
                    let refused = Refused { bytes: &lines, head: &head, fields: &fields };
                    client.refuse(&view, &mut reply, &refusal, Some(refused)).await;
                }
                Ok((request, declared)) => {
                    let framing = framing(declared, stream.is_end_stream());
                    let length = if let Framing::Length(length) = framing { Some(length) } else { None };
                    let source = Source::Http2(FromHttp2::new(stream, length));
                    let body = Body::new(source, framing, worker.clock, body_limits(&view, listener));
                    let mut exchange = Exchange { request, body, reply, timer: &mut timer };
                    let target = head.target.of_bytes(&lines);
                    let (_, now) = client.handle(&view, position, target, &mut exchange).await;
                    streams.rested.set(now);
                }
            }
        }
    }
    worker.buffers.give(lines);
    worker.buffers.give_fields(fields);
    let mut timers = streams.timers.borrow_mut();
    if timers.len() < STREAMS_KEPT {
        timers.push(timer);
    }
}

/// A stream that nothing was done for may be asked for again elsewhere (RFC 9113, 8.7).
fn refuse_unprocessed(mut respond: SendResponse<Bytes>) {
    respond.send_reset(Reason::REFUSED_STREAM);
}

/// How long a body is: the end of the stream says what no length says.
fn framing(declared: Framing, has_ended: bool) -> Framing {
    match declared {
        Framing::Empty if !has_ended => Framing::Chunked,
        declared => declared,
    }
}
