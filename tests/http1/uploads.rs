//! A client that uploads much, and reads only then, gets the answer that came before (RFC 9112, section 9.6).

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Authority, Client, Evenkeel, Folder, Origin, Response, TlsClient, answer, eventually, ms, pool,
};

const UPLOAD: usize = 3 << 20;
const PIECE: usize = 64 * 1024;
/// Each of the answers is asked for so often, at full speed and a little slower, because a reset may come too late.
const TIMES: u64 = 4;
/// How long the balancer may listen to a client that has its answer and does not stop.
const PATIENCE: Duration = Duration::from_secs(40);

/// Answers each path by itself, with the status that is the path's name, but for 401, which is the server's.
fn start(origin: &Origin, closed: &Origin) -> Evenkeel {
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\ntimeout = {{ body = \"2s\" }}\n\
         [[route]]\npath = \"/401\"\npool = \"app\"\n\
         [[route]]\npath = \"/413\"\npool = \"app\"\nlimits = {{ request_body = \"1KiB\" }}\n\
         [[route]]\npath = \"/429\"\nrate_limit = {{ per = \"route\", rate = \"1/h\" }}\nrespond = {{ status = 200 }}\n\
         [[route]]\npath = \"/502\"\npool = \"closed\"\n\
         [[route]]\npath = \"/308\"\nredirect = {{ to = \"/else\", status = 308 }}\n\
         [[route]]\npath = \"/403\"\nrespond = {{ status = 403 }}\n{}\
         [pool.closed]\nbackends = [\"{}\"]\n",
        pool(&[origin], ""),
        closed.address()
    ));
    assert_eq!(evenkeel.get("/429").status, 200);
    evenkeel
}

/// A server that refuses uploads to `/401` before it has read them, and says nothing to others.
fn refusing_uploads() -> Origin {
    Origin::on_head(|request, wire| {
        if request.target() == "/401" {
            wire.send(answer(401, "connection: close\r\n", "who are you"));
            wire.finish();
        }
        wire.hold();
        wire.close();
    })
}

const ANSWERS: [u16; 7] = [401, 413, 429, 404, 502, 308, 403];

/// Writes all of the body, piece by piece, and only then reads.
fn upload(client: &mut Client, path: u16, framing: &str, pause: Duration) -> Response {
    client.send(format!("POST /{path} HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n"));
    let mut piece = "x".repeat(PIECE);
    if framing.contains("chunked") {
        piece = format!("{PIECE:x}\r\n{piece}\r\n");
    }
    for sent in 0..UPLOAD / PIECE {
        assert!(client.send(&piece), "{path}: the connection was reset after {sent} pieces");
        thread::sleep(pause);
    }
    if framing.contains("chunked") {
        assert!(client.send("0\r\n\r\n"), "{path}: the connection was reset behind the body");
    }
    client.answer("POST")
}

#[test]
fn an_answer_before_the_end_of_a_large_upload_reaches_a_client_that_writes_all_before_it_reads() {
    let (origin, closed) = (refusing_uploads(), Origin::refusing("closed"));
    let evenkeel = start(&origin, &closed);
    for framing in [format!("content-length: {UPLOAD}"), "transfer-encoding: chunked".to_owned()] {
        for path in ANSWERS {
            for attempt in 0..TIMES {
                let response = upload(&mut evenkeel.client(), path, &framing, ms(attempt % 2));
                assert_eq!(response.status, path, "{framing}");
            }
        }
    }
}

#[test]
fn an_answer_before_the_end_of_a_large_upload_reaches_such_a_client_over_tls_too() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let entry = authority.issue(&["test"]).write(&folder, "own");
    let evenkeel = Evenkeel::start(&format!(
        "[limits]\nrequest_body = \"1KiB\"\n[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [listener.web.tls]\ncertificates = [{entry}]\n[[route]]\npath = \"/413\"\nrespond = {{}}\n"
    ));
    let client = TlsClient::new(&authority);
    for attempt in 0..TIMES {
        let mut client = client.connect(evenkeel.address(), "test").unwrap();
        let framing = format!("content-length: {UPLOAD}");
        assert_eq!(upload(&mut client, 413, &framing, ms(attempt % 2)).status, 413);
    }
}

#[test]
fn such_an_answer_waits_for_a_client_whose_upload_takes_seconds() {
    let (origin, closed) = (refusing_uploads(), Origin::refusing("closed"));
    let evenkeel = start(&origin, &closed);
    let framing = format!("content-length: {UPLOAD}");
    thread::scope(|scope| {
        for path in [401, 413, 404] {
            let (evenkeel, framing) = (&evenkeel, &framing);
            scope.spawn(move || {
                let response = upload(&mut evenkeel.client(), path, framing, ms(80));
                assert_eq!(response.status, path);
            });
        }
    });
}

/// Sends for as long as it is let, and waits for `pause` between the pieces; how long that was.
fn pour(client: &mut Client, piece: &str, pause: Duration) -> Duration {
    let begun = Instant::now();
    client.send("POST /404 HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    while client.send(piece) {
        assert!(begun.elapsed() < PATIENCE, "it is listened to without end");
        thread::sleep(pause);
    }
    begun.elapsed()
}

#[test]
fn a_client_that_never_stops_sending_is_cut_off_and_costs_no_memory() {
    let (origin, closed) = (refusing_uploads(), Origin::refusing("closed"));
    let evenkeel = start(&origin, &closed);
    let before = evenkeel.allocated();
    let large = format!("{PIECE:x}\r\n{}\r\n", "x".repeat(PIECE));
    thread::scope(|scope| {
        let (evenkeel, large) = (&evenkeel, large.as_str());
        scope.spawn(move || pour(&mut evenkeel.client(), large, Duration::ZERO));
        scope.spawn(move || pour(&mut evenkeel.client(), "1\r\nx\r\n", ms(100)));
        assert_eq!(evenkeel.get("/403").status, 403, "others are served meanwhile");
    });
    eventually("both are gone", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 10 << 20, "{grown} bytes more");
}
