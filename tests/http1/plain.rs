//! Most requests go to one server that answers at once. Whatever comes in the way, they get what other requests get.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, OnceLock};
use std::thread;

use serde_json::Value;

use crate::support::{Client, Evenkeel, Folder, Gate, Origin, answer, chunked, eventually, ok, pool};

/// Requests, of which the first segment of the path says how they are answered.
const REQUESTS: [&str; 18] = [
    "GET /ok?a=1&b HTTP/1.1\r\nhost: test\r\nuser-agent: me\r\nreferer: there\r\naccept: */*\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: TEST:80\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\nTE: trailers\r\n\r\n",
    "GET /ok HTTP/1.1\r\nhost: test\r\nX-Forwarded-For: 1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\nforwarded: for=1\r\n\r\n",
    "GET /ok HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n",
    "HEAD /ok HTTP/1.1\r\nhost: test\r\n\r\n",
    "POST /ok HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello",
    "PUT /ok HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n",
    "POST /ok HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /fields HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /empty HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /unmodified HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /chunked HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /trailers HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /sizes HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /nothing HTTP/1.1\r\nhost: test\r\n\r\n",
    "HEAD /chunked HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /interim HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /error HTTP/1.1\r\nhost: test\r\n\r\n",
];

fn respond(path: &str) -> String {
    match path {
        "/fields" => answer(
            404,
            "Date: now\r\nX-Request-Id: theirs\r\nConnection: keep-alive, x-theirs\r\nX-Theirs: 1\r\nKeep-Alive: 5\r\nserver:  x \r\n",
            "gone",
        ),
        "/empty" => "HTTP/1.1 204 No Content\r\nx: 1\r\n\r\n".into(),
        "/unmodified" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\netag: \"e\"\r\n\r\n".into(),
        "/chunked" => chunked(&["abc", "0123456789abcdef"], ""),
        "/trailers" => chunked(&["abc"], "x: 1\r\n"),
        "/sizes" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n03;a=1\r\nabc\r\n0\r\n\r\n".into(),
        "/nothing" => chunked(&[], ""),
        "/interim" => format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{}", ok("late")),
        "/error" => answer(500, "", "wrong"),
        _ => ok("fine"),
    }
}

/// An answer, what the server got for it, and the log's line, without what differs from request to request.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    start: String,
    fields: Vec<(String, String)>,
    body: String,
    interim: usize,
    asked: String,
    log: Value,
}

fn see(
    evenkeel: &Evenkeel,
    listener: &str,
    origin: &Origin,
    client: &mut Client,
    request: &str,
    n: usize,
) -> Seen {
    let method = request.split(' ').next().unwrap();
    let method = if method == "HEAD" { method } else { "GET" };
    // The query tells this request from the others in the log.
    let (start, rest) = request.split_once(" HTTP/").unwrap();
    let mark = format!("{}n={n}", if start.contains('?') { "&" } else { "?" });
    client.send(format!("{start}{mark} HTTP/{rest}"));
    let response = client.answer(method);
    let is_this = |record: &Value| {
        record["target"].as_str().is_some_and(|target| target.ends_with(&mark))
            && record["listener"] == listener
    };
    let mut log = evenkeel.record(is_this);
    let differs =
        ["time", "client_port", "duration_ms", "connect_ms", "first_byte_ms", "request_id", "listener", "id"];
    assert_eq!(log["id"].is_null(), log["status"] == 0, "{log}");
    differs.iter().for_each(|key| log[*key] = Value::Null);
    let id = |name: &str| name.eq_ignore_ascii_case("x-request-id") || name.eq_ignore_ascii_case("date");
    let fields =
        response.head.fields.iter().filter(|(name, value)| !id(name) || value == "theirs" || value == "now");
    let asked = String::from_utf8(origin.last().raw).unwrap();
    let asked = asked
        .lines()
        .filter(|line| !line.starts_with("x-request-id: ") && !line.starts_with("x-forwarded-port: "));
    Seen {
        status: response.status,
        start: response.head.start.clone(),
        fields: fields.cloned().collect(),
        body: format!("{:?}", response.body),
        interim: response.interim.len(),
        asked: asked.collect::<Vec<_>>().join("\n"),
        log,
    }
}

