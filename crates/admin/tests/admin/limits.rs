//! How much, how slowly and for how long a client may use the API.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use evenkeel_admin::serve;
use tokio::sync::oneshot;

use evenkeel_core::snapshot::CommandDone;

use crate::fixture::{Answer, Api, DEADLINE, context, read_to_end, run, tcp};

const PUT: &str =
    "PUT /pools/app/servers/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const KEEP_ALIVE: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn connect(address: impl std::net::ToSocketAddrs) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Runs a server whose clock leaps, with this client waiting before it starts, so that all it sent has arrived when
/// the clock first moves. Returns what the client makes of it, and for how long the server thinks it served.
fn on_a_leaping_clock<T>(
    before: impl FnOnce(&mut TcpStream),
    after: impl FnOnce(&mut TcpStream) -> T,
) -> (T, Duration) {
    let (listener, bound) = tcp();
    let mut stream = connect(bound.to_string());
    before(&mut stream);
    let (context, _requests) = context(bound, None);
    let (stop, stopped) = oneshot::channel::<()>();
    let (took, taken) = std::sync::mpsc::channel();
    let server = run(true, async move {
        let begun = tokio::time::Instant::now();
        serve(vec![listener], context, async { drop(stopped.await) }).await.unwrap();
        took.send(begun.elapsed()).unwrap();
    });
    let outcome = after(&mut stream);
    drop(stop);
    server.join().unwrap();
    (outcome, taken.recv().unwrap())
}

fn after_sending(text: &str) -> (String, Duration) {
    on_a_leaping_clock(|stream| stream.write_all(text.as_bytes()).unwrap(), read_to_end)
}

/// For a head to arrive, with what a timer may be late.
const HEAD_TIME: Duration = Duration::from_secs(6);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_head_that_never_ends_is_given_up() {
    let (got, took) = after_sending("GET /status HTTP/1.1\r\nhost: local");
    assert_eq!(got, "");
    assert!(took < HEAD_TIME, "{took:?}");
}

#[test]
fn an_idle_connection_is_closed() {
    let (got, took) = after_sending(KEEP_ALIVE);
    assert_eq!(Answer::parse(&got).status, 200);
    assert!(took < HEAD_TIME, "{took:?}");
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let requests = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
    let fill = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        while stream.write(requests.as_bytes()).is_ok() {}
        stream.set_nonblocking(false).unwrap();
    };
    let (error, took) = on_a_leaping_clock(fill, |stream| {
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        loop {
            if let Err(error) = stream.write_all(requests.as_bytes()) {
                return error.kind();
            }
        }
    });
    assert!(matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert!(took < 12 * MINUTE, "{took:?}");
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let (got, took) = after_sending(&format!("{PUT}content-length: 17\r\n\r\n{{\"state\":"));
    let answer = Answer::parse(&got);
    assert_eq!(answer.status, 408);
    assert!(took < MINUTE, "{took:?}");
}

#[test]
fn a_body_may_have_64_kib() {
    let api = Api::start();
    let padded = |length: usize| {
        let body = r#"{"state":"drain"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(api.put("/pools/app/servers/a", &padded(64 << 10)).status, 200);
    assert_eq!(api.put("/pools/app/servers/a", &padded((64 << 10) + 1)).status, 413);
    assert_eq!(api.commands.lock().unwrap().len(), 1);
}

#[test]
fn a_head_may_not_grow_without_end() {
    let api = Api::start();
    let field = "x".repeat(64 << 10);
    assert_eq!(api.ask(&format!("GET /status HTTP/1.1\nhost: localhost\nx: {field}"), "").status, 431);
    let fields = "\nx: y".repeat(200);
    assert_eq!(api.ask(&format!("GET /status HTTP/1.1\nhost: localhost{fields}"), "").status, 431);
}

/// Whether the connection still answers; panics if neither an answer nor an end comes.
fn is_served(stream: &mut TcpStream) -> bool {
    // A connection that was dropped may refuse what is sent.
    let _ = stream.write_all(KEEP_ALIVE.as_bytes());
    match stream.read(&mut [0; 1024]) {
        Ok(read) => read > 0,
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_new_connection_takes_the_place_of_the_longest_idle_one() {
    let api = Api::start();
    let open = || {
        let mut stream = connect(api.address());
        assert!(is_served(&mut stream));
        stream
    };
    let mut idle: Vec<_> = (0..64).map(|_| open()).collect();
    assert!(is_served(&mut idle[0]), "there is room for 64 of one address");
    let _next = open();
    assert!(!is_served(&mut idle[1]), "it was idle for longest");
    assert!(is_served(&mut idle[0]), "it asked since");
    assert!(is_served(&mut idle[63]));
}

#[test]
fn clients_that_send_nothing_or_a_piece_of_a_head_keep_no_client_out() {
    let api = Api::start();
    let held: Vec<_> = (0..600)
        .map(|n| {
            let mut stream = connect(api.address());
            if n % 2 == 0 {
                // It may have been dropped already.
                let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nx: ");
            }
            stream
        })
        .collect();
    for _ in 0..10 {
        assert!(is_served(&mut connect(api.address())));
    }
    drop(held);
}

#[test]
fn a_connection_in_the_middle_of_a_request_is_not_dropped() {
    let (listener, bound) = tcp();
    let address = bound.to_string();
    let (context, mut requests) = context(bound, None);
    let (stop, stopped) = oneshot::channel::<()>();
    let (held, holding) = std::sync::mpsc::channel();
    let server = run(false, async move {
        let hold = async { held.send(requests.recv().await.unwrap()).unwrap() };
        let (served, ()) = tokio::join!(serve(vec![listener], context, async { drop(stopped.await) }), hold);
        served.unwrap();
    });
    let mut busy = connect(&address);
    busy.write_all(b"POST /reload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let request = holding.recv_timeout(DEADLINE).unwrap();
    let others: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = connect(&address);
            assert!(is_served(&mut stream));
            stream
        })
        .collect();
    request.answer.send(Ok(CommandDone::Done)).unwrap();
    assert_eq!(Answer::parse(&read_to_end(&mut busy)).status, 200);
    drop((others, stop));
    server.join().unwrap();
}

#[test]
fn leaving_ends_idle_connections_and_lets_requests_finish() {
    let (listener, bound) = tcp();
    let address = bound.to_string();
    let (context, mut requests) = context(bound, None);
    let (stop, stopped) = oneshot::channel::<()>();
    let (held, holding) = std::sync::mpsc::channel();
    let server = run(false, async move {
        let hold = async { held.send(requests.recv().await.unwrap()).unwrap() };
        let (served, ()) = tokio::join!(serve(vec![listener], context, async { drop(stopped.await) }), hold);
        served.unwrap();
    });
    let mut idle = connect(&address);
    idle.write_all(KEEP_ALIVE.as_bytes()).unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let mut busy = connect(&address);
    busy.write_all(b"POST /reload HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let request = holding.recv_timeout(DEADLINE).unwrap();
    drop(stop);
    assert_eq!(read_to_end(&mut idle), "", "an idle connection just ends");
    request.answer.send(Ok(CommandDone::Done)).unwrap();
    let answer = Answer::parse(&read_to_end(&mut busy));
    assert_eq!(answer.status, 200);
    server.join().unwrap();
}
