//! `limits.body_rate` holds in both directions: a client must also take a response at that rate, if its server sends it
//! as fast.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::h2::frames::{flag, headers, kind, window_update};
use crate::support::h2::{Peer, fields};
use crate::support::{Client, Evenkeel, Gate, Origin, ms, pool};

/// Fast enough that what the kernel holds of a response does not count for minutes.
const RATE: &str = "[limits]\nbody_rate = \"10MiB\"\n";
/// The first ten seconds are free.
const FREE: Duration = Duration::from_secs(10);
/// By when such a client must be gone, generously.
const LATEST: Duration = Duration::from_secs(40);

/// Sends without end; the gate opens when the balancer takes no more.
fn endless(stopped: &Gate) -> Origin {
    let theirs = stopped.clone();
    Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n");
        let block = vec![b'x'; 64 * 1024];
        while wire.send(&block) {}
        theirs.open();
        wire.close();
    })
}

/// A server that sends a few bytes now and then, for longer than any client has for free.
fn unhurried() -> Origin {
    Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\n");
        for _ in 0..26 {
            thread::sleep(ms(500));
            wire.send("x");
        }
    })
}

fn listener(http: &str) -> String {
    format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = \"{http}\"\n\
         timeout = {{ write = \"5m\", idle = \"5m\" }}\n"
    )
}

/// The only record of the log as soon as it is there, while `read` goes on; asserts that the client was cut off for its
/// pace, and not early.
#[track_caller]
fn assert_cut(evenkeel: &Evenkeel, stopped: &Gate, mut read: impl FnMut()) {
    let begun = Instant::now();
    while evenkeel.stdout.lines().is_empty() {
        assert!(begun.elapsed() < LATEST, "it is served without end");
        read();
        thread::sleep(ms(50));
    }
    assert!(begun.elapsed() >= FREE - ms(500), "cut off after {:?}", begun.elapsed());
    assert!(stopped.opens(), "the server is freed");
    let record = evenkeel.record(|_| true);
    assert!(record["reason"].as_str().is_some_and(|reason| reason.contains("limits.body_rate")), "{record}");
    assert_ne!(record["ended"], "complete", "{record}");
}

#[test]
fn a_client_of_http1_that_takes_less_than_the_minimum_rate_is_cut_off() {
    let stopped = Gate::default();
    let origin = endless(&stopped);
    let evenkeel = Evenkeel::start(&format!("{RATE}{}{}", listener("1.1"), pool(&[&origin], "")));
    let mut client = Client::slow_reader(evenkeel.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_cut(&evenkeel, &stopped, || drop(client.exactly(4096)));
}

#[test]
fn a_client_of_http2_that_takes_less_than_the_minimum_rate_is_cut_off() {
    let stopped = Gate::default();
    let origin = endless(&stopped);
    let evenkeel = Evenkeel::start(&format!("{RATE}{}{}", listener("2"), pool(&[&origin], "")));
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    // All of the first window is taken at once, and after that a byte now and then.
    let mut taken = 0;
    while taken < 65_535 {
        taken += peer.frame(kind::DATA).unwrap().payload.len();
    }
    assert_cut(&evenkeel, &stopped, || {
        drop(peer.send([window_update(0, 1), window_update(1, 1)].concat()));
        drop(peer.first(|frame| matches!(frame.kind, kind::DATA | kind::RST_STREAM | kind::GOAWAY)));
    });
}

#[test]
fn a_stream_that_is_slow_is_cut_off_while_another_of_the_connection_is_served() {
    let stopped = Gate::default();
    let origin = endless(&stopped);
    let evenkeel = Evenkeel::start(&format!(
        "{RATE}[listener.web]\nbind = \"127.0.0.1:0\"\nhttp = \"2\"\ntimeout = {{ write = \"5m\", idle = \"5m\" }}\n\
         [[route]]\npath = \"/else\"\nrespond = {{ body = \"quick\" }}\n[[route]]\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(window_update(0, 1 << 20)).unwrap();
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    let begun = Instant::now();
    let reset = peer.first(|frame| frame.kind == kind::RST_STREAM && frame.stream == 1);
    // The peer gives up in the meantime: its patience is about as long.
    let reset = reset.or_else(|_| peer.first(|frame| frame.kind == kind::RST_STREAM && frame.stream == 1));
    assert!(reset.is_ok(), "{reset:?} after {:?}", begun.elapsed());
    assert!(stopped.opens(), "the server is freed");
    let block = fields::block(&[fields::GET[0], fields::GET[1], (":path", "/else"), fields::GET[3]]);
    peer.send(headers(3, flag::WHOLE, block)).unwrap();
    assert!(peer.first(|frame| frame.kind == kind::HEADERS && frame.stream == 3).is_ok());
}

#[test]
fn a_client_is_not_blamed_for_a_slow_server() {
    let origin = unhurried();
    let first = Evenkeel::start(&format!("{RATE}{}{}", listener("1.1"), pool(&[&origin], "")));
    let second = Evenkeel::start(&format!("{RATE}{}{}", listener("2"), pool(&[&origin], "")));
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(first.get("/").text().len(), 26));
        scope.spawn(|| {
            let mut peer = Peer::greeted(second.client());
            peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
            let mut taken = 0;
            while taken < 26 {
                let frame = peer.first(|f| matches!(f.kind, kind::DATA | kind::RST_STREAM)).unwrap();
                assert_eq!(frame.kind, kind::DATA, "after {taken} bytes");
                taken += frame.payload.len();
            }
        });
    });
}

#[test]
fn a_client_that_keeps_the_minimum_rate_is_served_on() {
    let stopped = Gate::default();
    let origin = endless(&stopped);
    let evenkeel = Evenkeel::start(&format!(
        "[limits]\nbody_rate = \"100KiB\"\n{}{}",
        listener("1.1"),
        pool(&[&origin], "")
    ));
    let mut client = Client::slow_reader(evenkeel.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let begun = Instant::now();
    while begun.elapsed() < FREE + Duration::from_secs(3) {
        client.exactly(100 * 1024).unwrap();
        thread::sleep(ms(50));
    }
}
