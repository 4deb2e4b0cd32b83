//! Datagrams of clients on their way to servers.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};

use evenkeel_core::l4::SessionKey;
use evenkeel_net::proxy_protocol::{Carried, Header, HeaderError};
use evenkeel_net::{Message, Outbox};
use evenkeel_observe::{DatagramDrop, ProxyHeaderResult, StreamEnded};
use evenkeel_types::Time;

use super::join::join;
use super::session::{Relayed, Session, State};
use super::{BACK_OFF, Station};
use crate::worker::batch::Batch;
use crate::worker::view::View;

/// Datagrams of one session that follow one another.
#[derive(Default)]
struct Run<'a> {
    /// The session, and where its client sent them to.
    of: Option<(SessionKey, SocketAddr)>,
    datagrams: Vec<&'a [u8]>,
}

/// What has become of datagrams that were to go to a server.
#[derive(Default)]
struct Sent {
    bytes: u64,
    too_large: usize,
    unsent: usize,
    /// The server has refused what was sent to it before; from which datagram on, and how many, were not sent for that.
    refused: Option<(io::Error, usize, usize)>,
}

impl Station {
    /// Passes on what has come from clients; true if there may be more.
    pub(super) fn pass_up(
        &mut self,
        view: &Rc<View>,
        batch: &mut Batch,
        now: Time,
        cx: &mut Context<'_>,
    ) -> bool {
        // What comes to a socket that another process has as well is left to that one.
        if self.pauses_until.is_some() || self.ends.closing.is_handed_over() {
            return false;
        }
        let Batch { inbox, outbox } = batch;
        inbox.clear();
        match self.socket.poll_receive(cx, inbox) {
            Poll::Pending => return false,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => {
                if self.worker.shared.fails_anew(&self.listener) {
                    tracing::warn!(listener = %self.listener, %error, "cannot receive datagrams");
                }
                self.pauses_until = Some(now + BACK_OFF);
                return false;
            }
        }
        let mut run = Run::default();
        for received in inbox.received() {
            self.figures().received.add(received.count() as u64);
            let Some(peer) = received.peer else { continue };
            for datagram in datagrams(inbox.bytes(received), received.segment) {
                let Some((key, to, datagram)) = self.attribute(view, peer, received.local, datagram) else {
                    self.drop_some(DatagramDrop::ProxyHeader, 1);
                    continue;
                };
                if run.of != Some((key, to)) {
                    self.send_run(view, outbox, &mut run, (now, cx));
                    run.of = Some((key, to));
                }
                run.datagrams.push(datagram);
            }
        }
        self.send_run(view, outbox, &mut run, (now, cx));
        true
    }

