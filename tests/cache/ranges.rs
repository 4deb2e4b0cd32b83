//! Parts of kept responses (RFC 9110, 14), also while the body is still on its way.

use crate::support::cache::{fresh, is_hit, start};
use crate::support::{Evenkeel, Gate, Origin, Response};

const BODY: &str = "0123456789abcdefghij";

fn kept() -> (Origin, Evenkeel) {
    let origin = Origin::answering(|_| fresh("etag: \"one\"\r\ncontent-type: text/plain\r\n", BODY));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    (origin, evenkeel)
}

fn part(evenkeel: &Evenkeel, fields: &str) -> Response {
    evenkeel.client().get_with("/", fields)
}

/// The parts of a `multipart/byteranges` body: `Content-Type`, `Content-Range`, and the bytes.
#[track_caller]
fn parts(response: &Response) -> Vec<(String, String, String)> {
    let kind = response.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let text = response.text();
    assert_eq!(response.header("content-length"), Some(text.len().to_string().as_str()));
    let rest = text.strip_prefix(&format!("--{boundary}\r\n")).unwrap();
    let rest = rest.strip_suffix(&format!("\r\n--{boundary}--\r\n")).unwrap();
    let delimiter = format!("\r\n--{boundary}\r\n");
    let read = |part: &str| {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        let value = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name)).unwrap();
            line.split_once(": ").unwrap().1.to_owned()
        };
        (value("content-type"), value("content-range"), body.to_owned())
    };
    rest.split(&delimiter).map(read).collect()
}

