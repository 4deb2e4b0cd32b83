//! Speaking HTTP/1.1 to a server: the request head as we send it, the response head as we take it.

use evenkeel_config::HeaderEdits;
use evenkeel_net::Io;

use super::error::ServerError;
use crate::http::field::{Field, Known, same_variable};
use crate::http::framing::Framing;
use crate::http::head::{HeadLimits, ResponseHead, parse_response};
use crate::http::version::Version;
use crate::http::write::{self, Nominated};
use crate::request::incoming::Request;
use crate::request::trace::Passed;

/// The field by which a server knows a copy of a request. What a client itself sends under that name is removed.
pub const MIRROR: &str = "x-evenkeel-mirror";

/// The deadline header: how much time the request has left.
#[derive(Debug)]
pub struct DeadlineField<'a> {
    /// The field's name; what the client said in it does not go on.
    pub name: &'a str,
    /// `None` if there is no limit.
    pub value: Option<String>,
}

/// The names of which the balancer disposes towards servers: what a client says under them does not go on, be it in the
/// head or behind the body.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'a> {
    /// Ours alone to set, on every route.
    pub reserved: &'a [String],
    /// The deadline header.
    pub deadline: Option<&'a str>,
    /// What the route sets and removes.
    pub edits: &'a HeaderEdits,
    /// All names with `_` in them.
    pub underscores: bool,
}

impl Ours<'_> {
    /// True if there are none.
    #[inline]
    fn is_empty(&self) -> bool {
        self.reserved.is_empty() && self.deadline.is_none() && self.edits.is_empty() && !self.underscores
    }

    /// True if `name` is one of them.
    pub fn holds(&self, name: &[u8]) -> bool {
        let mut names = self.reserved.iter().map(String::as_str).chain(self.deadline);
        names.any(|ours| same_variable(name, ours.as_bytes()))
            || self.underscores && name.contains(&b'_')
            || write::edited_away(self.edits, name)
    }
}

/// What becomes of a request on its way to a server.
#[derive(Debug)]
pub struct Changes<'a> {
    /// The host, where the client named none.
    pub server_host: &'a str,
    /// Path and query, in parts.
    pub target: [&'a str; 3],
    /// What the route took off the path.
    pub prefix: Option<&'a str>,
    /// Whether the server gets a `Via` of ours.
    pub via: bool,
    /// The route's edits.
    pub edits: &'a HeaderEdits,
    /// How the body is delimited.
    pub body: Framing,
    /// The deadline header.
    pub deadline: Option<DeadlineField<'a>>,
    /// What this node is called, where the request is to say that it has passed through it (RFC 8586).
    pub node: Option<&'a str>,
    /// Where the request stands in its trace; `None` if what the client says of that passes through.
    pub trace: Option<Passed<'a>>,
}

/// Writes a request's head: hop-by-hop fields left out, ours added, edits applied.
pub fn write_request(out: &mut Vec<u8>, request: &Request<'_>, changes: &Changes<'_>) {
    let Changes { edits, deadline, .. } = changes;
    let deadline = deadline.as_ref();
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    changes.target.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_host(out, request, changes.server_host, edits);
    write_fields(out, request, changes);
    if let Some(DeadlineField { name, value: Some(value) }) = deadline {
        write::field(out, name, value.as_bytes());
    }
    // Ours come after nominated fields were taken out, so no client can have them removed.
    write_forwarded(out, request, changes);
    if !edits.is_empty() {
        write::edits(out, edits);
    }
    if let Some(protocol) = request.upgrade {
        out.extend_from_slice(b"connection: upgrade\r\n");
        write::field(out, "upgrade", protocol);
    } else if request.known.holds(Known::Te)
        && request.values(Known::Te).any(|te| crate::http::field::has_token(te, "trailers"))
    {
        out.extend_from_slice(b"connection: te\r\nte: trailers\r\n");
    }
    write::framing(out, changes.body);
    out.extend_from_slice(b"\r\n");
}

/// First, as RFC 9112 (3.2) wants it, and the one that was matched: the target's authority if it had one.
fn write_host(out: &mut Vec<u8>, request: &Request<'_>, server_host: &str, edits: &HeaderEdits) {
    if !edits.is_empty() && write::edited_away(edits, b"host") {
        return;
    }
    // Only an HTTP/1.0 client may have named none, but we must.
    let host = if request.authority.is_empty() { server_host } else { request.authority };
    write::line(out, "host: ", &[host.as_bytes()]);
}

fn write_fields(out: &mut Vec<u8>, request: &Request<'_>, changes: &Changes<'_>) {
    let Changes { edits, deadline, trace, .. } = changes;
    let Request { bytes, fields, trusted, reserved, .. } = *request;
    let nominated = Nominated::of(bytes, (fields, request.known));
    let deadline = deadline.as_ref().map(|deadline| deadline.name);
    let ours = Ours { reserved, deadline, edits, underscores: request.drops_underscores };
    let has_none = ours.is_empty();
    write::copy_fields(out, bytes, request.bytes.len(), fields, |field| match field.known {
        Known::Host => false,
        Known::LookAlike => false,
        Known::Forwarded if !trusted => false,
        Known::TraceContext
            if trace.as_ref().is_some_and(|trace| trace.replaces(field.name.of_bytes(bytes))) =>
        {
            false
        }
        known if known.is_forwarding() || known.is_hop_by_hop() => false,
        // Nothing may take it off (RFC 8586, 2), because then a loop would not be found.
        known if known != Known::CdnLoop && nominated.holds(bytes, fields, field) => false,
        _ => has_none || !ours.holds(field.name.of_bytes(bytes)),
    });
}

