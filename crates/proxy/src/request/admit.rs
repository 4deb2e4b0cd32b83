//! First stage: a head becomes a request, or is refused. Nothing that two parties could read in two ways gets by.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{Listener, Misdirected, Underscores};
use evenkeel_core::route::{RequestPath, parse_host};
use evenkeel_net::Peer;
use evenkeel_observe::RequestRefusal;
use evenkeel_tls::Coverage;
use evenkeel_types::{RequestIdText, Time};

use crate::http::field::{Field, Known, has_token, list};
use crate::http::framing::{self, Framing, FramingError};
use crate::http::head::{HeadError, RequestHead};
use crate::http::version::Version;
use crate::request::incoming::Request;
use crate::server::Sender;
use crate::worker::unsent::Unsent;

/// Longest `X-Request-Id` that is kept from a trusted peer.
const REQUEST_ID_MAX: usize = 128;

/// A request that goes no further, and the error that its client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// How it is counted; `None` for what is counted elsewhere.
    pub kind: Option<RequestRefusal>,
    /// Why, in a few words that clients may read: nothing of servers, addresses or files.
    pub why: Cow<'static, str>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal of `status`.
    pub fn new(status: u16, kind: RequestRefusal, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, kind: Some(kind), why: why.into(), retry_after: None }
    }

    /// The same, worth another try after this time; in whole seconds, and at least one.
    pub fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    fn malformed(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, RequestRefusal::Malformed, why)
    }
}

impl From<FramingError> for Refusal {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::Ambiguous(why) => Self::malformed(why),
            FramingError::Coded => Self::new(501, RequestRefusal::Unsupported, error.why()),
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        let (status, kind) = match error {
            HeadError::Malformed(_) => (400, RequestRefusal::Malformed),
            HeadError::TooLarge => (431, RequestRefusal::HeadTooLarge),
            HeadError::TargetTooLong => (414, RequestRefusal::UriTooLong),
            HeadError::Version => (505, RequestRefusal::Unsupported),
        };
        Self::new(status, kind, error.to_string())
    }
}

/// What is known of a client by its TLS handshake.
#[derive(Debug, Default)]
pub struct Secure {
    /// What the certificate that it was shown is for; `None` if it asked for no name.
    pub coverage: Option<Coverage>,
    /// Whom its own certificate is for.
    pub subject: Option<String>,
}

/// The host of an earlier request of the same connection: most requests of a connection are for one host.
#[derive(Debug)]
pub struct KnownHost {
    /// The value of `Host`, as it came.
    text: String,
    /// The host in it, in normal form.
    host: String,
}

impl KnownHost {
    /// The host of this request, if it came in `Host`.
    pub fn of(request: &Request<'_>) -> Self {
        Self { text: request.authority.to_owned(), host: request.host.to_string() }
    }

    /// True if this request is for the same.
    pub fn is_of(&self, request: &Request<'_>) -> bool {
        std::ptr::eq(self.text.as_str(), request.authority)
    }
}

/// What the connection knows of the sender of the head.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    /// The listener that it came by.
    pub listener: &'a Listener,
    /// Names of fields that are ours alone to set.
    pub reserved: &'a [String],
    /// What its TLS handshake came to; `None` in clear.
    pub secure: Option<&'a Secure>,
    /// The other end.
    pub peer: Peer,
    /// The other end's address as text; empty over a unix socket.
    pub peer_text: &'a str,
    /// The port that the other end came to; `None` over a unix socket.
    pub port: Option<u16>,
    /// Who sends it, as servers learn it; `None` of a head that becomes no request.
    pub sender: Option<&'a Rc<Sender>>,
    /// What the streams of its connection keep waiting for the client; `None` over HTTP/1.1.
    pub unsent: Option<&'a Unsent>,
    /// When the head was there.
    pub now: Time,
    /// The id that the request gets unless a trusted peer has given it one.
    pub fresh_id: RequestIdText<'a>,
    /// The host of an earlier request.
    pub known_host: Option<&'a KnownHost>,
}

