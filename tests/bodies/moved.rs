//! Long bodies of servers, which the kernel moves to a client in clear.

use crate::support::{Authority, Evenkeel, Fault, Folder, Gate, Origin, TlsClient, eventually, ok, pool};

const NAME: &str = "localhost";
/// What is long enough to be moved, and what is not.
const LONG: usize = 1 << 20;
const SHORT: usize = 100 * 1024;

/// Bytes of which none is where another one is.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at % 251) ^ (at >> 13)) as u8).collect()
}

fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

/// Answers `/N` with N bytes, in pieces of odd sizes.
fn in_pieces() -> Origin {
    Origin::start(|request, wire| {
        let length = request.target()[1..].parse().unwrap();
        let mut left: &[u8] = &[head(length).into_bytes(), pattern(length)].concat();
        for size in [1, 70_001, 13, 299_993, 4_096].into_iter().cycle() {
            let (piece, rest) = left.split_at(size.min(left.len()));
            wire.send(piece);
            left = rest;
            if left.is_empty() {
                return;
            }
        }
    })
}

#[test]
fn it_arrives_as_it_was_sent_and_its_connections_go_on() {
    let origin = in_pieces();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.pipes();
    let mut client = evenkeel.client();
    let mut ask = |length: usize| {
        let body = client.get(&format!("/{length}")).body.bytes;
        assert!(body == pattern(length), "{length} bytes did not arrive as they were sent");
    };
    ask(SHORT);
    assert_eq!(evenkeel.pipes(), before, "what is short is read and written");
    for length in [LONG, 150_000, 128 * 1024, LONG + 1, 5 * LONG, 0, 3 * LONG - 1] {
        ask(length);
    }
    assert!(evenkeel.pipes() > before, "no bytes were moved");
    assert_eq!(origin.connections(), 1);
    let record = evenkeel.record(|record| record["target"] == format!("/{LONG}"));
    assert_eq!((&record["bytes_out"], &record["ended"]), (&LONG.into(), &"complete".into()), "{record}");
}

#[test]
fn it_is_encrypted_for_a_client_that_speaks_tls() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), in_pieces());
    let certificate = authority.issue(&[NAME]).write(&folder, "own");
    let tls = format!("[listener.web.tls]\ncertificates = [{certificate}]\n");
    let listener = "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n";
    let evenkeel = Evenkeel::start(&format!("{listener}{tls}{}", pool(&[&origin], "")));
    let before = evenkeel.pipes();
    let mut client = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    let answer = client.ask(format!("GET /{LONG} HTTP/1.1\r\nhost: {NAME}\r\n\r\n"));
    assert!(answer.body.bytes == pattern(LONG));
    assert_eq!(evenkeel.pipes(), before);
}

#[test]
fn what_a_server_sends_behind_it_is_not_moved() {
    let origin = Origin::start(|request, wire| match request.target() {
        "/long" => {
            let answer = [head(LONG).into_bytes(), pattern(LONG), b"HTTP/1.1 200 OK\r\n".to_vec()].concat();
            wire.send(answer);
        }
        _ => drop(wire.send(ok("next"))),
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert!(client.get("/long").body.bytes == pattern(LONG));
        assert_eq!(client.get("/next").text(), "next");
    }
}

#[test]
fn a_server_that_closes_within_it_is_recorded_and_the_client_sees_the_cut() {
    let origin = Origin::start(|_, wire| {
        wire.send([head(LONG).into_bytes(), pattern(LONG / 2)].concat());
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET /cut HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(matches!(client.response("GET"), Err(Fault::Cut | Fault::Reset)));
    let record = evenkeel.record(|record| record["target"] == "/cut");
    assert_eq!((&record["ended"], &record["bytes_out"]), (&"backend_aborted".into(), &(LONG / 2).into()));
}

#[test]
fn a_server_that_sends_no_more_of_it_is_not_waited_for_without_end() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send([head(LONG).into_bytes(), pattern(LONG / 2)].concat());
        theirs.wait();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout.response = \"300ms\""));
    let mut client = evenkeel.client();
    client.send("GET /stalled HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(matches!(client.response("GET"), Err(Fault::Cut | Fault::Reset)));
    let record = evenkeel.record(|record| record["target"] == "/stalled");
    assert_eq!(record["ended"], "backend_timeout", "{record}");
    gate.open();
}

/// While nothing comes, no pipe is held: they are few.
#[test]
fn more_clients_than_there_are_pipes_wait_for_it() {
    const CLIENTS: usize = 70;
    /// Ends of the pipes that a worker keeps.
    const KEPT: usize = 2 * 16;
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send([head(LONG).into_bytes(), pattern(LONG / 2)].concat());
        theirs.wait();
        wire.send(&pattern(LONG)[LONG / 2..]);
    });
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 1\n{}", pool(&[&origin], "")));
    let before = evenkeel.pipes();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| evenkeel.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    let mut seen: Vec<Vec<u8>> = clients
        .iter_mut()
        .map(|client| {
            client.head().unwrap();
            client.exactly(LONG / 2).unwrap()
        })
        .collect();
    eventually("every client waits", || {
        evenkeel.metric("evenkeel_requests_in_flight", &[]) == CLIENTS as f64
    });
    assert!(evenkeel.pipes() > before, "no bytes were moved");
    eventually("those that wait hold none", || evenkeel.pipes() <= before + KEPT);
    gate.open();
    for (client, seen) in clients.iter_mut().zip(&mut seen) {
        seen.extend(client.exactly(LONG / 2).unwrap());
        assert!(*seen == pattern(LONG));
    }
}
