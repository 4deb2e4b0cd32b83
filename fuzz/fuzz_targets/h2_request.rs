//! A head that came over HTTP/2 either is refused, or is written as lines that say the same and nothing else.
#![no_main]

use evenkeel_proxy::Version;
use evenkeel_proxy::http::field::{Field, Known};
use evenkeel_proxy::http::head::{HeadLimits, RequestHead, parse_request};
use evenkeel_proxy::http::lines;
use http::header::{COOKIE, HOST};
use http::{Method, Request, request, uri};
use libfuzzer_sys::fuzz_target;

mod admitted;
mod http2;
mod strict;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 32, uri: 1024 };

fuzz_target!(|input: &[u8]| {
    let Some(parts) = request(input) else { return };
    let (mut bytes, mut fields) = (Vec::new(), Vec::new());
    let Ok(head) = lines::of_request(&parts, LIMITS, &mut bytes, &mut fields) else { return };
    assert!(head.len == bytes.len() && head.len <= LIMITS.bytes && fields.len() <= LIMITS.fields);
    assert_eq!(head.version, Version::Http2);
    strict::check_fields(&bytes, &fields);
    check_host(&parts, &bytes, &fields);
    check_as_http1(&bytes, &head, &fields);
    check_way_back(&parts, &bytes);
    admitted::check(&bytes, &head, &fields);
});

/// A request as `h2` makes it of fields; `None` where `h2` refuses it.
fn request(input: &[u8]) -> Option<request::Parts> {
    let (pseudo, headers) = http2::fields(input)?;
    let of = |name: &str| pseudo.iter().find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| *value);
    let method = Method::from_bytes(of(":method")?).ok()?;
    let mut target = uri::Parts::default();
    if let Some(authority) = of(":authority") {
        target.authority = Some(authority.try_into().ok()?);
        if method != Method::CONNECT {
            target.scheme = Some(uri::Scheme::HTTP);
        }
    }
    if let Some(path) = of(":path").filter(|_| method != Method::CONNECT) {
        target.path_and_query = Some(path.try_into().ok()?);
    }
    let mut request =
        Request::builder().method(method).uri(uri::Uri::from_parts(target).ok()?).body(()).ok()?;
    *request.headers_mut() = headers;
    Some(request.into_parts().0)
}

/// There is one host at most, and it is whom the request is for.
fn check_host(parts: &request::Parts, bytes: &[u8], fields: &[Field]) {
    let hosts: Vec<&[u8]> =
        fields.iter().filter(|f| f.known == Known::Host).map(|f| f.value.of_bytes(bytes)).collect();
    assert!(hosts.len() <= 1, "more than one host");
    let said = parts.headers.get_all(HOST).iter().map(|value| value.as_bytes());
    let said = said.chain(parts.uri.authority().map(|authority| authority.as_str().as_bytes()));
    for said in said {
        assert!(hosts[0].eq_ignore_ascii_case(said), "another host");
    }
}

/// A reader of HTTP/1.1 finds what we say is there.
fn check_as_http1(bytes: &[u8], head: &RequestHead, fields: &[Field]) {
    let text = bytes.windows(8).position(|part| part == b"HTTP/2.0").expect("the version is there");
    let mut bytes = bytes.to_vec();
    bytes[text..text + 8].copy_from_slice(b"HTTP/1.1");
    let mut read = Vec::new();
    let found = match parse_request(&bytes, LIMITS, &mut read) {
        Ok(Some(found)) => found,
        // What `http` takes for a method or target is refused by `admit` at the latest.
        _ => return,
    };
    assert_eq!((found.len, found.method, found.target), (head.len, head.method, head.target));
    assert_eq!(http2::texts(&bytes, &read), http2::texts(&bytes, fields));
}

/// Read back as fields it is the same, but for the host, which has a place of its own, and crumbs put together.
fn check_way_back(parts: &request::Parts, bytes: &[u8]) {
    let start = bytes.iter().position(|b| *b == b'\n').expect("there is a request line") + 1;
    let fields = lines::to_fields(&bytes[start..]).expect("we wrote it");
    let mut expected = parts.headers.clone();
    expected.remove(HOST);
    let crumbs: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(|crumb| crumb.as_bytes()).collect();
    if !crumbs.is_empty() {
        expected.insert(COOKIE, crumbs.join(&b"; "[..]).try_into().expect("crumbs are values"));
    }
    assert_eq!(fields, expected);
}