fn write_forwarded(out: &mut Vec<u8>, request: &Request<'_>, changes: &Changes<'_>) {
    let edits = Some(changes.edits).filter(|edits| !edits.is_empty());
    let edited = edits.is_some();
    // What a trusted peer says of those before it stays.
    let said = |known| {
        let value = || request.values(known).next().filter(|value| !value.is_empty());
        if request.trusted { value() } else { None }
    };
    if !edited && !request.trusted {
        out.extend_from_slice(request.sender.map_or(b"", |sender| sender.lines()));
    }
    if edited || request.trusted {
        let mut number = itoa::Buffer::new();
        let port = request.port.map(|port| number.format(port).as_bytes());
        let sender = SenderLines {
            addresses: &addresses(request),
            scheme: said(Known::XForwardedProto).unwrap_or(request.scheme.as_bytes()),
            port: port.map(|port| said(Known::XForwardedPort).unwrap_or(port)),
        };
        sender.write(&mut |name, parts| ours(out, edits, name, parts));
    }
    let host = said(Known::XForwardedHost).unwrap_or(request.authority.as_bytes());
    if !host.is_empty() {
        ours(out, edits, "x-forwarded-host: ", &[host]);
    }
    // Seen from outside, what the route took off comes behind what those before us did.
    match (said(Known::XForwardedPrefix).unwrap_or_default(), changes.prefix.unwrap_or_default()) {
        (b"", "") => {}
        (outer, "") => ours(out, edits, "x-forwarded-prefix: ", &[outer]),
        (outer, prefix) => {
            ours(
                out,
                edits,
                "x-forwarded-prefix: ",
                &[outer.strip_suffix(b"/").unwrap_or(outer), prefix.as_bytes()],
            );
        }
    }
    if let Some((name, subject)) = request.subject {
        ours(out, edits, &format!("{name}: "), &[subject.as_bytes()]);
    }
    ours(out, edits, "x-request-id: ", &[request.id.as_bytes()]);
    let version: &[u8] = match request.version {
        Version::Http10 => b"1.0 evenkeel",
        Version::Http11 => b"1.1 evenkeel",
        Version::Http2 => b"2 evenkeel",
    };
    if changes.via {
        ours(out, edits, "via: ", &[version]);
    }
    if let Some(node) = changes.node {
        ours(out, edits, "cdn-loop: ", &[node.as_bytes()]);
    }
    if let Some(trace) = &changes.trace {
        trace.write(|name, value| ours(out, edits, name, &[value]));
    }
}

/// One of our fields, unless the route edits it; the name comes with its colon and space.
#[inline(always)]
fn ours(out: &mut Vec<u8>, edits: Option<&HeaderEdits>, name: &str, parts: &[&[u8]]) {
    if edits.is_none_or(|edits| !write::edited_away(edits, &name.as_bytes()[..name.len() - 2])) {
        write::line(out, name, parts);
    }
}

/// The sender of a request, as the request to the server names it.
struct SenderLines<'a> {
    addresses: &'a [&'a [u8]],
    scheme: &'a [u8],
    port: Option<&'a [u8]>,
}

impl SenderLines<'_> {
    fn write(&self, line: &mut impl FnMut(&str, &[&[u8]])) {
        if !self.addresses.is_empty() {
            line("x-forwarded-for: ", self.addresses);
        }
        line("x-forwarded-proto: ", &[self.scheme]);
        if let Some(port) = self.port {
            line("x-forwarded-port: ", &[port]);
        }
    }
}

/// The lines about the sender of each request over a connection, unless its peer is trusted to say more, or the
/// route edits it.
pub fn sender_lines(peer_text: &str, scheme: &str, port: Option<u16>) -> Vec<u8> {
    let (mut out, mut number) = (Vec::new(), itoa::Buffer::new());
    let peer = [peer_text.as_bytes()];
    let sender = SenderLines {
        addresses: if peer_text.is_empty() { &[] } else { &peer },
        scheme: scheme.as_bytes(),
        port: port.map(|port| number.format(port).as_bytes()),
    };
    sender.write(&mut |name, parts| write::line(&mut out, name, parts));
    out
}

/// The peer, behind those that a trusted peer names; with what stands between them.
fn addresses<'a>(request: &'a Request<'_>) -> Vec<&'a [u8]> {
    let mut list: Vec<&[u8]> = Vec::new();
    let named = request.values(Known::XForwardedFor).filter(|value| request.trusted && !value.is_empty());
    let peer = Some(request.peer_text.as_bytes()).filter(|peer| !peer.is_empty());
    for address in named.chain(peer) {
        if !list.is_empty() {
            list.push(b", ");
        }
        list.push(address);
    }
    list
}

/// Reads a response head to the start of `buf`, behind which more may have been read already.
///
/// # Errors
/// The server closed, failed, or sent what is no acceptable head. Nothing is said of how long it took.
pub async fn read_head(
    io: &Io,
    buf: &mut Vec<u8>,
    fields: &mut Vec<Field>,
    limits: HeadLimits,
) -> Result<ResponseHead, ServerError> {
    loop {
        if !buf.is_empty() {
            let parsed = parse_response(buf, limits, fields);
            if let Some(head) = parsed? {
                return Ok(head);
            }
        }
        if buf.len() == buf.capacity() {
            buf.reserve(buf.len().max(1024));
        }
        match io.read(buf).await {
            Ok(0) if buf.is_empty() => return Err(ServerError::Closed),
            Ok(0) => return Err(ServerError::HeadCut),
            Ok(_) => {}
            Err(error) => return Err(ServerError::Reset(error)),
        }
    }
}
