//! What is known of a client's connection, and what happens to each of its requests, whatever version it speaks.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{HeaderEdits, Listener, PoolProtocol};
use evenkeel_core::limit::{Gcra, Tat};
use evenkeel_core::overload::OverloadStep;
use evenkeel_net::Peer;
use evenkeel_net::proxy_protocol::Tlvs;
use evenkeel_observe::{Client as LoggedClient, Ended, RenderedOrigin, RequestRefusal};
use evenkeel_types::{ListenerName, Time};

use crate::body::BodyLimits;
use crate::client::writer::{ResponseWriter, Sent, ToClient};
use crate::filter::fields;
use crate::forward::outcome::refusal_of;
use crate::forward::tunnel;
use crate::http::field::{Field, Known};
use crate::http::head::RequestHead;
use crate::l4;
use crate::request::admit::{KnownHost, Origin, Refusal, Secure, upgrade_left_out};
use crate::request::answer;
use crate::request::handle::{go_on, handle, refuse, refuse_too_fast};
use crate::request::incoming::{Incoming, Request};
use crate::request::log::{Delivered, Finished, RequestLog};
use crate::request::mirror;
use crate::request::plain::Start;
use crate::request::record::record;
use crate::request::setting::Setting;
use crate::response::Response;
use crate::server::Sender;
use crate::server::error::ServerError;
use crate::server::h1::sender_lines;
use crate::stream::StreamError;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::WriteError;
use crate::worker::view::View;

/// A client's connection.
pub struct Client {
    /// Who serves it.
    pub worker: Rc<Worker>,
    listener: ListenerName,
    /// Where the listener stands, in the configuration of which generation.
    position: Cell<(u64, Option<usize>)>,
    peer: Peer,
    peer_text: String,
    /// The address that it came to; `None` over a unix socket.
    destination: Option<SocketAddr>,
    /// The client as servers learn of it, made for its first request.
    sender: OnceCell<Rc<Sender>>,
    /// What the handshake came to; `None` in clear.
    pub secure: Option<Box<Secure>>,
    /// The same for servers, if some of them are sent it.
    pub session: Option<Rc<Tlvs>>,
    /// How many requests it may send, where that is limited.
    pace: Cell<Tat>,
    /// Client and listener as log lines have them, made for its first request.
    origin_in_log: OnceCell<RenderedOrigin>,
    /// The host of the last request.
    known_host: RefCell<Option<Rc<KnownHost>>>,
}

/// A head that became no request, as far as it could be read.
pub struct Refused<'a> {
    /// What the fields are positions in.
    pub bytes: &'a [u8],
    /// The head.
    pub head: &'a RequestHead,
    /// Its fields.
    pub fields: &'a [Field],
}

impl Client {
    /// A connection that was just accepted.
    pub fn new(
        worker: Rc<Worker>,
        listener: ListenerName,
        peer: Peer,
        destination: Option<SocketAddr>,
    ) -> Self {
        let peer_text = text_of(peer);
        let position = Cell::new((u64::MAX, None));
        let (sender, pace, origin_in_log, known_host) =
            (OnceCell::new(), Cell::default(), OnceCell::new(), RefCell::default());
        Self {
            worker,
            listener,
            position,
            peer,
            peer_text,
            destination,
            sender,
            secure: None,
            session: None,
            pace,
            origin_in_log,
            known_host,
        }
    }

    /// Lets go of what is made for a first request and kept for others, because none has come for a while.
    pub fn rest(&mut self) {
        self.origin_in_log.take();
        self.known_host.take();
        // It may have connections to servers of its own.
        if self.sender.get().is_some_and(|sender| sender.keeps_none()) {
            self.sender.take();
        }
    }

    /// The other end, or whom it speaks for by a PROXY header.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Logs why its TLS handshake has failed.
    pub fn log_failed_handshake(&self, why: &dyn Display) {
        let (listener, peer) = (&self.listener, &self.peer_text);
        tracing::debug!(%listener, peer, %why, "TLS handshake with a client failed");
    }

