//! One request, whatever version its client speaks: head and body.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use evenkeel_config::Route;
use evenkeel_core::choose::Keys;
use evenkeel_core::encoding::Accepted;
use evenkeel_core::plan::Planned;
use evenkeel_core::route::{Facts, forwarded};
use evenkeel_core::sticky;
use evenkeel_net::Peer;
use evenkeel_types::{RequestIdText, Time};

use crate::body::Body;
use crate::http::field::{Field, Known, KnownSet, Span, has_token};
use crate::http::framing::Framing;
use crate::http::head::RequestHead;
use crate::http::version::Version;
use crate::request::trace::Trace;
use crate::server::{Asker, Sender};
use crate::worker::unsent::Unsent;

/// A request that was admitted: unambiguous, and read as the client meant it.
#[derive(Debug)]
pub struct Request<'a> {
    /// The head that the fields are positions in.
    pub bytes: &'a [u8],
    /// Its fields, all of them.
    pub fields: &'a [Field],
    /// Which known ones are among them.
    pub known: KnownSet,
    /// The method, as it came.
    pub method: &'a str,
    /// The version that the client speaks.
    pub version: Version,
    /// `http` or `https`, as the client sees it.
    pub scheme: &'static str,
    /// Whom the client wants to talk to, with the port if it named one.
    pub authority: &'a str,
    /// The same without the port, in lower case.
    pub host: Cow<'a, str>,
    /// The path in normal form, in which routes are matched. [`forwarded`](Self::forwarded) is what servers see of it.
    pub path: Cow<'a, str>,
    /// The path as it came, if it holds `//` or `%5C`.
    pub unmerged: Option<&'a str>,
    /// Behind the `?`.
    pub query: Option<&'a str>,
    /// The client: the peer, or the client that trusted proxies name.
    pub client: IpAddr,
    /// The other end of the connection as text; empty over a unix socket.
    pub peer_text: &'a str,
    /// Names of fields that are ours alone to set.
    pub reserved: &'a [String],
    /// The field that tells the server who the client is, by its certificate.
    pub subject: Option<(&'a str, &'a str)>,
    /// True when the peer may speak for others.
    pub trusted: bool,
    /// The port that the client came to; `None` over a unix socket.
    pub port: Option<u16>,
    /// Who sends it, as servers learn it; `None` of a head that becomes no request.
    pub sender: Option<&'a Rc<Sender>>,
    /// What the streams of its connection keep waiting for the client; `None` over HTTP/1.1.
    pub unsent: Option<&'a Unsent>,
    /// True if fields with `_` in their names do not reach servers.
    pub drops_underscores: bool,
    /// `X-Request-Id`.
    pub id: RequestIdText<'a>,
    /// The protocol that it asks to change to.
    pub upgrade: Option<&'a [u8]>,
    /// How its body is framed, by what the head says.
    pub declared: Framing,
    /// True when the client waits for a 100 before it sends the body.
    pub expects_continue: bool,
    /// When the last byte of the head was there.
    pub started: Time,
    /// Where it stands in its trace, from when that is decided; stays empty if requests of its route are not traced.
    pub trace: OnceCell<Box<Trace>>,
}

impl<'a> Request<'a> {
    /// Stands for a head that could not be read, so that its refusal has a record like any request.
    pub fn unreadable(
        id: RequestIdText<'a>,
        scheme: &'static str,
        peer: Peer,
        peer_text: &'a str,
        now: Time,
    ) -> Self {
        Self {
            bytes: b"",
            fields: &[],
            known: KnownSet::default(),
            method: "",
            version: Version::Http11,
            scheme,
            authority: "",
            host: "".into(),
            path: "".into(),
            unmerged: None,
            query: None,
            client: peer.ip(),
            peer_text,
            reserved: &[],
            subject: None,
            trusted: false,
            port: None,
            sender: None,
            unsent: None,
            drops_underscores: false,
            id,
            upgrade: None,
            declared: Framing::Empty,
            expects_continue: false,
            started: now,
            trace: OnceCell::new(),
        }
    }

