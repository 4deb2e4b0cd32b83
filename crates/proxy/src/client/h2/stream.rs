//! One stream of a client's connection: what it asks for, and the exchange that answers it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use evenkeel_http2::{Code, Head, StreamError};
use evenkeel_observe::RequestRefusal;

use crate::body::{Body, FromStream, Source};
use crate::client::connection::{Client, Refused, body_limits};
use crate::client::writer::{ResponseWriter, ToClient, ToHttp2, Way};
use crate::http::field::Field;
use crate::http::framing::Framing;
use crate::http::head::{HeadError, RequestHead};
use crate::http::lines;
use crate::http::version::Version;
use crate::http::websocket;
use crate::http::write;
use crate::http2::Exchange;
use crate::request::admit::{Refusal, admit};
use crate::request::incoming::Incoming;
use crate::request::log::RequestLog;
use crate::request::plain::Start;
use crate::request::setting::Setting;
use crate::worker::Worker;
use crate::worker::buffers::Buffers;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// What a stream asks for. What waits for a server holds nothing of a head but what it needs.
pub struct Asked {
    view: Rc<View>,
    position: usize,
    /// The head; one that breaks the rules with what it says of itself.
    head: Result<RequestHead, (Refusal, RequestHead)>,
    lines: Vec<u8>,
    fields: Vec<Field>,
    is_tunnel: bool,
}

impl Asked {
    /// Reads a head; `None` if its listener is gone.
    pub fn read(client: &Client, head: &Head) -> Option<Self> {
        let (view, position) = client.view()?;
        let buffers = &client.worker.buffers;
        let (mut lines, mut fields) = (buffers.small(), buffers.fields());
        let mut upgrade = Vec::new();
        if let Some(protocol) = head.protocol() {
            ask_for_upgrade(protocol, &client.worker, &mut upgrade);
        }
        let read = lines::of_head(head, view.heads, &upgrade, &mut lines, &mut fields);
        let head = read.map_err(|error| {
            (Refusal::from(error), lines::of_refused_head(head, view.heads, &mut lines, &mut fields))
        });
        Some(Self { view, position, head, lines, fields, is_tunnel: !upgrade.is_empty() })
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
        let head = Err((refusal, head));
        Some(Self { view, position, head, lines, fields, is_tunnel: false })
    }

    fn end(self, buffers: &Buffers) {
        buffers.give(self.lines);
        buffers.give_fields(self.fields);
    }
}

/// Serves a stream whose request has just come; `has_ended` if it has no body.
pub async fn serve(client: Rc<Client>, exchange: Rc<Exchange>, asked: Asked, has_ended: bool) {
    let is_whole = answer(&client, &exchange, &asked, has_ended).await;
    // What is left of the request is not needed, or the response cannot be ended.
    exchange.reset(if is_whole { Code::NO_ERROR } else { Code::CANCEL });
    asked.end(&client.worker.buffers);
}

/// Records a request that was refused before it became a stream.
pub async fn refuse(client: Rc<Client>, exchange: Rc<Exchange>, asked: Asked) {
    answer(&client, &exchange, &asked, true).await;
    asked.end(&client.worker.buffers);
}

/// Answers a request; true if the response has been sent to its end.
async fn answer(client: &Client, exchange: &Rc<Exchange>, asked: &Asked, has_ended: bool) -> bool {
    let Asked { view, position, head, lines, fields, is_tunnel } = asked;
    let (worker, listener) = (&client.worker, view.listener(*position));
    let mut timer = Timer::new(worker.clock);
    let mut id = [0; 32];
    let known_host = client.known_host();
    let way = Way::Http2(ToHttp2::new(Rc::clone(exchange)));
    let is_head = head.as_ref().is_ok_and(|head| head.method.of_bytes(lines) == b"HEAD");
    let mut writer = ResponseWriter::new(worker, way, listener.timeout.write, Version::Http2, is_head);
    let head = match head {
        Ok(head) => head,
        Err((refusal, head)) => {
            let refused = Refused { bytes: lines, head, fields };
            Box::pin(client.refuse(view, &mut writer, refusal, Some(refused))).await;
            return writer.is_whole();
        }
    };
    let admitted = admit(lines, head, fields, client.origin(view, *position, &mut id, known_host.as_deref()));
    let request = match &admitted {
        Ok(request) if !is_tunnel || request.upgrade.is_some() => request,
        _ => {
            // What asks for a tunnel (RFC 8441) is that or nothing: what would follow is no body of a plain request.
            let no_tunnel = || Refusal::new(501, RequestRefusal::Unsupported, "no tunnel for that protocol");
            let refusal = admitted.err().unwrap_or_else(no_tunnel);
            let refused = Some(Refused { bytes: lines, head, fields });
            Box::pin(client.refuse(view, &mut writer, &refusal, refused)).await;
            return writer.is_whole();
        }
    };
    let framing = framing(request.declared, request.method, request.upgrade.is_some() || has_ended);
    let length = if let Framing::Length(length) = framing { Some(length) } else { None };
    let source = Source::Stream(FromStream::new(Rc::clone(exchange), length, has_ended));
    let body = RefCell::new(Body::new(source, framing, worker.clock, body_limits(view, listener)));
    let target = head.target.of_bytes(lines);
    let mut client_side = ToClient { writer: &mut writer, timer: &mut timer };
    let (pool, parents) = (OnceCell::new(), OnceCell::new());
    let setting = Setting { worker, view, listener: *position, pool: &pool, parents: &parents };
    let incoming = Incoming { request, body: &body };
    client.begin(request);
    client
        .handle((setting, Start::New), target, incoming, &mut client_side, &mut RequestLog::default())
        .await;
    writer.is_whole()
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
