//! Heads that become lines, lines that become fields, and what becomes neither.

use evenkeel_http2::{Decoder, Encoder};
use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 20, uri: 1000 };

/// The head that these fields make when they come over HTTP/2.
fn came(fields: &[(&str, &str)]) -> Head {
    let (mut encoder, mut block, mut head) = (Encoder::new(0), Vec::new(), Head::new());
    encoder.begin(&mut block);
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
    }
    head.clear(evenkeel_http2::HeadLimits { size: usize::MAX, fields: usize::MAX });
    Decoder::default().decode(&block, &mut head).unwrap();
    head
}

fn request(
    parts: &[(&str, &str)],
    fields: &[(&str, &str)],
) -> Result<(String, Vec<Field>, RequestHead), HeadError> {
    let (mut out, mut spans) = (Vec::new(), Vec::new());
    let head = of_head(&came(&[parts, fields].concat()), LIMITS, b"", &mut out, &mut spans)?;
    Ok((String::from_utf8(out).unwrap(), spans, head))
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

#[test]
fn a_request_is_written_as_lines_with_its_host_first() {
    let parts = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/cart?id=1"),
        (":authority", "shop.example.com:8443"),
    ];
    let fields = [
        ("accept", "*/*"),
        ("cookie", "a=1"),
        ("x-two", "1"),
        ("cookie", "b=2"),
        ("x-two", "2"),
        ("host", "SHOP.example.com:8443"),
    ];
    let (lines, fields, head) = request(&parts, &fields).unwrap();
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
fn a_host_without_an_authority_is_a_line_like_others() {
    let (lines, fields, _) = request(&GET[..3], &[("accept", "*/*"), ("host", "b.example")]).unwrap();
    assert_eq!(lines, "GET / HTTP/2.0\r\naccept: */*\r\nhost: b.example\r\n\r\n");
    assert_eq!(fields[1].known, Known::Host);
}

#[test]
fn a_tunnel_is_asked_for_as_http1_does() {
    let head = came(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "a"),
    ]);
    let (mut out, mut fields) = (Vec::new(), Vec::new());
    let upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n";
    let head = of_head(&head, LIMITS, upgrade, &mut out, &mut fields).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET /chat HTTP/2.0\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    assert!(head.known.holds(Known::Upgrade) && head.known.holds(Known::Connection));
}

#[test]
fn each_limit_is_kept() {
    let with = |fields: &[(&str, &str)]| request(&GET, fields).map(drop);
    let crumbs = |count: usize| vec![("cookie", "a=1"); count];
    let many = vec![("x-a", "1"); LIMITS.fields - 2];
    assert_eq!(with(&[many.as_slice(), &crumbs(40)].concat()), Ok(()), "a cookie in crumbs is one field");
    assert_eq!(with(&vec![("x-a", "1"); LIMITS.fields + 1]), Err(HeadError::TooLarge));
    assert_eq!(with(&crumbs(LIMITS.bytes / 5 + 1)), Err(HeadError::TooLarge));
    assert_eq!(with(&[("a", &"x".repeat(LIMITS.bytes))]), Err(HeadError::TooLarge));
    let long = format!("/{}", "x".repeat(LIMITS.uri));
    let parts = [GET[0], GET[1], (":path", long.as_str()), GET[3]];
    assert_eq!(request(&parts, &[]).unwrap_err(), HeadError::TargetTooLong);
}

#[test]
fn what_is_refused_is_shown_without_what_is_wrong() {
    let parts = [(":method", "G T"), GET[1], (":path", "/a\0b"), (":authority", "a\r\nb")];
    let head = came(&[&parts[..], &[("content-type", "application/grpc")]].concat());
    let (mut out, mut fields) = (Vec::new(), Vec::new());
    of_refused_head(&head, LIMITS, &mut out, &mut fields);
    assert_eq!(String::from_utf8(out).unwrap(), "  HTTP/2.0\r\ncontent-type: application/grpc\r\n");
}

#[test]
fn lines_become_fields_without_what_belongs_to_a_connection() {
    let section = b"Host: a\r\nAccept:  */* \r\nconnection: te\r\nte: trailers\r\nTransfer-Encoding: chunked\r\nupgrade: x\r\n\
          content-length: 3\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nbehind: it\r\n";
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    let fields: Vec<_> = section_fields(section).map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
    assert_eq!(fields, ["Accept=*/*", "te=trailers", "content-length=3", "set-cookie=a", "set-cookie=b"]);
}

#[test]
fn a_response_that_exceeds_its_limits_is_refused() {
    let response = |fields: &[(&str, &str)]| {
        let head = came(&[&[(":status", "200")], fields].concat());
        of_response(&head, LIMITS, &mut Vec::new(), &mut Vec::new()).map(drop)
    };
    assert_eq!(response(&vec![("x-a", "1"); LIMITS.fields]), Ok(()));
    assert_eq!(response(&vec![("x-a", "1"); LIMITS.fields + 1]), Err(HeadError::TooLarge));
    assert_eq!(response(&[("a", &"x".repeat(LIMITS.bytes))]), Err(HeadError::TooLarge));
}

proptest! {
    #[test]
    fn a_response_comes_back_as_it_was(
        status in 200_u16..600,
        fields in prop::collection::vec(("x-[a-z0-9]{1,8}", "[!-~]([ -~]{0,20}[!-~])?"), 0..10),
    ) {
        let status_text = status.to_string();
        let parts = [(":status", status_text.as_str())];
        let listed: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (mut out, mut spans) = (Vec::new(), Vec::new());
        let came = came(&[&parts[..], &listed].concat());
        let head = of_response(&came, LIMITS, &mut out, &mut spans).unwrap();
        prop_assert_eq!(head.status, status);
        prop_assert_eq!(head.len, out.len());
        let start = out.iter().position(|b| *b == b'\n').unwrap() + 1;
        let bytes: Vec<_> = listed.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        prop_assert_eq!(section_fields(&out[start..]).collect::<Vec<_>>(), bytes.clone());
        let spans: Vec<_> = spans.iter().map(|f| (f.name.of_bytes(&out), f.value.of_bytes(&out))).collect();
        prop_assert_eq!(spans, bytes);
    }

    #[test]
    fn no_section_of_lines_panics_or_smuggles(section in prop::collection::vec(any::<u8>(), 0..200)) {
        for (name, value) in section_fields(&section) {
            prop_assert!(!name.contains(&b'\r') && !value.contains(&b'\r'));
            for ours in ["connection", "transfer-encoding", "host"] {
                prop_assert!(!name.eq_ignore_ascii_case(ours.as_bytes()));
            }
        }
    }
}

#[test]
fn names_of_the_static_table_are_what_their_text_is() {
    let names = [
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "accept",
        "content-type",
        "cookie",
        "user-agent",
        "date",
        "expect",
        "host",
        "if-match",
        "referer",
        "x-other",
    ];
    let head = came(&names.map(|name| (name, "x")));
    assert_eq!(head.fields().len(), names.len());
    for field in head.fields() {
        assert_eq!(
            super::known(&field),
            Known::of(field.name),
            "{:?}",
            field.name.escape_ascii().to_string()
        );
    }
}
