//! Heads that become lines, lines that become fields, and what becomes neither.

use http::{Request, Response};
use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 20, uri: 1000 };

fn request(build: http::request::Builder) -> Result<(String, Vec<Field>, RequestHead), HeadError> {
    let (parts, ()) = build.body(()).unwrap().into_parts();
    let (mut out, mut fields) = (Vec::new(), Vec::new());
    let head = of_request(&parts, LIMITS, &mut out, &mut fields)?;
    Ok((String::from_utf8(out).unwrap(), fields, head))
}

#[test]
fn a_request_is_written_as_lines_with_its_host_first() {
    let built = Request::builder()
        .method(Method::POST)
        .uri("https://shop.example.com:8443/cart?id=1")
        .header("accept", "*/*")
        .header("cookie", "a=1")
        .header("x-two", "1")
        .header("cookie", "b=2")
        .header("x-two", "2")
        .header("host", "SHOP.example.com:8443");
    let (lines, fields, head) = request(built).unwrap();
    assert_eq!(
        lines,
        "POST /cart?id=1 HTTP/2.0\r\nhost: shop.example.com:8443\r\naccept: */*\r\ncookie: a=1; b=2\r\n\
         x-two: 1\r\nx-two: 2\r\n\r\n"
    );
    assert_eq!(head.len, lines.len());
    assert_eq!(head.method.of_bytes(lines.as_bytes()), b"POST");
    assert_eq!(head.target.of_bytes(lines.as_bytes()), b"/cart?id=1");
    assert_eq!(fields[0].known, Known::Host);
    assert_eq!(fields[2].value.of_bytes(lines.as_bytes()), b"a=1; b=2");
    assert!(head.known.holds(Known::Cookie) && !head.known.holds(Known::Te));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let of = |host: &[&str]| {
        host.iter()
            .fold(Request::builder().uri("http://a.example/"), |built, host| built.header("host", *host))
    };
    assert!(request(of(&["a.example"])).is_ok());
    for hosts in [&["b.example"][..], &["a.example", "a.example"], &["a.example:80"]] {
        assert!(matches!(request(of(hosts)), Err(HeadError::Malformed(_))), "{hosts:?}");
    }
    let connect = |uri: &str| Request::builder().method(Method::CONNECT).uri(uri).header("host", "a:443");
    assert!(request(connect("a:443")).is_ok());
    assert!(matches!(request(connect("/")), Err(HeadError::Malformed(_))));
    let quoted = HeaderName::from_lowercase(b"x\"y").unwrap();
    assert!(matches!(request(of(&[]).header(quoted, "1")), Err(HeadError::Malformed(_))));
    for value in [" x", "x ", "\tx"] {
        let padded = Request::builder().uri("http://a/").header("x-a", HeaderValue::from_str(value).unwrap());
        assert!(matches!(request(padded), Err(HeadError::Malformed(_))), "{value:?}");
    }
}

#[test]
fn each_limit_is_kept() {
    let base = || Request::builder().uri("http://a/");
    let many = (2..LIMITS.fields).fold(base(), |built, _| built.header("x-a", "1"));
    let crumbs =
        |built, count| (0..count).fold(built, |built: request::Builder, _| built.header("cookie", "a=1"));
    assert!(request(crumbs(many, 2 * LIMITS.fields)).is_ok(), "a cookie in crumbs is one field");
    let one_more = (0..=LIMITS.fields).fold(base(), |built, _| built.header("x-a", "1"));
    assert_eq!(request(one_more).unwrap_err(), HeadError::TooLarge);
    assert_eq!(request(crumbs(base(), LIMITS.bytes / 5 + 1)).unwrap_err(), HeadError::TooLarge);
    assert_eq!(request(base().header("a", "x".repeat(LIMITS.bytes))).unwrap_err(), HeadError::TooLarge);
    let long = format!("http://a/{}", "x".repeat(LIMITS.uri));
    assert_eq!(request(Request::builder().uri(long)).unwrap_err(), HeadError::TargetTooLong);
}

#[test]
fn lines_become_fields_without_what_belongs_to_a_connection() {
    let fields = to_fields(
        b"Host: a\r\nAccept:  */* \r\nconnection: te\r\nte: trailers\r\nTransfer-Encoding: chunked\r\nupgrade: x\r\n\
          content-length: 3\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nbehind: it\r\n",
    );
    let fields: Vec<_> =
        fields.unwrap().iter().map(|(n, v)| format!("{n}={}", v.to_str().unwrap())).collect();
    assert_eq!(fields, ["accept=*/*", "te=trailers", "content-length=3", "set-cookie=a", "set-cookie=b"]);
    for bad in ["no colon\r\n", ": x\r\n", "a b: c\r\n", "a: b\rc\r\n", "a: \u{0}\r\n"] {
        assert!(to_fields(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn a_response_comes_back_as_it_was(
        status in 200_u16..600,
        fields in prop::collection::vec(("x-[a-z0-9]{1,8}", "[!-~]([ -~]{0,20}[!-~])?"), 0..10),
    ) {
        let built = fields.iter().fold(Response::builder().status(status), |b, (n, v)| b.header(n, v));
        let (parts, ()) = built.body(()).unwrap().into_parts();
        let (mut out, mut spans) = (Vec::new(), Vec::new());
        let head = of_response(&parts, LIMITS, &mut out, &mut spans).unwrap();
        prop_assert_eq!(head.status, status);
        let start = out.iter().position(|b| *b == b'\n').unwrap() + 1;
        prop_assert_eq!(to_fields(&out[start..]).unwrap(), parts.headers);
    }

    #[test]
    fn no_section_of_lines_panics_or_smuggles(section in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(fields) = to_fields(&section) {
            for (name, value) in &fields {
                prop_assert!(!value.as_bytes().iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
                prop_assert!(name != "connection" && name != "transfer-encoding" && name != "host");
            }
        }
    }
}