    /// Believes a PROXY header. Before the first request.
    pub fn speaks_for(&mut self, peer: Peer, destination: Option<SocketAddr>) {
        (self.peer, self.peer_text, self.destination) = (peer, text_of(peer), destination);
    }

    /// Where its connection comes from.
    pub fn came_from(&self) -> l4::Origin {
        l4::Origin { peer: self.peer, destination: Some(self.destination) }
    }

    /// The connection, as servers see it.
    pub fn sender(&self) -> Sender {
        let lines = sender_lines(&self.peer_text, self.scheme(), self.port());
        Sender::new(lines, self.peer, self.destination, self.session.clone())
    }

    fn port(&self) -> Option<u16> {
        self.destination.map(|address| address.port())
    }

    /// What is in force for this connection, and where its listener stands in it. A listener that was just taken
    /// away is found where it stood, so that the last requests to it are answered.
    pub fn view(&self) -> Option<(Rc<View>, usize)> {
        let view = self.worker.view();
        if let Some(position) = self.position(&view) {
            return Some((view, position));
        }
        let retired = self.worker.retired_view()?;
        let position = retired.listener_position(&self.listener)?;
        Some((retired, position))
    }

    /// Where the listener stands; `None` if it is gone.
    fn position(&self, view: &View) -> Option<usize> {
        let (generation, position) = self.position.get();
        if generation == view.snapshot.generation {
            return position;
        }
        let position = view.listener_position(&self.listener);
        self.position.set((view.snapshot.generation, position));
        position
    }

    /// True when a connection that waits for a request is to close.
    pub fn is_to_go(&self) -> bool {
        self.worker.closes_idle() || !self.has_listener()
    }

    /// True if its listener is still there.
    fn has_listener(&self) -> bool {
        let (generation, position) = self.position.get();
        let is_known = generation == self.worker.shared.generation();
        if is_known { position.is_some() } else { self.position(&self.worker.view()).is_some() }
    }

    /// True when a connection is to carry no further request.
    pub fn is_to_close(&self) -> bool {
        self.worker.is_leaving() || self.is_to_go() || self.worker.shared.step() != OverloadStep::None
    }

