//! S1: many requests on a connection that is closed at once, again and again.

use std::sync::atomic::Ordering::SeqCst;

use super::s02_made_you_reset::silent;
use crate::support::h2::bystander::{Bystander, ROUTES};
use crate::support::h2::frames::{Code, flag, headers, kind, ping, rst_stream};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Port, eventually, ms};

const ROUNDS: usize = 30;
const REQUESTS: u32 = 100;
/// Requests that servers may be at work on at a time: those of a connection, and of some that end.
const WORKING_MAX: usize = 400;
/// What all connections together may leave behind, generously: they would leave more if each kept its streams.
const GROWTH_MAX: usize = 48 << 20;

#[test]
fn s1_requests_of_connections_that_close_at_once_are_cancelled() {
    let (origin, [begun, working, most]) = silent();
    let evenkeel = balancer(&origin, ROUTES);
    let other = Bystander::start(&evenkeel);
    let before = evenkeel.allocated();
    for round in 0..ROUNDS {
        let mut peer = Peer::greeted(evenkeel.client());
        let streams = (0..REQUESTS).map(|at| 2 * at + 1);
        peer.send(streams.flat_map(|id| headers(id, flag::WHOLE, fields::get())).collect::<Vec<u8>>())
            .unwrap();
        peer.send(ping(&[7; 8])).unwrap();
        peer.frame(kind::PING).unwrap();
        peer.leave(round % 2 == 0);
    }
    eventually("no server is at work any more", || working.load(SeqCst) == 0);
    eventually("nothing is in flight", || evenkeel.metric("evenkeel_connections", &[]) <= 1.0);
    let longest = other.longest();
    assert!(longest < ms(5_000), "another client waited for {longest:?}");
    assert!(begun.load(SeqCst) > 0, "servers were at work");
    let most = most.load(SeqCst);
    assert!(most <= WORKING_MAX, "{most} requests at the servers at a time");
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes are left of {ROUNDS} connections");
}

#[test]
fn s1_requests_that_wait_for_a_connection_to_their_server_are_cancelled() {
    let port = Port::reserve();
    let hang = port.hang();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nbackends = [\"{}\"]\n\
         timeout = {{ connect = \"1m\" }}\n",
        port.address()
    ));
    let in_flight = || evenkeel.metric("evenkeel_requests_in_flight", &[]);
    let streams = || (0..REQUESTS).map(|at| 2 * at + 1);
    let requests = || streams().flat_map(|id| headers(id, flag::WHOLE, fields::get())).collect::<Vec<u8>>();
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(requests()).unwrap();
    eventually("all wait", || in_flight() == f64::from(REQUESTS));
    peer.send(streams().flat_map(|id| rst_stream(id, Code::CANCEL)).collect::<Vec<u8>>()).unwrap();
    eventually("none waits once it is reset", || in_flight() == 0.0);
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(requests()).unwrap();
    eventually("all wait", || in_flight() == f64::from(REQUESTS));
    peer.leave(false);
    eventually("none waits once its connection is closed", || in_flight() == 0.0);
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it waits", || in_flight() == 1.0);
    client.reset();
    drop(client);
    eventually("it does not wait once its connection of HTTP/1.1 is reset", || in_flight() == 0.0);
    let record = evenkeel.record(|record| record["version"] == "HTTP/1.1");
    assert_eq!(record["ended"], "client_aborted", "{record}");
    drop(hang);
}
