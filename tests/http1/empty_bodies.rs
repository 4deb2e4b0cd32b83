//! HEAD, 204 and 304: answers that have no body whatever their fields say (RFC 9112, section 6.3).

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn bodiless_answers_keep_the_connections_in_step() {
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", 200),
        ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200),
        ("HEAD", "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n", 404),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("HEAD", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("HEAD", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204),
        ("HEAD", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 5000\r\n\r\n", 304),
        ("GET", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
    ];
    for (method, bytes, status) in cases {
        let origin = Origin::bytes(bytes);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        for _ in 0..3 {
            let response = client.ask(format!("{method} / HTTP/1.1\r\nhost: test\r\n\r\n"));
            assert_eq!(response.status, status, "{bytes:?}");
            assert!(response.body.bytes.is_empty(), "{bytes:?}");
            // RFC 9110, section 8.6.
            assert!(status != 204 || response.headers("content-length").is_empty(), "{bytes:?}");
        }
        assert_eq!(origin.connections(), 1, "{bytes:?}");
    }
}

#[test]
fn head_tells_the_length_that_get_would_have() {
    let origin = Origin::bytes("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.ask("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(response.header("content-length"), Some("5000"));
    assert_eq!(origin.last().method(), "HEAD");
}

#[test]
fn our_own_answers_to_head_have_no_body() {
    let evenkeel = Evenkeel::start("[[route]]\npath = \"/ok\"\nrespond = { body = \"text\" }");
    let mut client = evenkeel.client();
    for (target, status) in [("/ok", 200), ("/none", 404), ("/ok", 200)] {
        let response = client.ask(format!("HEAD {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert_eq!(response.status, status);
    }
    assert_eq!(client.get("/ok").text(), "text");
}