/// Makes a request of a head.
///
/// # Errors
/// The request is refused.
pub fn admit<'a>(
    bytes: &'a [u8],
    head: &RequestHead,
    fields: &'a [Field],
    origin: Origin<'a>,
) -> Result<Request<'a>, Refusal> {
    let bytes = &bytes[..head.len];
    let method = match head.method.of_bytes(bytes) {
        b"GET" => "GET",
        method => text(method)?,
    };
    if method == "CONNECT" {
        return Err(Refusal::new(501, RequestRefusal::Unsupported, "CONNECT is not supported"));
    }
    let declared = framing::of_request(bytes, (fields, head.known), head.version)?;
    let target = Target::of(text(head.target.of_bytes(bytes))?, method)?;
    let (authority, host) = host(bytes, fields, head.version, target.authority, origin.known_host)?;
    let coverage = origin.secure.and_then(|secure| secure.coverage.as_ref());
    let refuses = origin.listener.misdirected == Misdirected::Refuse;
    if refuses && coverage.is_some_and(|coverage| !coverage.covers(&host)) {
        // The client reuses a connection that was made for another name (RFC 9110, 15.5.20).
        return Err(Refusal::new(421, RequestRefusal::Misdirected, "not what the certificate is for"));
    }
    let path = RequestPath::of(target.path)
        .map_err(|e| Refusal::new(400, RequestRefusal::BadPath, e.to_string()))?;
    if target.query.is_some_and(|query| !query.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(Refusal::new(400, RequestRefusal::BadPath, "query outside visible ASCII"));
    }
    let peer = origin.peer.ip();
    let trusted = is_trusted(origin.listener, peer);
    let mut request = Request {
        bytes,
        fields,
        known: head.known,
        method,
        version: head.version,
        scheme: if origin.secure.is_some() { "https" } else { "http" },
        authority,
        host,
        path: path.normal,
        unmerged: path.unmerged,
        query: target.query,
        client: peer,
        peer_text: origin.peer_text,
        reserved: origin.reserved,
        subject: subject(&origin),
        trusted,
        port: origin.port,
        sender: origin.sender,
        unsent: origin.unsent,
        drops_underscores: origin.listener.underscores == Underscores::Drop,
        id: origin.fresh_id,
        upgrade: None,
        declared,
        expects_continue: false,
        started: origin.now,
        trace: OnceCell::new(),
    };
    request.expects_continue = expects_continue(&request)?;
    request.upgrade = upgrade(&request, declared).unwrap_or_default();
    if trusted {
        believe(&mut request, origin.listener);
    }
    Ok(request)
}

/// The field that tells servers who the client is, by its certificate.
fn subject<'a>(origin: &Origin<'a>) -> Option<(&'a str, &'a str)> {
    let auth = origin.listener.tls.as_ref()?.client_auth.as_ref()?;
    Some((&auth.subject_header, origin.secure?.subject.as_deref()?))
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::malformed("request line outside ASCII"))
}

/// The parts of a request target (RFC 9112, 3.2).
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(target: &'a str, method: &str) -> Result<Self, Refusal> {
        if target == "*" {
            return if method == "OPTIONS" {
                Ok(Self { authority: None, path: target, query: None })
            } else {
                Err(Refusal::malformed("asterisk-form is for OPTIONS"))
            };
        }
        let (authority, rest) = if target.starts_with('/') {
            (None, target)
        } else {
            let is_scheme = |scheme: &&str| {
                target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            };
            let scheme = ["http://", "https://"].into_iter().find(is_scheme);
            let scheme = scheme.ok_or_else(|| Refusal::malformed("invalid request target"))?;
            let rest = &target[scheme.len()..];
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            if end == 0 {
                return Err(Refusal::malformed("empty authority in the request target"));
            }
            (Some(&rest[..end]), &rest[end..])
        };
        let end = rest.bytes().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
        let (path, behind) = rest.split_at(end);
        if behind.contains('#') {
            return Err(Refusal::malformed("fragment in the request target"));
        }
        let query = behind.strip_prefix('?');
        Ok(Self { authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

/// Whom a request is for: the authority, and the host in it in normal form. There must be one valid `Host` field
/// (RFC 9112, 3.2), which only HTTP/1.0 may do without; the target's authority overrides it (3.2.2).
fn host<'a>(
    bytes: &'a [u8],
    fields: &[Field],
    version: Version,
    in_target: Option<&'a str>,
    known: Option<&'a KnownHost>,
) -> Result<(&'a str, Cow<'a, str>), Refusal> {
    let mut hosts = fields.iter().filter(|f| f.known == Known::Host);
    let in_header = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Refusal::malformed("more than one host")),
        (None, _) if version != Version::Http10 => return Err(Refusal::malformed("host is missing")),
        (None, _) => &b""[..],
        (Some(field), None) => field.value.of_bytes(bytes),
    };
    if let (None, Some(known)) = (in_target, known)
        && known.text.as_bytes() == in_header
    {
        return Ok((&known.text, Cow::Borrowed(&known.host)));
    }
    let in_header = std::str::from_utf8(in_header).map_err(|_| Refusal::malformed("invalid host"))?;
    let parse = |text: &'a str| parse_host(text).map_err(|e| Refusal::malformed(e.to_string()));
    let (mut authority, (mut host, _)) = (in_header, parse(in_header)?);
    if let Some(in_target) = in_target {
        (authority, (host, _)) = (in_target, parse(in_target)?);
    }
    Ok((authority, host))
}

