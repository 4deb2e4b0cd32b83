//! S14: `Connection` used to strip what the balancer or the server relies on.

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn s14_nominating_our_own_fields_does_not_remove_them() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\n\
         request_headers = {{ set = {{ x-env = \"prod\" }} }}\n{}",
        pool(&[&origin], "")
    ));
    for nominated in [
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "x-forwarded-host",
        "x-request-id",
        "via",
        "host",
        "x-env",
        "close, x-forwarded-for, x-request-id",
    ] {
        let response = evenkeel
            .client()
            .get_with("/", &format!("connection: {nominated}\r\nx-forwarded-for: 6.6.6.6\r\n"));
        assert_eq!(response.status, 200, "{nominated}");
        let request = origin.last();
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"), "{nominated}");
        assert_eq!(request.header("host"), Some("test"), "{nominated}");
        assert_eq!(request.header("x-env"), Some("prod"), "{nominated}");
        for name in ["x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"] {
            assert!(request.header(name).is_some(), "{name} went with {nominated}");
        }
    }
}

#[test]
fn s14_nominating_a_framing_field_does_not_change_the_framing() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let bodies = [
        "connection: content-length\r\ncontent-length: 5\r\n\r\nhello",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    for body in bodies {
        let mut client = evenkeel.client();
        let response = client.ask(format!("POST / HTTP/1.1\r\nhost: test\r\n{body}"));
        if response.status == 400 {
            client.assert_closed();
            continue;
        }
        assert_eq!(response.status, 200);
        assert_eq!(origin.last().body.text(), "hello");
    }
}

#[test]
fn s14_nominated_fields_are_stripped_whatever_their_case_and_number() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.client().get_with(
        "/",
        "Connection: X-One,x-two\r\nconnection:  x-THREE ,, x-one\r\nx-one: 1\r\nX-ONE: 1\r\nx-Two: 2\r\n\
         x-three: 3\r\nx-four: 4\r\n",
    );
    let request = origin.last();
    for name in ["x-one", "x-two", "x-three"] {
        assert!(request.headers(name).is_empty(), "{name}");
    }
    assert_eq!(request.header("x-four"), Some("4"));
}