#[test]
fn a_plain_request_gets_what_it_would_get_in_the_general_path() {
    let origin = Origin::answering(|request| {
        let whole = respond(request.target().split('?').next().unwrap());
        let is_head = request.method() == "HEAD";
        let head = whole.find("\r\n\r\n").unwrap() + 4;
        if is_head { whole[..head].into() } else { whole }
    });
    // A listener that serves clients whose side has ended is none for plain exchanges.
    let evenkeel = Evenkeel::start(&format!(
        "[log]\nfields = {{ etag = \"response-header:etag\", id = \"response-header:x-request-id\" }}\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [listener.other]\nbind = [\"127.0.0.1:0\"]\nhalf_close = \"serve\"\n\
         [[route]]\nname = \"all\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    let mut plain = evenkeel.client();
    assert_eq!(plain.get("/ok").text(), "fine", "a connection to the server is kept from here on");
    let mut other = Client::connect(evenkeel.listener("other"));
    for (n, request) in REQUESTS.iter().enumerate() {
        let one = see(&evenkeel, "web", &origin, &mut plain, request, n);
        let two = see(&evenkeel, "other", &origin, &mut other, request, n);
        assert_eq!(one, two, "{request}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_that_comes_in_two_parts_is_passed_on_whole_wherever_it_is_cut() {
    let whole = answer(200, "x-one: 1\r\nx-two: 2\r\n", "body");
    let address: Arc<OnceLock<SocketAddr>> = Arc::default();
    let theirs = Arc::clone(&address);
    let bytes = whole.clone();
    let origin = Origin::start(move |request, wire| {
        let cut: usize = request.target()[1..].parse().unwrap();
        wire.send(&bytes[..cut]);
        // The worker has seen the first part when it has answered another client.
        let passed = Client::connect(*theirs.get().unwrap()).get("/passed");
        assert_eq!(passed.status, 204);
        wire.send(&bytes[cut..]);
    });
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/passed\"\nrespond = {{ status = 204 }}\n{}",
        pool(&[&origin], "")
    ));
    address.set(evenkeel.address()).unwrap();
    let mut client = evenkeel.client();
    for cut in (0..=whole.len()).rev() {
        let response = client.get(&format!("/{cut}"));
        assert_eq!((response.status, response.text().as_str()), (200, "body"), "cut at {cut}");
        assert_eq!(response.head.header("x-two"), Some("2"), "cut at {cut}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_that_leaves_while_a_kept_connection_is_waited_for_takes_its_request_along() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/slow" {
            assert!(wire.hold(), "the connection is closed");
            theirs.open();
        } else {
            wire.send(ok("quick"));
        }
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "quick");
    client.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server has the request", || origin.count() == 2);
    drop(client);
    gate.wait();
    let record = evenkeel.record(|record| record["target"] == "/slow");
    assert_eq!((&record["ended"], &record["tries"]), (&"client_aborted".into(), &1.into()), "{record}");
}

#[test]
fn a_server_that_is_silent_over_a_kept_connection_is_timed_out() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/silent" {
            theirs.wait();
        }
        wire.send(ok("quick"));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout.response = \"200ms\""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "quick");
    assert_eq!(client.get("/silent").status, 504);
    gate.open();
    assert_eq!(client.get("/").text(), "quick", "the client's connection goes on");
}

#[test]
fn a_request_of_which_its_server_takes_a_part_at_first_arrives_whole() {
    let folder = Folder::new();
    let path = folder.path("server");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        [(); 2].map(|()| {
            let (mut head, mut some) = (Vec::new(), vec![0; 4096]);
            while !head.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut some).unwrap();
                assert!(read > 0, "the connection is closed within a request");
                head.extend_from_slice(&some[..read]);
            }
            stream.write_all(ok("fine").as_bytes()).unwrap();
            head
        })
    });
    let evenkeel = Evenkeel::start(&format!(
        "[limits]\nrequest_head = \"1MiB\"\n\
         [pool.app]\nbackends = [\"unix:{path}\"]\n"
    ));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/first").text(), "fine", "a connection to the server is kept from here on");
    // More than a unix socket has room for.
    let long = "x".repeat(900 * 1024);
    client.send(format!("GET /long HTTP/1.1\r\nhost: test\r\nx-long: {long}\r\n\r\n"));
    assert_eq!(client.answer("GET").text(), "fine");
    let [_, head] = serving.join().unwrap();
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains(&format!("\r\nx-long: {long}\r\n")), "{} bytes have come", head.len());
    let record = evenkeel.record(|record| record["target"] == "/long");
    assert_eq!((&record["ended"], &record["tries"]), (&"complete".into(), &1.into()), "{record}");
}
