//! What is noted of a request on its way, and what is known of it when it has ended.

use std::borrow::Cow;
use std::time::Duration;

use evenkeel_core::choose::{Chosen, Why};
use evenkeel_net::Peer;
use evenkeel_observe::{CacheResult, Client, Ended, RenderedOrigin, Version as LoggedVersion};
use evenkeel_types::Time;

use crate::http::version::Version;
use crate::request::incoming::Request;
use crate::request::noted::Noted;
use crate::request::own;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// What is noted of a request on its way.
#[derive(Debug, Default)]
pub struct RequestLog {
    /// The route's position.
    pub route: Option<usize>,
    /// The position in the pool of the server that was tried last.
    pub server: Option<usize>,
    /// Why that one.
    pub why: Option<Why>,
    /// That pool is the one of the cache nodes that are asked first.
    pub at_parents: bool,
    /// How often the request went on with a newer view of its pool, because it had waited for a server.
    pub renewals: u32,
    /// How many were tried.
    pub tries: u32,
    /// Time spent connecting.
    pub connect: Option<Duration>,
    /// When the request was written to the server.
    pub sent: Option<Time>,
    /// When the last byte of its body was, if it has one.
    pub uploaded: Option<Time>,
    /// When the head of the final response was there.
    pub answered: Option<Time>,
    /// Bytes that went up and down a tunnel that has ended.
    pub tunnel: Option<(u64, u64)>,
    /// A copy of it is for another pool, once its body has passed.
    pub is_copied: bool,
    /// Why the balancer answered with an error, or did not pass on what the client asked for.
    pub reason: Option<String>,
    /// The same with what is for the log alone, if there is more to say than the client may know.
    pub detail: Option<String>,
    /// What became of a try that failed or was slow, if another server could have made it good.
    pub retry: Option<String>,
    /// What the cache did; `None` where the route has none.
    pub cache: Option<Cached>,
    /// When the first of several servers was asked that had the request at once.
    pub hedged: Option<Time>,
    /// The fields of the response that the log has, in the order of `fields` of `[log]`, with gaps for others.
    pub kept: Vec<Option<Vec<u8>>>,
    /// What the flight recorder is to know beside all that.
    pub noted: Noted,
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy)]
pub struct Cached {
    /// What it came to.
    pub result: CacheResult,
    /// Why it was not simply a hit, in a word.
    pub reason: Option<&'static str>,
    /// Whether the request was sent what another one was fetching.
    pub coalesced: bool,
    /// The age of what was sent from the cache, in seconds.
    pub age_s: u64,
}

impl RequestLog {
    /// This server is tried now.
    pub fn tries_at(&mut self, chosen: &Chosen) {
        (self.server, self.why) = (Some(chosen.server), Some(chosen.why));
        self.tries += 1;
    }

    /// The head of the request goes out to a server.
    pub fn sends(&mut self, now: Time) {
        (self.sent, self.uploaded) = (Some(now), None);
    }

    /// The server has taken all of the request's body, if it has one, at this time.
    pub fn uploaded(&mut self, at: Option<Time>) {
        self.uploaded = at;
    }

    /// The head of the final response was there.
    pub fn answer_came(&mut self, now: Time) {
        self.answered = Some(now);
    }

    /// A tunnel has ended, in which so many bytes went up and down.
    pub fn tunnelled(&mut self, up: u64, down: u64) {
        self.tunnel = Some((up, down));
    }

    /// Takes over what was noted of a fetch that this request began.
    pub fn adopt(&mut self, fetch: Self) {
        let (route, is_copied, cache) = (self.route, self.is_copied, self.cache.take());
        let (mut fetch, mut noted) = (fetch, std::mem::take(&mut self.noted));
        noted.adopt(std::mem::take(&mut fetch.noted));
        *self = Self { route, is_copied, cache, noted, ..fetch };
    }

    /// Keeps what the log has of the response, which goes out with this head.
    #[inline]
    pub fn keep_fields<'h>(&mut self, view: &View, head: impl Fn(&str) -> Option<&'h [u8]>) {
        if view.logs_response_fields {
            self.kept = own::of_response(&view.snapshot.config.log.fields, head);
        }
    }

    /// What became of a try, beside what is noted of it.
    pub fn note(&mut self, what: String) {
        self.retry = Some(match self.retry.take() {
            None => what,
            Some(before) => format!("{before}; {what}"),
        });
    }

    /// Bytes that went up and down a tunnel that has ended.
    pub fn tunnel_bytes(&self) -> (u64, u64) {
        self.tunnel.unwrap_or_default()
    }

    /// Why the client got an error, or why more than one server was asked.
    pub fn why(&self) -> Option<Cow<'_, str>> {
        match (&self.reason, &self.retry) {
            (Some(reason), Some(retry)) => Some(Cow::Owned(format!("{reason}; {retry}"))),
            (one, other) => one.as_deref().or(other.as_deref()).map(Cow::Borrowed),
        }
    }

    /// How long the client took to send what is sent of its request by now, which may be all of it.
    pub fn uploading(&self, is_over: bool, now: Time) -> Duration {
        let until = if is_over { self.uploaded } else { Some(now) };
        until.zip(self.sent).map_or(Duration::ZERO, |(until, sent)| until - sent)
    }

    /// From the request sent, to its last byte, to the head of its response: how long a client takes to send it is not its
    /// server's doing.
    pub fn first_byte(&self) -> Option<Duration> {
        Some(self.answered? - self.uploaded.or(self.sent)?)
    }
}

/// What a client has got of its response.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delivered {
    /// The status; 0 if there was none.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
    /// True if it is the whole response.
    pub is_whole: bool,
}

/// A request that has ended, whichever way.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// Client and listener as log lines have them, unless a trusted peer names another client.
    pub origin: Option<&'a RenderedOrigin>,
    /// Where it stands in the view; `None` if it is not there any more.
    pub position: Option<usize>,
    /// The other end of the connection.
    pub peer: Peer,
    /// The request target as it came.
    pub target: &'a [u8],
    /// The request.
    pub request: &'a Request<'a>,
    /// What its client has got.
    pub delivered: Delivered,
    /// The pool that it went to.
    pub pool: Option<&'a PoolView>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// What was noted on its way.
    pub log: &'a RequestLog,
    /// How it ended.
    pub ended: Ended,
}

impl<'a> Finished<'a> {
    /// How long the client took to send the body, if there was one.
    pub fn upload(&self) -> Option<Duration> {
        (self.bytes_in > 0).then(|| Some(self.log.uploaded? - self.log.sent?)).flatten()
    }

    /// The client, as far as it is believed.
    pub fn client(&self) -> Client<'a> {
        match self.peer {
            Peer::Ip(peer) if peer.ip() == self.request.client => {
                Client::Peer(self.request.peer_text, peer.port())
            }
            Peer::Unix if self.request.client.is_unspecified() => Client::Unix,
            _ => Client::Ip(self.request.client, 0),
        }
    }

    /// The version that the client spoke.
    pub fn version(&self) -> LoggedVersion {
        version(self.request.version)
    }
}

/// The version as records have it.
pub fn version(version: Version) -> LoggedVersion {
    match version {
        Version::Http10 => LoggedVersion::Http10,
        Version::Http11 => LoggedVersion::Http11,
        Version::Http2 => LoggedVersion::Http2,
    }
}
