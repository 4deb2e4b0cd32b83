//! What must hold for any request that was admitted, whatever version it came in.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::LazyLock;

use evenkeel_config::Listener;
use evenkeel_core::route::RequestPath;
use evenkeel_net::Peer;
use evenkeel_proxy::http::field::{Field, Known};
use evenkeel_proxy::http::framing::Framing;
use evenkeel_proxy::http::head::{HeadLimits, RequestHead, parse_request};
use evenkeel_proxy::http::write::{self, Nominated};
use evenkeel_proxy::{Origin, Refusal, Request, Sender, Version, admit};
use evenkeel_types::{RequestIdText, Time};

use crate::{LIMITS, strict};

/// One that trusts no proxy, and one that trusts every peer.
static LISTENERS: LazyLock<Vec<Listener>> = LazyLock::new(|| {
    let text = "[listener.a]\nbind = 1\npool = \"p\"\n\
                [listener.b]\nbind = 2\npool = \"p\"\ntrusted_proxies = [\"0.0.0.0/0\", \"::/0\"]\n\
                [pool.p]\nbackends = [3]\n";
    evenkeel_config::parse("fuzz.toml", text).expect("the configuration is valid").config.listeners
});

thread_local! {
    static SENDER: &'static Rc<Sender> = {
        let lines = "x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-port: 80\r\n";
        Box::leak(Box::new(Rc::new(Sender::new(lines.into(), Peer::Unix, None, None))))
    };
}

/// Admits a head by each of the listeners, and looks at what became of it.
pub fn check(bytes: &[u8], head: &RequestHead, fields: &[Field]) {
    for listener in LISTENERS.iter() {
        let Ok(request) = admit(bytes, head, fields, origin(listener)) else { return };
        let framing = request.declared;
        check_framing(&request, framing);
        check_target(&request);
        let id = request.id.as_bytes();
        assert!(!id.is_empty() && id.iter().all(u8::is_ascii_graphic));
        check_as_forwarded(&request, framing, listener);
    }
}

fn origin(listener: &Listener) -> Origin<'_> {
    let peer = Peer::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, 4)));
    Origin {
        listener,
        reserved: &[],
        secure: None,
        peer,
        peer_text: "127.0.0.1",
        port: Some(80),
        sender: Some(SENDER.with(|sender| *sender)),
        unsent: None,
        now: Time::ZERO,
        fresh_id: RequestIdText::Given("fresh".into()),
        known_host: None,
    }
}

fn check_framing(request: &Request<'_>, framing: Framing) {
    let declared = strict::declared(request.bytes, request.fields);
    assert!(declared.len() <= 1, "two ways to read the length");
    assert_eq!(framing, declared.first().copied().unwrap_or(Framing::Empty));
    assert!(framing != Framing::Chunked || request.version == Version::Http11);
    // Over HTTP/2 a tunnel opens without a body before it, and never for HTTP/2 in clear.
    if let Some(protocol) = request.upgrade {
        assert!(request.version != Version::Http2 || matches!(framing, Framing::Empty | Framing::Length(0)));
        assert!(
            !String::from_utf8_lossy(protocol).to_ascii_lowercase().split(',').any(|p| p.trim() == "h2c")
        );
    }
}

/// What is matched is what is forwarded, in a form that has one reading.
fn check_target(request: &Request<'_>) {
    let path = request.path.as_bytes();
    assert!(request.method == "OPTIONS" && path == b"*" || path.starts_with(b"/"), "path {path:?}");
    assert!(path.iter().all(u8::is_ascii_graphic) && !path.contains(&b'?') && !path.contains(&b'#'));
    assert!(!path.split(|b| *b == b'/').any(|segment| segment == b"." || segment == b".."));
    let again = RequestPath::of(&request.path).map(|path| path.normal);
    assert_eq!(again.as_deref(), Ok(&*request.path), "normal form has a normal form");
    assert!(request.query.is_none_or(|query| query.bytes().all(|b| b.is_ascii_graphic())));
    assert!(request.authority.bytes().all(|b| b.is_ascii_graphic()));
    let hosts = request.fields.iter().filter(|f| f.known == Known::Host).count();
    assert!(hosts == 1 || hosts == 0 && request.version == Version::Http10);
}

/// Written out with its target in normal form and its fields as they are copied, it is the same request again.
fn check_as_forwarded(request: &Request<'_>, framing: Framing, listener: &Listener) {
    let Request { bytes, fields, .. } = *request;
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let line = format!("{} {}{mark}{query} HTTP/1.1\r\n", request.method, request.path);
    let mut out = line.into_bytes();
    write::field(&mut out, "host", request.authority.as_bytes());
    let nominated = Nominated::of(bytes, (fields, request.known));
    write::copy_fields(&mut out, bytes, bytes.len(), fields, |field: &Field| {
        field.known != Known::Host
            && field.known != Known::Expect
            && !field.known.is_hop_by_hop()
            && !nominated.holds(bytes, fields, field)
    });
    match framing {
        Framing::Length(length) => write::content_length(&mut out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty | Framing::UntilClose => {}
    }
    out.extend_from_slice(b"\r\n");

    let limits = HeadLimits { bytes: 2 * LIMITS.bytes, fields: LIMITS.fields + 2, uri: LIMITS.uri };
    let mut read = Vec::new();
    let head = match parse_request(&out, limits, &mut read) {
        Ok(Some(head)) => head,
        other => panic!("as forwarded it is {other:?}: {}", String::from_utf8_lossy(&out)),
    };
    assert_eq!(head.len, out.len(), "it ends elsewhere");
    match admit(&out, &head, &read, origin(listener)) {
        Ok(again) => {
            assert_eq!(again.declared, framing);
            assert_eq!(again.method, request.method);
            assert_eq!(
                (again.authority, &again.path, again.query),
                (request.authority, &request.path, request.query)
            );
        }
        // A request of HTTP/1.0 need not say whom it is for.
        Err(Refusal { status: 400, .. }) if request.authority.is_empty() => {}
        Err(refusal) => {
            panic!("as forwarded it is refused, {}: {}", refusal.why, String::from_utf8_lossy(&out))
        }
    }
}