    /// To which session a datagram belongs, where its client sent it to, and what of it the server is to get; `None` if it does not
    /// begin with the PROXY header that it must begin with.
    #[inline]
    fn attribute<'a>(
        &self,
        view: &View,
        peer: SocketAddr,
        local: Option<IpAddr>,
        datagram: &'a [u8],
    ) -> Option<(SessionKey, SocketAddr, &'a [u8])> {
        let bound = self.socket.bound();
        let to = SocketAddr::new(local.unwrap_or(bound.ip()), bound.port());
        let key = SessionKey { peer, local, client: None };
        if !self.rules.takes_headers || !self.expects_header(view, peer) {
            return Some((key, to, datagram));
        }
        let metrics = &self.worker.metrics;
        match Header::read_datagram(datagram) {
            Ok((header, length)) => {
                let rest = &datagram[length..];
                let Carried::Ip { source, destination } = header.carried else {
                    metrics.proxy_header(ProxyHeaderResult::Local);
                    return Some((key, to, rest));
                };
                metrics.proxy_header(ProxyHeaderResult::Client);
                Some((SessionKey { client: Some(source), ..key }, destination, rest))
            }
            Err(error) => {
                metrics.proxy_header(match error {
                    HeaderError::Missing => ProxyHeaderResult::Missing,
                    HeaderError::Malformed(_) => ProxyHeaderResult::Malformed,
                });
                if self.worker.shared.may_say_unproxied(&self.listener) {
                    let next = "further ones are counted in evenkeel_proxy_headers_total, and said again after a minute";
                    tracing::warn!(listener = %self.listener, peer = %peer.ip(), why = %error, next, "dropped a datagram of a peer in accept_proxy_protocol");
                }
                None
            }
        }
    }

    fn expects_header(&self, view: &View, peer: SocketAddr) -> bool {
        let position = view.listener_position(&self.listener);
        position.is_some_and(|position| view.listener(position).expects_proxy_header(peer.ip()))
    }

    /// Sends a run to its server, and empties it.
    fn send_run(
        &mut self,
        view: &Rc<View>,
        outbox: &mut Outbox,
        run: &mut Run<'_>,
        (now, cx): (Time, &mut Context<'_>),
    ) {
        let (Some((key, to)), false) = (run.of.take(), run.datagrams.is_empty()) else { return };
        let count = run.datagrams.len();
        if let Some(at) = self.session_of(view, key, to, count, (now, cx)) {
            let refused = self.send_up(at, outbox, &run.datagrams, now);
            if let Some((first, count)) = refused {
                // Of these nothing was sent: they are what chooses again.
                let unsent = &run.datagrams[first..first + count];
                if let Some(at) = self.begin(view, key, to, count, (now, cx)) {
                    let again = self.send_up(at, outbox, unsent, now);
                    again.into_iter().for_each(|(_, count)| self.drop_some(DatagramDrop::Refused, count));
                }
            }
        }
        run.datagrams.clear();
    }

    /// The session of datagrams, which may begin with them.
    #[inline]
    fn session_of(
        &mut self,
        view: &Rc<View>,
        key: SessionKey,
        to: SocketAddr,
        count: usize,
        (now, cx): (Time, &mut Context<'_>),
    ) -> Option<usize> {
        let Some(at) = self.sessions.find(&key) else { return self.begin(view, key, to, count, (now, cx)) };
        let has_server = match self.sessions.touch(at, now).map(|session| &mut session.state) {
            Some(State::Relayed(relayed)) => relayed.has_server(view),
            _ => true,
        };
        if has_server {
            return Some(at);
        }
        self.end(at, StreamEnded::ServerDown, Some("the server is down or not in the pool any more".into()));
        self.begin(view, key, to, count, (now, cx))
    }

    /// Sends datagrams to the server of a session, or keeps them for it. If the server has refused what came before, the session
    /// has ended: returns which of them were not sent for that, the first and how many.
    fn send_up(
        &mut self,
        at: usize,
        outbox: &mut Outbox,
        datagrams: &[&[u8]],
        now: Time,
    ) -> Option<(usize, usize)> {
        let max_answers = self.rules.max_answers;
        let session = self.sessions.get_mut(at)?;
        session.allowance.handle_datagrams(datagrams.len() as u32, max_answers);
        let relayed = match &mut session.state {
            State::Relayed(relayed) => relayed,
            State::Waiting(waiting) => {
                let kept = datagrams.iter().filter(|datagram| waiting.hold(datagram)).count();
                self.drop_some(DatagramDrop::Waiting, datagrams.len() - kept);
                return None;
            }
        };
        let sent = send(relayed, outbox, datagrams);
        let moved = &relayed.log.moved.0;
        moved.set(moved.get() + sent.bytes);
        if let Some(series) = &relayed.series {
            series.shard(self.worker.index).received.add(sent.bytes);
        }
        let mut refused = None;
        if let Some((error, first, count)) = sent.refused {
            let (ended, why) = relayed.refused(&self.worker, error, now);
            self.end(at, ended, Some(why));
            refused = Some((first, count));
        }
        self.drop_some(DatagramDrop::TooLarge, sent.too_large);
        self.drop_some(DatagramDrop::Unsent, sent.unsent);
        refused
    }

    /// Sends what a session has kept while it waited.
    pub(super) fn send_held(&mut self, at: usize, held: &[Box<[u8]>], now: Time) {
        let held: Vec<&[u8]> = held.iter().map(|datagram| &**datagram).collect();
        let Some(session) = self.sessions.get_mut(at) else { return };
        // They were counted when they came.
        let allowance = session.allowance;
        let refused = self.send_up(at, &mut Outbox::default(), &held, now);
        refused.into_iter().for_each(|(_, count)| self.drop_some(DatagramDrop::Refused, count));
        self.sessions.get_mut(at).into_iter().for_each(|session: &mut Session| session.allowance = allowance);
    }
}

/// Sends datagrams to the server, each behind the header of the session if there is one.
fn send(relayed: &Relayed, outbox: &mut Outbox, datagrams: &[&[u8]]) -> Sent {
    let mut sent = Sent::default();
    if let ([datagram], None) = (datagrams, &relayed.header) {
        match relayed.socket.send(datagram) {
            Ok(()) => sent.bytes = datagram.len() as u64,
            Err(error) => sent.failed(&error, (0, 1)),
        }
        return sent;
    }
    let header = relayed.header.as_deref();
    let per_datagram = 1 + usize::from(header.is_some());
    let mut pieces = Vec::with_capacity(datagrams.len() * per_datagram);
    for datagram in datagrams {
        pieces.extend(header.map(IoSlice::new));
        pieces.push(IoSlice::new(datagram));
    }
    let header = header.map_or(0, <[u8]>::len);
    let lengths: Vec<usize> = datagrams.iter().map(|datagram| header + datagram.len()).collect();
    let stretches = join(&lengths);
    let messages: Vec<Message> = stretches
        .iter()
        .map(|(range, segment)| Message {
            to: None,
            from: None,
            pieces: range.start * per_datagram..range.end * per_datagram,
            segment: *segment,
        })
        .collect();
    let bytes = |range: &std::ops::Range<usize>| {
        datagrams[range.clone()].iter().map(|it| it.len() as u64).sum::<u64>()
    };
    sent.bytes = bytes(&(0..datagrams.len()));
    outbox.send(&relayed.socket, false, (&messages, &pieces), |at, error| {
        let range = &stretches[at].0;
        sent.bytes -= bytes(range);
        sent.failed(error, (range.start, range.len()));
    });
    sent
}

impl Sent {
    fn failed(&mut self, error: &io::Error, (first, count): (usize, usize)) {
        use io::ErrorKind::{ConnectionRefused, WouldBlock};
        match error.kind() {
            ConnectionRefused if self.refused.is_none() => {
                self.refused = Some((error.kind().into(), first, count));
            }
            ConnectionRefused | WouldBlock => self.unsent += count,
            _ if is_too_large(error) => self.too_large += count,
            _ => self.unsent += count,
        }
    }
}

/// True if a datagram is larger than its way allows, which says nothing of its receiver.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

/// The datagrams that have come as one.
pub(super) fn datagrams(bytes: &[u8], segment: usize) -> impl Iterator<Item = &[u8]> {
    let (whole, several) = if segment == 0 { (Some(bytes), &[][..]) } else { (None, bytes) };
    whole.into_iter().chain(several.chunks(segment.max(1)))
}
