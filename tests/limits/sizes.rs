//! Sizes of a route's requests: narrower than the process's, and wider for bodies.

use crate::support::{Evenkeel, Origin, ok, pool};

fn start(limits: &str, origin: &Origin) -> Evenkeel {
    let route = format!("[[route]]\npath = \"/own/*\"\npool = \"app\"\nlimits = {limits}\n");
    Evenkeel::start(&format!("[limits]\nrequest_body = \"1KiB\"\n{route}{}", pool(&[origin], "")))
}

fn post(path: &str, body: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {body}\r\n\r\n{}", "a".repeat(body))
}

fn post_chunked(path: &str, body: usize) -> String {
    let piece = format!("100\r\n{}\r\n", "a".repeat(0x100)).repeat(body / 0x100);
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{piece}0\r\n\r\n")
}

#[test]
fn heads_are_held_to_what_their_route_allows() {
    let origin = Origin::named("a");
    let evenkeel = start("{ request_head = \"1KiB\", headers = 10 }", &origin);
    let large = format!("x: {}\r\n", "a".repeat(1_000));
    let many = "x: y\r\n".repeat(10);
    for fields in [large, many] {
        let mut client = evenkeel.client();
        assert_eq!(client.get_with("/own/x", &fields).status, 431);
        assert_eq!(
            client.get_with("/else", &fields).status,
            200,
            "the connection goes on, and others are not narrowed"
        );
    }
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"head_too_large\""]), 2.0);
}

/// A path, how long the body of a request to it is, and the status of its response.
type Case = (&'static str, usize, u16);

#[test]
fn bodies_may_be_longer_or_must_be_shorter_on_a_route() {
    let origin = Origin::answering(|request| ok(&request.body.bytes.len().to_string()));
    let cases: [(&str, &[Case]); 3] = [
        (
            "\"4KiB\"",
            &[("/own/x", 4096, 200), ("/own/x", 4352, 413), ("/else", 1024, 200), ("/else", 1280, 413)],
        ),
        ("\"512B\"", &[("/own/x", 512, 200), ("/own/x", 768, 413), ("/else", 1024, 200)]),
        ("\"off\"", &[("/own/x", 1 << 20, 200), ("/else", 1280, 413)]),
    ];
    for (limit, requests) in cases {
        let evenkeel = start(&format!("{{ request_body = {limit} }}"), &origin);
        for (path, body, status) in requests {
            for request in [post(path, *body), post_chunked(path, *body)] {
                let mut client = evenkeel.client();
                client.send(request);
                let response = client.answer("POST");
                assert_eq!(response.status, *status, "{limit} {path} {body}");
                if *status == 200 {
                    assert_eq!(response.text(), body.to_string());
                }
            }
        }
    }
}