fn expects_continue(request: &Request<'_>) -> Result<bool, Refusal> {
    let mut expects = false;
    for value in request.values(Known::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::new(417, RequestRefusal::Expectation, "expectation is not supported"));
        }
        expects = true;
    }
    // RFC 9110, 10.1.1: a server must ignore the expectation in an HTTP/1.0 request.
    Ok(expects && request.version != Version::Http10)
}

/// The protocol to change to, if the request asks for one that may be asked for: not h2c, which would open a way around
/// everything here. A body is no hindrance, because the server gets all of it before it may switch (RFC 9110, 7.8); but
/// over HTTP/2 what follows belongs to the tunnel.
///
/// # Errors
/// Why the server is not asked for it.
fn upgrade<'a>(request: &Request<'a>, framing: Framing) -> Result<Option<&'a [u8]>, &'static str> {
    if !request.known.holds(Known::Upgrade) {
        return Ok(None);
    }
    let mut protocols = request.fields.iter().filter(|f| f.known == Known::Upgrade);
    let Some(protocol) = protocols.next().map(|f| f.value.of_bytes(request.bytes)) else { return Ok(None) };
    if protocols.next().is_some() || protocol.is_empty() {
        return Err("upgrade not passed on: not one field with a protocol");
    }
    if request.version == Version::Http10 {
        return Err("upgrade not passed on: HTTP/1.0 has none");
    }
    if !request.values(Known::Connection).any(|value| has_token(value, "upgrade")) {
        return Err("upgrade not passed on: connection does not name it");
    }
    if list(protocol).any(|p| p.len() >= 3 && p[..3].eq_ignore_ascii_case(b"h2c")) {
        return Err("upgrade not passed on: h2c is not supported");
    }
    if request.version == Version::Http2 && !matches!(framing, Framing::Empty | Framing::Length(0)) {
        return Err("upgrade not passed on: a tunnel of HTTP/2 has no body before it");
    }
    Ok(Some(protocol))
}

/// Why the request's `Upgrade` is not passed on; `None` if it is, or there is none.
pub fn upgrade_left_out(request: &Request<'_>) -> Option<&'static str> {
    if !request.known.holds(Known::Upgrade) || request.upgrade.is_some() {
        return None;
    }
    upgrade(request, Framing::Empty).err()
}

fn is_trusted(listener: &Listener, address: IpAddr) -> bool {
    listener.trusted_proxies.iter().any(|net| net.contains(&address))
}

/// Takes over what a trusted peer says: who the client is, read from the right up to the first that is not
/// trusted itself; the scheme; the request's id.
fn believe(request: &mut Request<'_>, listener: &Listener) {
    let claims = request.values(Known::XForwardedFor).rev().flat_map(|value| list(value).rev());
    let mut client = None;
    for claim in claims {
        let Some(address) = claimed(claim) else { break };
        client = Some(address.to_canonical());
        if !is_trusted(listener, address) {
            break;
        }
    }
    request.client = client.unwrap_or(request.client);
    let said = request.values(Known::XForwardedProto).next();
    let scheme = ["http", "https"]
        .into_iter()
        .find(|scheme| said.is_some_and(|said| said.eq_ignore_ascii_case(scheme.as_bytes())));
    request.scheme = scheme.unwrap_or(request.scheme);
    let is_id = |id: &&[u8]| (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    let given = request.values(Known::XRequestId).next().filter(is_id);
    if let Some(id) = given.map(|id| String::from_utf8_lossy(id).into_owned()) {
        request.id = RequestIdText::Given(Cow::Owned(id));
    }
}

/// The address in a member of `X-Forwarded-For`, to which some proxies add the port that the client came from.
fn claimed(claim: &[u8]) -> Option<IpAddr> {
    let claim = std::str::from_utf8(claim).ok()?;
    let in_brackets = || claim.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || claim.parse().ok().map(|address: SocketAddr| address.ip());
    claim.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_may_name_a_port_beside_the_address() {
        for claim in ["192.0.2.1", "192.0.2.1:4711"] {
            assert_eq!(claimed(claim.as_bytes()), "192.0.2.1".parse().ok(), "{claim}");
        }
        for claim in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"] {
            assert_eq!(claimed(claim.as_bytes()), "2001:db8::1".parse().ok(), "{claim}");
        }
        for claim in
            ["unknown", "_hidden", "", "192.0.2.1:", "192.0.2.1:http", "192.0.2.1:99999", "[192.0.2.1]"]
        {
            assert_eq!(claimed(claim.as_bytes()), None, "{claim}");
        }
    }
}
