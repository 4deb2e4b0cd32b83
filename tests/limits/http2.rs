//! Limits over HTTP/2: a stream too many is refused, and its connection goes on.

use crate::support::h2::frames::{Code, flag, headers, kind, rst_stream, setting};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Origin, eventually, ok};

/// One field of the responses to requests over streams of one connection, one after the other.
fn answers(evenkeel: &Evenkeel, block: &[u8], count: u32, field: &str) -> Vec<String> {
    let mut peer = Peer::greeted(evenkeel.client());
    let mut decoder = loona_hpack::Decoder::new();
    let mut ask = |stream| {
        peer.send(headers(stream, flag::WHOLE, block)).unwrap();
        let head = peer.first(|frame| frame.kind == kind::HEADERS && frame.stream == stream).unwrap();
        let fields = decoder.decode(&head.payload).unwrap();
        let found = fields.into_iter().find(|(name, _)| name == field.as_bytes());
        found.map_or_else(String::new, |(_, value)| String::from_utf8(value.to_vec()).unwrap())
    };
    (0..count).map(|request| ask(2 * request + 1)).collect()
}

fn statuses(evenkeel: &Evenkeel, count: u32) -> Vec<String> {
    answers(evenkeel, &fields::get(), count, ":status")
}

#[test]
fn streams_beyond_the_rate_of_their_connection_are_refused() {
    let origin = Origin::answering(|_| ok("a"));
    let evenkeel = balancer(&origin, "limits = { requests_per_connection = \"2/h\" }");
    assert_eq!(statuses(&evenkeel, 3), ["200", "429", "429"]);
    assert_eq!(statuses(&evenkeel, 1), ["200"]);
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_rate_limit_counts_streams_as_requests() {
    let origin = Origin::answering(|_| ok("a"));
    let route = "[[route]]\npool = \"app\"\nrate_limit = { rate = \"1/h\", burst = 2 }";
    let evenkeel = balancer(&origin, route);
    assert_eq!(statuses(&evenkeel, 3), ["200", "200", "429"]);
    assert_eq!(statuses(&evenkeel, 1), ["429"]);
}

#[test]
fn a_client_of_grpc_gets_a_grpc_status() {
    let origin = Origin::answering(|_| ok("a"));
    let evenkeel = balancer(&origin, "[[route]]\npool = \"app\"\nrate_limit = { rate = \"1/h\" }");
    let call = fields::post_with("content-type", "application/grpc");
    assert_eq!(answers(&evenkeel, &call, 2, "grpc-status"), ["", "8"], "RESOURCE_EXHAUSTED");
    let retry: u64 = answers(&evenkeel, &call, 1, "retry-after")[0].parse().unwrap();
    assert!((3_500..=3_600).contains(&retry), "{retry}");
}

#[test]
fn a_client_of_grpc_with_too_many_fields_gets_a_grpc_status_too() {
    let origin = Origin::answering(|_| ok("a"));
    let evenkeel = balancer(&origin, "[limits]\nheaders = 10\nuri = 100\n");
    let call = [fields::post_with("content-type", "application/grpc"), fields::short(20)].concat();
    assert_eq!(answers(&evenkeel, &call, 1, "grpc-status"), ["8"], "RESOURCE_EXHAUSTED");
    let plain = [fields::post(), fields::short(20)].concat();
    assert_eq!(answers(&evenkeel, &plain, 1, ":status"), ["431"]);
    let record = evenkeel.record(|line| line["status"] == 431);
    let line = ["method", "version", "target", "host"].map(|key| record[key].as_str());
    assert_eq!(line, ["POST", "HTTP/2.0", "/", "test"].map(Some), "{record}");
    assert_eq!(origin.count(), 0);
}

/// The settings that a listener with these limits announces.
fn announced(limits: &str) -> (Evenkeel, Peer) {
    let origin = Origin::answering(|_| ok("a"));
    let evenkeel = balancer(&origin, &format!("limits = {{ {limits} }}"));
    let peer = Peer::greeted(evenkeel.client());
    (evenkeel, peer)
}

#[test]
fn a_listener_says_how_many_streams_and_how_much_data_it_takes() {
    let (_evenkeel, peer) = announced("http2_streams = 7, http2_memory = \"100KiB\"");
    assert_eq!(peer.setting(setting::MAX_CONCURRENT_STREAMS, 0), 7);
    assert_eq!(peer.setting(setting::INITIAL_WINDOW_SIZE, 0), 100 << 10);
    let (_evenkeel, peer) = announced("");
    assert_eq!(peer.setting(setting::MAX_CONCURRENT_STREAMS, 0), 128);
    assert_eq!(peer.setting(setting::INITIAL_WINDOW_SIZE, 0), 256 << 10);
}

#[test]
fn a_client_that_resets_more_streams_than_its_listener_allows_loses_its_connection() {
    let (evenkeel, mut peer) = announced("http2_resets = 100");
    let hold =
        |stream| [headers(stream, flag::WHOLE, fields::get()), rst_stream(stream, Code::CANCEL)].concat();
    // Responses of streams that were not reset in time give something back.
    let streams: Vec<u8> = (0..2000).flat_map(|at| hold(2 * at + 1)).collect();
    peer.send(streams).unwrap();
    let goaway = peer.frame(kind::GOAWAY).unwrap();
    assert_eq!(Code(goaway.number(4)), Code::CALM);
    eventually("it is counted", || {
        evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"http2_budget\""]) == 1.0
    });
}
