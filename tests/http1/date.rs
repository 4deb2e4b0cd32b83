//! A response says when it was made: one without `Date` gets it from the first recipient with a clock (RFC 9110,
//! section 6.6.1).

use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Origin, answer, ok, pool};

const OLD: &str = "Tue, 15 Nov 1994 08:12:31 GMT";

/// An IMF-fixdate of this century (RFC 9110, section 5.6.7), as in "Sun, 06 Nov 2094 08:49:37 GMT".
#[track_caller]
pub fn assert_date(values: &[&str]) {
    let shape = |byte: u8| match byte {
        b'0'..=b'9' => '0',
        b'A'..=b'Z' => 'A',
        b'a'..=b'z' => 'a',
        other => char::from(other),
    };
    assert_eq!(values.len(), 1, "{values:?}");
    let shapes: String = values[0].bytes().map(shape).collect();
    assert_eq!(shapes, "Aaa, 00 Aaa 0000 00:00:00 AAA", "{values:?}");
    assert!(values[0][12..].starts_with("20") && values[0].ends_with(" GMT"), "{values:?}");
}

#[test]
fn a_response_without_a_date_gets_one() {
    let origin = Origin::answering(|request| match request.target() {
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "/304" => "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n".to_owned(),
        "/404" => answer(404, "", "none"),
        _ if request.method() == "HEAD" => "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n".to_owned(),
        _ => ok("a"),
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for target in ["/", "/204", "/304", "/404"] {
        assert_date(&client.get(target).headers("date"));
    }
    assert_date(&client.ask("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n").headers("date"));
}

#[test]
fn a_response_with_a_date_keeps_it() {
    let origin = Origin::bytes(answer(200, &format!("Date: {OLD}\r\n"), "a"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").headers("date"), [OLD]);
}

#[test]
fn a_response_over_http2_has_one_date_too() {
    let origin = Origin::answering(|request| match request.target() {
        "/" => ok("a"),
        _ => answer(200, &format!("date: {OLD}\r\n"), "a"),
    });
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    let mut blocks = fields::Blocks::new();
    let mut dates = |stream, path| {
        let block = fields::block(&[fields::GET[0], fields::GET[1], (":path", path), fields::GET[3]]);
        peer.send(headers(stream, flag::WHOLE, block)).unwrap();
        let head = peer.first(|frame| frame.kind == kind::HEADERS && frame.stream == stream).unwrap();
        blocks.read(&head.payload)
    };
    let dated = dates(1, "/dated");
    assert_eq!(fields::values(&dated, "date"), [OLD]);
    let undated = dates(3, "/");
    assert_date(&fields::values(&undated, "date"));
}