    fn scheme(&self) -> &'static str {
        if self.secure.is_some() { "https" } else { "http" }
    }

    /// The host of the last request.
    pub fn known_host(&self) -> Option<Rc<KnownHost>> {
        self.known_host.borrow().clone()
    }

    /// What is known of the sender of a head that has just come.
    pub fn origin<'a>(
        &'a self,
        view: &'a View,
        position: usize,
        id: &'a mut [u8; 32],
        known_host: Option<&'a KnownHost>,
    ) -> Origin<'a> {
        Origin {
            listener: view.listener(position),
            reserved: &view.reserved,
            secure: self.secure.as_deref(),
            peer: self.peer,
            peer_text: &self.peer_text,
            port: self.port(),
            sender: Some(self.sender.get_or_init(|| Rc::new(self.sender()))),
            unsent: None,
            now: self.worker.clock.now(),
            fresh_id: self.worker.request_id(id),
            known_host,
        }
    }

    /// A request has been admitted.
    pub fn begin(&self, request: &Request<'_>) {
        if !self.known_host.borrow().as_ref().is_some_and(|known| known.is_of(request)) {
            *self.known_host.borrow_mut() = Some(Rc::new(KnownHost::of(request)));
        }
        self.worker.metrics.requests_in_flight.increment();
    }

    /// Handles a request that has [begun](Self::begin), sends its response and records it. It is taken up at `start`. `target` is
    /// the request target as it came.
    pub async fn handle<'x, 'c>(
        &self,
        (setting, start): (Setting<'x>, Start<'x>),
        target: &[u8],
        incoming: Incoming<'x, 'c>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> (Ended, Time) {
        let request = incoming.request;
        let handled = match start.routed() {
            Err(begun) => go_on(begun, setting, incoming, client, log).await,
            Ok(routed) => match self.must_wait(setting.view.listener(setting.listener), request.started) {
                None => handle(setting, routed, incoming, client, log).await,
                Some(retry) => Ok(refuse_too_fast(setting, incoming, client.writer, log, retry)),
            },
        };
        let ended = respond(setting, incoming, client.writer, log, handled).await;
        if log.is_copied
            && let Some(route) = log.route
        {
            mirror::finish(setting, route, incoming);
        }
        let bytes_in = incoming.body.borrow().bytes();
        let ends = (ended, client.writer.delivered(), bytes_in);
        (ended, self.end(setting, target, request, ends, log))
    }

    /// The client of a plain exchange has its response, or takes no more of it; tells how the request has ended, and when.
    pub fn end_plain(
        &self,
        setting: Setting<'_>,
        target: &[u8],
        request: &Request<'_>,
        (sent, delivered, bytes_in): (Result<(), WriteError>, Delivered, u64),
        log: &mut RequestLog,
    ) -> (Ended, Time) {
        let ended = match sent {
            Ok(()) => Ended::Complete,
            Err(gone) => gone_like(gone, setting.view, log),
        };
        (ended, self.end(setting, target, request, (ended, delivered, bytes_in), log))
    }

    /// Records a request that has ended; tells when that was.
    fn end(
        &self,
        setting: Setting<'_>,
        target: &[u8],
        request: &Request<'_>,
        (ended, delivered, bytes_in): (Ended, Delivered, u64),
        log: &mut RequestLog,
    ) -> Time {
        let Setting { worker, view, listener, pool, parents } = setting;
        worker.metrics.requests_in_flight.decrement();
        if request.known.holds(Known::Upgrade) && log.reason.is_none() {
            let speaks_http2 = |pool: &Rc<PoolView>| pool.state.config.protocol == PoolProtocol::Http2;
            log.reason = match request.upgrade {
                None => upgrade_left_out(request).map(str::to_owned),
                Some(_) if !pool.get().is_some_and(speaks_http2) => None,
                Some(_) => Some("upgrade not passed on: the server speaks HTTP/2".to_owned()),
            };
        }
        let finished = Finished {
            listener: self.listener.as_str(),
            origin: self.origin_in_log(),
            position: Some(listener),
            peer: self.peer,
            target,
            request,
            delivered,
            pool: if log.at_parents { parents } else { pool }.get().map(|pool| pool.after(log.renewals)),
            bytes_in,
            log,
            ended,
        };
        record(worker, view, &finished)
    }

    /// Client and listener as log lines have them, if the client has an address.
    fn origin_in_log(&self) -> Option<&RenderedOrigin> {
        let Peer::Ip(peer) = self.peer else { return None };
        let client = LoggedClient::Peer(&self.peer_text, peer.port());
        Some(self.origin_in_log.get_or_init(|| RenderedOrigin::new(client, self.listener.as_str())))
    }

    /// How long the client must wait before its next request over this connection, if it sends more than it may.
    fn must_wait(&self, listener: &Listener, now: Time) -> Option<Duration> {
        let rate = listener.limits.requests_per_connection?;
        let pace = Gcra::new(rate, rate.per_second());
        let standing = pace.look(self.pace.get(), now);
        if standing.refused {
            return Some(standing.next);
        }
        self.pace.set(pace.take(self.pace.get(), now));
        None
    }

    /// Answers and records what never became a request.
    pub async fn refuse(
        &self,
        view: &View,
        writer: &mut ResponseWriter<'_>,
        refusal: &Refusal,
        refused: Option<Refused<'_>>,
    ) -> Ended {
        let worker = &self.worker;
        if let Some(kind) = refusal.kind {
            worker.metrics.request_refused(kind);
        }
        let mut id = [0; 32];
        let fresh_id = worker.request_id(&mut id);
        let mut request =
            { Request::unreadable(fresh_id, self.scheme(), self.peer, &self.peer_text, worker.clock.now()) };
        let mut target: &[u8] = b"";
        if let Some(Refused { bytes, head, fields }) = refused {
            target = head.target.of_bytes(bytes);
            request.read_what_can_be(&bytes[..head.len], head, fields);
        }
        let answered = if refusal.status == 408 { Ended::ClientTimeout } else { Ended::Refused };
        let ended = match refusal.kind {
            // Over HTTP/2 that is an error of the stream (RFC 9113, 8.1.1), or never became one.
            Some(RequestRefusal::Malformed | RequestRefusal::TooManyStreams) if writer.refuse_stream() => {
                answered
            }
            _ => {
                let response = answer::refuse(worker, refusal, &request, answered);
                let edits = HeaderEdits::default();
                let response = fields::finish(response, worker, &request, &edits, request.started);
                match writer.send(response).await {
                    Sent::Whole(ended) => ended,
                    _ => Ended::ClientAborted,
                }
            }
        };
        let mut log = RequestLog { reason: Some(refusal.why.to_string()), ..RequestLog::default() };
        if let Some(kind) = refusal.kind {
            log.noted.refused(kind.as_str());
        }
        let finished = Finished {
            listener: self.listener.as_str(),
            origin: self.origin_in_log(),
            position: view.listener_position(&self.listener),
            peer: self.peer,
            target,
            request: &request,
            delivered: writer.delivered(),
            pool: None,
            bytes_in: 0,
            log: &log,
            ended,
        };
        record(worker, view, &finished);
        ended
    }
}

