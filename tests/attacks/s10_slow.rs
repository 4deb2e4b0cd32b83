//! S10: clients that are slow on purpose.

use std::thread;
use std::time::Instant;

use crate::support::{Client, Evenkeel, Fault, Gate, Origin, eventually, ms, ok, pool};

fn listener(keys: &str) -> String {
    format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{keys}\n")
}

/// Sends one byte now and then until the balancer ends the connection; returns what it said last.
fn trickle(client: &mut Client, byte: u8) -> Result<u16, Fault> {
    let begun = Instant::now();
    client.patience(ms(50));
    loop {
        client.send([byte]);
        match client.response("GET") {
            Err(Fault::Silent) => {
                assert!(begun.elapsed() < 2 * crate::support::DEADLINE, "trickling goes on for ever")
            }
            Ok(response) => return Ok(response.status),
            Err(fault) => return Err(fault),
        }
    }
}

fn assert_timed_out(outcome: &Result<u16, Fault>) {
    match outcome {
        Ok(status) => assert_eq!(*status, 408),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
}

#[test]
fn s10_a_head_that_trickles_is_cut_off_and_others_are_served_meanwhile() {
    let origin = Origin::named("a");
    let evenkeel =
        Evenkeel::start(&format!("{}{}", listener("timeout = { head = \"500ms\" }"), pool(&[&origin], "")));
    let begun = Instant::now();
    let attackers: Vec<_> = (0..50)
        .map(|_| {
            let mut client = evenkeel.client();
            client.send("GET / HTTP/1.1\r\nhost: test\r\nx: ");
            thread::spawn(move || trickle(&mut client, b'a'))
        })
        .collect();
    assert_eq!(evenkeel.get("/").text(), "a");
    for attacker in attackers {
        assert_timed_out(&attacker.join().unwrap());
    }
    assert!(begun.elapsed() >= ms(500));
    assert_eq!(origin.count(), 1);
}

#[test]
fn s10_a_body_below_the_minimum_rate_is_cut_off() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[limits]\nbody_rate = 1000\n{}", pool(&[&origin], "")));
    let mut client = evenkeel.client();
    let begun = Instant::now();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    assert_timed_out(&trickle(&mut client, b'a'));
    assert!(begun.elapsed() >= ms(9_000), "the first ten seconds are free");
    assert_eq!(origin.count(), 0);
}

#[test]
fn s10_a_client_that_does_not_read_loses_its_connection_and_frees_the_server() {
    let gone = Gate::default();
    let theirs = gone.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/small" {
            wire.send(ok("small"));
            return;
        }
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        let block = vec![b'x'; 64 * 1024];
        while wire.send(&block) {}
        theirs.open();
        wire.close();
    });
    let evenkeel =
        Evenkeel::start(&format!("{}{}", listener("timeout = { write = \"500ms\" }"), pool(&[&origin], "")));
    let mut client = Client::slow_reader(evenkeel.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server is asked", || origin.count() == 1);
    assert_eq!(evenkeel.get("/small").text(), "small");
    assert!(gone.opens());
    eventually("nothing is in flight", || evenkeel.metric("evenkeel_requests_in_flight", &[]) == 0.0);
    assert!(client.hold(), "the connection has ended");
}
