//! Bodies of requests that are refused: a small one is thrown away, and the connection goes on with what follows it.

use crate::support::{Evenkeel, Origin, Response, ok, pool};

/// Refuses by each path in another way: a limit is used up, and a circuit breaker open.
fn start(origin: &Origin) -> Evenkeel {
    let closed = Origin::refusing("closed");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/ok\"\npool = \"app\"\n\
         [[route]]\npath = \"/429\"\nrate_limit = {{ per = \"route\", rate = \"1/h\" }}\nrespond = {{ status = 200 }}\n\
         [[route]]\npath = \"/503\"\npool = \"open\"\n\
         [[route]]\npath = \"/502\"\npool = \"closed\"\n{}\
         [pool.closed]\nbackends = [\"{address}\"]\n\
         [pool.open]\nbackends = [\"{address}\"]\n\
         breaker = {{ failures = \"1%\", requests_min = 1, open_for = \"1h\" }}\n",
        pool(&[origin], ""),
        address = closed.address()
    ));
    assert_eq!([evenkeel.get("/429").status, evenkeel.get("/503").status], [200, 502]);
    evenkeel
}

fn post(status: u16, body: &str) -> String {
    format!("POST /{status} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn post_chunked(status: u16, body: &str) -> String {
    let size = body.len();
    format!(
        "POST /{status} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
    )
}

const NEXT: &str = "GET /ok HTTP/1.1\r\nhost: test\r\n\r\n";
const REFUSALS: [u16; 4] = [404, 429, 502, 503];

fn closes(response: &Response) -> bool {
    response.lists("connection", "close")
}

#[test]
fn what_follows_a_small_body_is_answered() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    for status in REFUSALS {
        let large = "x".repeat(60_000);
        for request in [post(status, "hello"), post_chunked(status, "hello"), post(status, &large)] {
            let mut client = evenkeel.client();
            client.send(format!("{request}{NEXT}"));
            let refused = client.answer("POST");
            assert!(refused.status == status && !closes(&refused), "{refused:?}");
            assert_eq!(client.answer("GET").text(), "a", "behind {status}");
        }
    }
}

#[test]
fn a_small_body_may_come_after_the_refusal() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    for request in [post(404, "hello"), post_chunked(404, "hello")] {
        let mut client = evenkeel.client();
        let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
        client.send(head);
        assert_eq!(client.answer("POST").status, 404);
        client.send(format!("{body}{NEXT}"));
        assert_eq!(client.answer("GET").text(), "a");
    }
}

#[test]
fn a_body_that_its_server_has_seen_the_start_of_is_read_to_its_end() {
    let origin = Origin::on_head(|request, wire| {
        if request.target() == "/ok" {
            wire.send(ok("a"));
        } else {
            assert_eq!(wire.exactly(5).unwrap(), b"hello");
            wire.close();
        }
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("POST /502 HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhello");
    let refused = client.answer("POST");
    assert!(refused.status == 502 && !closes(&refused), "{refused:?}");
    client.send(format!("world{NEXT}"));
    assert_eq!(client.answer("GET").text(), "a");
}

#[test]
fn a_large_body_or_one_that_was_not_asked_for_ends_the_connection() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    for status in REFUSALS {
        let large = post(status, "").replace("length: 0", "length: 65537");
        let asking = post(status, "").replace("length: 0", "length: 5\r\nexpect: 100-continue");
        for request in [large, asking] {
            let mut client = evenkeel.client();
            client.send(request);
            let refused = client.answer("POST");
            assert!(refused.status == status && closes(&refused), "{refused:?}");
            client.assert_closed();
        }
    }
}