fn text_of(peer: Peer) -> String {
    match peer {
        Peer::Ip(address) => address.ip().to_string(),
        Peer::Unix => String::new(),
    }
}

/// Sends a response, and what may take its place, unless the client has gone before; tells how the request ended with that.
async fn respond<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
    handled: Result<Response<'x, 'c>, Ended>,
) -> Ended {
    let response = match handled {
        Ok(response) => response,
        Err(gone) => return gone,
    };
    log.keep_fields(setting.view, |name| response.head.value(name));
    let mut sent = writer.send(response).await;
    if let Sent::Unsent(error) = &sent {
        let (refusal, ended) = match error {
            StreamError::Server(error) => refusal_of(error, log),
            StreamError::Fetch => refusal_of(&ServerError::Closed, log),
            StreamError::Encoder(error) => {
                log.detail = Some(error.to_string());
                let refusal =
                    Refusal { status: 500, kind: None, why: "compression failed".into(), retry_after: None };
                (refusal, Ended::Refused)
            }
            StreamError::File(error) => {
                log.detail = Some(error.to_string());
                let why = "the file cannot be read".into();
                (Refusal { status: 500, kind: None, why, retry_after: None }, Ended::Refused)
            }
        };
        let response = refuse(setting, incoming, writer, log, &refusal, ended);
        log.keep_fields(setting.view, |name| response.head.value(name));
        // In a box, because few responses fail before anything was sent of them.
        sent = Box::pin(writer.send(response)).await;
    }
    match sent {
        Sent::Whole(ended) => ended,
        Sent::Gone(gone) => {
            if gone == WriteError::TooSlow {
                writer.abandon();
            }
            gone_like(gone, setting.view, log)
        }
        Sent::Tunnel(tunnel) => {
            Box::pin(tunnel::run(setting.worker, tunnel, incoming.body, writer, log)).await;
            Ended::Tunnel
        }
        Sent::Cut(ended, error) => {
            log.reason = Some(error.to_string());
            if let StreamError::Server(error) = &error {
                log.noted.blame(error);
            }
            writer.cut();
            ended
        }
        Sent::Unsent(_) => Ended::BackendAborted,
    }
}

/// How a request has ended whose client takes no more of its response.
#[cold]
fn gone_like(gone: WriteError, view: &View, log: &mut RequestLog) -> Ended {
    match gone {
        WriteError::Failed => Ended::ClientAborted,
        WriteError::Stalled => Ended::ClientTimeout,
        WriteError::TooSlow => {
            let rate = view.snapshot.config.limits.body_rate;
            log.reason = Some(format!("the client took less than limits.body_rate ({rate} bytes a second)"));
            Ended::ClientTimeout
        }
    }
}

/// What the body of a request may cost.
pub fn body_limits(view: &View, listener: &Listener) -> BodyLimits {
    let limits = &view.snapshot.config.limits;
    BodyLimits {
        stall: listener.timeout.body,
        at_most: None,
        rate_min: limits.body_rate,
        bytes_max: limits.request_body,
    }
}