#[test]
fn a_single_range_is_a_206_with_that_part() {
    let (origin, evenkeel) = kept();
    for (range, content_range, body) in [
        ("bytes=0-4", "bytes 0-4/20", "01234"),
        ("bytes=10-", "bytes 10-19/20", "abcdefghij"),
        ("bytes=-3", "bytes 17-19/20", "hij"),
        ("bytes=-100", "bytes 0-19/20", BODY),
        ("bytes=15-100", "bytes 15-19/20", "fghij"),
        ("bytes=19-19", "bytes 19-19/20", "j"),
        ("BYTES=0-0", "bytes 0-0/20", "0"),
        ("bytes=0-4,5-9", "bytes 0-9/20", "0123456789"),
    ] {
        let response = part(&evenkeel, &format!("range: {range}\r\n"));
        assert_eq!((response.status, response.text().as_str()), (206, body), "{range}");
        assert_eq!(response.header("content-range"), Some(content_range), "{range}");
        assert_eq!(response.header("etag"), Some("\"one\""));
        assert!(is_hit(&response));
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn what_cannot_be_satisfied_is_a_416_and_what_is_malformed_is_no_range() {
    let (origin, evenkeel) = kept();
    for range in ["bytes=20-", "bytes=100-200", "bytes=-0"] {
        let response = part(&evenkeel, &format!("range: {range}\r\n"));
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(response.header("content-range"), Some("bytes */20"), "{range}");
    }
    for range in ["bytes=5-4", "bytes=", "bytes=a-b", "bytes=1", "bytes=--1", "bytes=+1-2"] {
        let response = part(&evenkeel, &format!("range: {range}\r\n"));
        assert_eq!((response.status, response.text().as_str()), (200, BODY), "{range}");
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn several_ranges_are_several_parts() {
    let (_origin, evenkeel) = kept();
    let response = part(&evenkeel, "range: bytes=0-1, 5-6, -2\r\n");
    assert_eq!(response.status, 206);
    assert_eq!(response.header("content-range"), None);
    let expected = [("bytes 0-1/20", "01"), ("bytes 5-6/20", "56"), ("bytes 18-19/20", "ij")];
    let expected: Vec<_> =
        expected.map(|(range, body)| ("text/plain".into(), range.into(), body.into())).into();
    assert_eq!(parts(&response), expected);
    let backwards = part(&evenkeel, "range: bytes=18-, 0-1\r\n");
    let bodies: Vec<_> = parts(&backwards).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, ["ij", "01"]);
    let many: Vec<String> = (0..200).map(|_| "0-".to_owned()).collect();
    let response = part(&evenkeel, &format!("range: bytes={}\r\n", many.join(",")));
    assert_eq!((response.status, response.text().as_str()), (200, BODY), "so many are not worth it");
}

#[test]
fn a_range_counts_only_if_the_client_has_the_rest_of_the_same() {
    let (_origin, evenkeel) = kept();
    for (condition, status) in
        [("\"one\"", 206), ("\"two\"", 200), ("W/\"one\"", 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200)]
    {
        let response = part(&evenkeel, &format!("range: bytes=0-1\r\nif-range: {condition}\r\n"));
        assert_eq!(response.status, status, "{condition}");
    }
    let both = part(&evenkeel, "range: bytes=0-1\r\nif-none-match: \"one\"\r\n");
    assert_eq!(both.status, 304, "conditions come first");
    let head = evenkeel.ask("HEAD / HTTP/1.1\r\nhost: test\r\nrange: bytes=0-1\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("20")), "only a GET has ranges");
}

#[test]
fn a_range_of_a_miss_fetches_the_whole() {
    let origin = Origin::answering(|_| fresh("", BODY));
    let evenkeel = start(&origin, "true");
    let response = part(&evenkeel, "range: bytes=3-4\r\n");
    assert_eq!((response.status, response.text().as_str()), (206, "34"));
    assert_eq!(origin.last().header("range"), None);
    assert_eq!(evenkeel.get("/").text(), BODY);
    assert_eq!(origin.count(), 1);
}

#[test]
fn ranges_of_a_body_that_is_on_its_way() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\netag: \"one\"\r\ncontent-type: text/plain\r\ncontent-length: 20\r\n\r\n";
        wire.send(format!("{head}{}", &BODY[..10]));
        theirs.wait();
        wire.send(&BODY[10..]);
    });
    let evenkeel = start(&origin, "true");
    let mut first = evenkeel.client();
    first.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    first.head().unwrap();
    assert_eq!(first.exactly(10).unwrap(), b"0123456789");
    // What is there already comes at once.
    let early = part(&evenkeel, "range: bytes=2-5\r\n");
    assert_eq!((early.status, early.text().as_str()), (206, "2345"));
    let two = part(&evenkeel, "range: bytes=2-3,6-7\r\n");
    assert_eq!(parts(&two).len(), 2);
    let mut across = evenkeel.client();
    across.send("GET / HTTP/1.1\r\nhost: test\r\nrange: bytes=8-11\r\n\r\n");
    across.head().unwrap();
    assert_eq!(across.exactly(2).unwrap(), b"89");
    let mut late = evenkeel.client();
    late.send("GET / HTTP/1.1\r\nhost: test\r\nrange: bytes=1-2,12-13,18-19\r\n\r\n");
    gate.open();
    assert_eq!(across.exactly(2).unwrap(), b"ab");
    let late = late.answer("GET");
    let bodies: Vec<_> = parts(&late).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, ["12", "cd", "ij"]);
    let outside = part(&evenkeel, "range: bytes=20-\r\n");
    assert_eq!(outside.status, 416);
    assert_eq!(first.exactly(10).unwrap(), b"abcdefghij");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_large_body_gives_any_of_its_parts() {
    let body: String = (0..200_000u32).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    let text = fresh("etag: \"one\"\r\n", &body);
    let origin = Origin::bytes(text);
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mut client = evenkeel.client();
    let mut seed = 7u64;
    for _ in 0..100 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let start = (seed >> 33) as usize % body.len();
        let end = (start + (seed >> 20) as usize % 70_000).min(body.len() - 1);
        let response = client.get_with("/", &format!("range: bytes={start}-{end}\r\n"));
        assert_eq!(response.status, 206);
        assert!(response.text() == body[start..=end], "{start}-{end}");
    }
}
