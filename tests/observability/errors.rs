//! Answers that the balancer gives itself: a status, a short text, and the id to ask for.

use crate::support::{Evenkeel, Folder, Origin, Response, ok, pool};

fn assert_honest(response: &Response, status: u16) {
    assert_eq!(response.status, status);
    assert!(response.header("content-type").unwrap().starts_with("text/plain"), "{:?}", response.head);
    let id = response.header("x-request-id").unwrap();
    let text = response.text();
    assert!(!id.is_empty() && text.contains(id), "{text:?} lacks {id}");
    assert!(text.len() < 300, "{text:?}");
}

#[test]
fn each_error_has_a_short_text_and_the_request_id() {
    let (dead, slow) = (
        Origin::refusing("dead"),
        Origin::start(|request, wire| {
            if request.target() == "/slow" {
                wire.hold();
                wire.close();
            } else {
                wire.send(ok("a"));
            }
        }),
    );
    let evenkeel = Evenkeel::start(&format!(
        "[limits]\nrequest_body = 10\nuri = 100\nrequest_head = \"1KiB\"\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [[route]]\npath = \"/dead\"\npool = \"dead\"\n[[route]]\npath = \"/slow\"\npool = \"app\"\n\
         [pool.dead]\nbackends = [\"{}\"]\n{}",
        dead.address(),
        pool(&[&slow], "timeout = { response = \"200ms\" }")
    ));
    let long = "a".repeat(2_000);
    let cases = [
        (404, "GET /none HTTP/1.1\r\nhost: test\r\n\r\n".to_owned()),
        (502, "GET /dead HTTP/1.1\r\nhost: test\r\n\r\n".to_owned()),
        (504, "GET /slow HTTP/1.1\r\nhost: test\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (413, "POST /slow HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\n".to_owned()),
        (414, format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", &long[..200])),
        (431, format!("GET / HTTP/1.1\r\nhost: test\r\nx: {long}\r\n\r\n")),
    ];
    for (status, request) in cases {
        assert_honest(&evenkeel.ask(request), status);
    }
    evenkeel.set_server("app", &slow.name, "{\"state\":\"drain\"}");
    assert_honest(&evenkeel.get("/slow"), 503);
}

#[test]
fn a_client_learns_the_cause_and_the_log_the_circumstances() {
    let (folder, reset) = (Folder::new(), Origin::start(|_, wire| wire.reset()));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npath = \"/unix\"\npool = \"unix\"\n[[route]]\npath = \"/*\"\npool = \"app\"\n\
         [pool.unix]\nbackends = [\"unix:{}\"]\n{}",
        folder.path("missing.sock"),
        pool(&[&reset], "")
    ));
    for (target, told, logged) in [
        ("/unix", "502 Bad Gateway: cannot connect", "cannot connect: No such file"),
        ("/reset", "502 Bad Gateway: connection to the server failed", "connection to the server failed: "),
        ("/none", "503 Service Unavailable: no healthy server", "no healthy server in pool app"),
    ] {
        if target == "/none" {
            evenkeel.set_server("app", &reset.name, "{\"state\":\"drain\"}");
        }
        assert_eq!(evenkeel.get(target).text().lines().next(), Some(told), "{target}");
        let record = evenkeel.record(|line| line["target"] == target);
        let reason = record["reason"].as_str().unwrap();
        assert!(reason.starts_with(logged), "{target}: {reason}");
    }
}

#[test]
fn errors_of_servers_are_passed_on_untouched() {
    let origin =
        Origin::bytes("HTTP/1.1 503 Own Words\r\ncontent-type: text/x\r\ncontent-length: 4\r\n\r\nmine");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    assert_eq!((response.status, response.text().as_str()), (503, "mine"));
    assert_eq!(response.header("content-type"), Some("text/x"));
}
