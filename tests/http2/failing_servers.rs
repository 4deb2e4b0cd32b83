//! Servers of HTTP/2 that fail: what was sent to one is not sent to all the others as well.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::h2::frames::{Code, data, flag, goaway_after, headers, kind};
use crate::support::h2::{Peer, Serving, fields};
use crate::support::{Evenkeel, Fault, Origin, Wire, pool};

/// Answers the first `good` requests of each connection and closes it at the next one. Counts them all.
fn server(good: usize, requests: &Arc<AtomicUsize>) -> SocketAddr {
    server_with(good, &[], requests)
}

/// The same, and sends `last` before it closes a connection.
fn server_with(good: usize, last: &[u8], requests: &Arc<AtomicUsize>) -> SocketAddr {
    let last = last.to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // How the connection ends is the balancer's affair.
            let _ = serve(stream.unwrap(), good, &last, &requests);
        }
    });
    address
}

fn serve(stream: TcpStream, good: usize, last: &[u8], requests: &AtomicUsize) -> Result<(), Fault> {
    let mut wire = Wire::new(stream);
    let mut server = Serving::greet(&mut wire)?;
    let mut answered = 0;
    loop {
        let frame = server.next()?;
        if frame.kind != kind::HEADERS {
            continue;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        if answered == good {
            server.send(last);
            return Ok(());
        }
        answered += 1;
        server.send(headers(frame.stream, flag::WHOLE, fields::literal(":status", "200")));
    }
}

fn balancer(servers: &[SocketAddr]) -> Evenkeel {
    balancer_with(servers, "")
}

fn balancer_with(servers: &[SocketAddr], route: &str) -> Evenkeel {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\n{route}\n[pool.app]\nprotocol = \"http2\"\nbackends = [{}]\n",
        servers.join(", ")
    ))
}

#[test]
fn a_request_that_kills_its_server_is_not_given_to_the_next_one_if_the_route_says_so() {
    let requests = Arc::default();
    let servers = [(); 3].map(|()| server(0, &requests));
    let evenkeel = balancer_with(&servers, "retry = { on = [\"connect\"] }");
    assert_eq!(evenkeel.get("/").status, 502);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn by_default_such_a_request_is_given_to_three_servers_at_most() {
    let requests = Arc::default();
    let evenkeel = balancer(&[(); 5].map(|()| server(0, &requests)));
    assert_eq!(evenkeel.get("/").status, 502);
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[test]
fn a_kept_connection_that_dies_costs_one_more_try_and_only_of_what_may_be_repeated() {
    let requests = Arc::default();
    let evenkeel = balancer(&[server(1, &requests)]);
    let mut client = evenkeel.client();
    assert_eq!((client.get("/").status, requests.load(Ordering::SeqCst)), (200, 1));
    // The old connection dies of it, and a new one answers its first.
    assert_eq!((client.get("/").status, requests.load(Ordering::SeqCst)), (200, 3));
    let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
    assert_eq!((client.ask(post).status, requests.load(Ordering::SeqCst)), (502, 4));
}

#[test]
fn a_body_that_came_over_http2_is_replayed() {
    let (bad, good) = (Origin::start(|_, wire| wire.close()), Origin::named("good"));
    let evenkeel = Evenkeel::start(&pool(&[&bad, &good], ""));
    let mut peer = Peer::greeted(evenkeel.client());
    let put = fields::block(&[(":method", "PUT"), fields::GET[1], fields::GET[2], fields::GET[3]]);
    for stream in [1, 3, 5, 7] {
        peer.send(headers(stream, flag::END_HEADERS, &put)).unwrap();
        peer.send(data(stream, flag::NONE, "hello ")).unwrap();
        peer.send(data(stream, flag::END_STREAM, "world")).unwrap();
        let answer = peer.frame(kind::DATA).unwrap();
        assert_eq!((answer.stream, answer.payload.as_slice()), (stream, &b"good"[..]));
    }
    assert!(bad.count() > 0 && good.count() == 4);
    assert!(good.requests().iter().all(|request| request.body.text() == "hello world"));
}

#[test]
fn a_post_that_a_server_took_before_it_went_away_is_not_given_to_another() {
    let requests = Arc::default();
    // GOAWAY: the first stream is the last one that was looked at, and there was an error.
    let last = goaway_after(1, Code::INTERNAL, &[]);
    let evenkeel = balancer(&[(); 3].map(|()| server_with(0, &last, &requests)));
    let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!((evenkeel.ask(post).status, requests.load(Ordering::SeqCst)), (502, 1));
}

#[test]
fn a_query_that_http2_has_no_place_for_takes_no_server_out() {
    let requests = Arc::default();
    let servers = [(); 2].map(|()| server(usize::MAX, &requests));
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nprotocol = \"http2\"\nbackends = [\"{}\", \"{}\"]\noutlier = {{ failures = 1, eject = \"1h\" }}\n",
        servers[0], servers[1]
    ));
    for _ in 0..3 {
        assert_eq!(evenkeel.get("/?<").status, 400);
    }
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &[]), 0.0);
    assert_eq!(evenkeel.record(|record| record["status"] == 400)["ended"], "refused");
    assert_eq!((evenkeel.get("/?q").status, requests.load(Ordering::SeqCst)), (200, 1));
}