    /// Takes over what a refused head says of itself, for the log.
    pub fn read_what_can_be(&mut self, bytes: &'a [u8], head: &RequestHead, fields: &'a [Field]) {
        let text = |span: Span| std::str::from_utf8(span.of_bytes(bytes)).unwrap_or_default();
        self.bytes = bytes;
        self.fields = fields;
        self.known = head.known;
        self.method = text(head.method);
        self.version = head.version;
        self.authority = fields.iter().find(|f| f.known == Known::Host).map_or("", |f| text(f.value));
    }

    /// The values of a known field, line by line. Not those of its look-alikes with `_`, which are known so that they
    /// are not passed on, and which a trusted peer may pass on from any client.
    pub fn values(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        let fields = if self.known.holds(known) { self.fields } else { &[] };
        let is_meant = move |f: &&Field| {
            let has_look_alikes = known.is_forwarding();
            f.known == known && !(has_look_alikes && f.name.of_bytes(self.bytes).contains(&b'_'))
        };
        fields.iter().filter(is_meant).map(|f| f.value.of_bytes(self.bytes))
    }

    /// The value of the field of that name, in any case, if there is exactly one.
    pub fn only(&self, name: &str) -> Option<&[u8]> {
        let named = |f: &&Field| f.name.of_bytes(self.bytes).eq_ignore_ascii_case(name.as_bytes());
        let mut found = self.fields.iter().filter(named);
        let only = found.next()?;
        found.next().is_none().then(|| only.value.of_bytes(self.bytes))
    }

    /// The content codings that the client accepts; none if it wants the response as it is (RFC 9111, 5.2.1.6).
    pub fn accepted(&self) -> Accepted {
        let named = |name: &'static str| {
            let is_named =
                move |f: &&Field| f.name.of_bytes(self.bytes).eq_ignore_ascii_case(name.as_bytes());
            self.fields.iter().filter(is_named).map(|f| f.value.of_bytes(self.bytes))
        };
        if named("cache-control").any(|value| has_token(value, "no-transform")) {
            return Accepted::default();
        }
        Accepted::of(named("accept-encoding"))
    }

    /// The path that the route forwards, which [`plan::route`](evenkeel_core::plan::route) has found acceptable.
    pub fn forwarded(&self, route: &Route) -> Cow<'_, str> {
        forwarded(route, &self.path, self.unmerged).unwrap_or(Cow::Borrowed(&self.path))
    }

    /// The request as it asks for a connection to a server.
    pub fn asker(&self) -> Asker<'_> {
        Asker { host: &self.host, sender: self.sender, id: self.id.as_str() }
    }

    /// True for HEAD, whose response has no body.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

impl Facts for Request<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn has_header(&self, name: &str, value: &str) -> bool {
        self.fields.iter().any(|f| {
            f.name.of_bytes(self.bytes).eq_ignore_ascii_case(name.as_bytes())
                && f.value.of_bytes(self.bytes) == value.as_bytes()
        })
    }
}

impl Planned for Request<'_> {
    fn scheme(&self) -> &str {
        self.scheme
    }

    fn authority(&self) -> &str {
        self.authority
    }

    fn unmerged(&self) -> Option<&str> {
        self.unmerged
    }

    fn head_size(&self) -> (usize, usize) {
        (self.bytes.len(), self.fields.len())
    }

    /// Over HTTP/2 any success is the tunnel that the client asked for (RFC 8441, 5).
    fn takes_for_tunnel(&self, status: u16) -> bool {
        self.version == Version::Http2 && self.upgrade.is_some() && matches!(status, 200..=299)
    }
}

impl Keys for Request<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let named = |f: &&Field| f.name.of_bytes(self.bytes).eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().find(named).map(|f| f.value.of_bytes(self.bytes))
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.values(Known::Cookie).find_map(|line| sticky::cookie(line, name))
    }
}

/// What has come from a client: a request, and its body as it comes in. The body is read by whatever sends it on, and looked
/// at by whatever decides about another try; never by both at once.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'x, 'c> {
    /// What is asked.
    pub request: &'x Request<'c>,
    /// The body.
    pub body: &'x RefCell<Body<'c>>,
}
