//! Bodies that have come whole wait for no piece of their own: what they hold is given back as soon as their server has it.

use crate::support::h2::frames::{Code, data, flag, headers, kind, rst_stream};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Gate, Origin, eventually, ok};

const STREAMS: u32 = 100;
/// Of one body. All of them together are more than a connection may hold.
const LENGTH: usize = 12 * 1024;
/// What a connection may hold: `http2_memory` of the listener.
const WINDOW: usize = 1 << 20;

/// A client that sends no more than the connection's window lets it.
struct Sender {
    peer: Peer,
    window: usize,
    next: u32,
}

impl Sender {
    /// Posts a body in pieces of this length, as one write.
    fn post(&mut self, path: &'static str, length: usize, piece: usize) {
        while self.window < length {
            self.read();
        }
        self.window -= length;
        let stream = self.next;
        self.next += 2;
        let block = fields::block(&[fields::POST[0], fields::GET[1], (":path", path), fields::GET[3]]);
        let length_field = fields::literal("content-length", &length.to_string());
        let body = "x".repeat(length);
        let mut bytes = headers(stream, flag::END_HEADERS, [block, length_field].concat());
        for start in (0..length).step_by(piece) {
            let end = length.min(start + piece);
            let flag = if end == length { flag::END_STREAM } else { flag::NONE };
            bytes.extend(data(stream, flag, &body[start..end]));
        }
        self.peer.send(bytes).unwrap();
    }

    /// Reads a frame; true at the end of a response.
    fn read(&mut self) -> bool {
        let frame = self.peer.next().expect("a response, or that the window opens");
        if frame.kind == kind::WINDOW_UPDATE && frame.stream == 0 {
            self.window += frame.number(0) as usize;
        }
        assert!(frame.kind != kind::GOAWAY && frame.kind != kind::RST_STREAM, "{frame:?}");
        matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.has(flag::END_STREAM)
    }

    /// Reads on up to the ends of so many responses.
    fn responses(&mut self, count: u32) {
        for _ in 0..count {
            while !self.read() {}
        }
    }
}

/// Holds requests for `/1` until the first gate opens, and those for `/2` until the second one does.
fn holding(gates: &[Gate; 2]) -> Origin {
    let gates = gates.clone();
    Origin::start(move |request, wire| {
        match request.target() {
            "/1" => gates[0].wait(),
            "/2" => gates[1].wait(),
            _ => {}
        }
        wire.send(ok("done"));
    })
}

#[test]
fn bodies_whose_servers_have_them_take_no_room_from_others() {
    // In a plain exchange, and on a listener for which there is none.
    for keys in ["", "half_close = \"serve\""] {
        let gates = [Gate::default(), Gate::default()];
        let origin = holding(&gates);
        let evenkeel = balancer(&origin, keys);
        let mut sender = Sender { peer: Peer::greeted(evenkeel.client()), window: WINDOW, next: 1 };
        // The first ones open connections to the server, the others find them open.
        for (round, path) in ["/1", "/2"].into_iter().enumerate() {
            (0..STREAMS).for_each(|_| sender.post(path, LENGTH, LENGTH));
            eventually("the server has all", || origin.count() == (round + 1) * STREAMS as usize);
            gates[round].open();
            sender.responses(STREAMS);
        }
    }
}

#[test]
fn bodies_of_many_small_pieces_are_no_flood_once_their_server_has_them() {
    let gates = [Gate::default(), Gate::default()];
    let origin = holding(&gates);
    let evenkeel = balancer(&origin, "");
    let mut sender = Sender { peer: Peer::greeted(evenkeel.client()), window: WINDOW, next: 1 };
    (0..STREAMS).for_each(|_| sender.post("/1", 100, 100));
    eventually("the server has all", || origin.count() == STREAMS as usize);
    gates[0].open();
    sender.responses(STREAMS);
    // Each is more than a hundred frames that are too small; the server answers none of them yet.
    (0..STREAMS).for_each(|_| {
        let before = origin.count();
        sender.post("/2", 9_000, 90);
        eventually("the server has it", || origin.count() == before + 1);
    });
    gates[1].open();
    sender.responses(STREAMS);
}

#[test]
fn a_stream_that_was_reset_before_it_is_served_reaches_no_server() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    peer.response_end().unwrap();
    let pair =
        |at: u32| [headers(2 * at + 1, flag::WHOLE, fields::get()), rst_stream(2 * at + 1, Code::CANCEL)];
    peer.send((1..=50).flat_map(|at| pair(at).concat()).collect::<Vec<u8>>()).unwrap();
    peer.send(headers(103, flag::WHOLE, fields::get())).unwrap();
    peer.first(|frame| frame.stream == 103 && frame.has(flag::END_STREAM)).unwrap();
    assert_eq!((origin.count(), origin.connections()), (2, 1));
    let aborted = evenkeel.metric("evenkeel_client_aborts_total", &[]);
    assert_eq!(aborted, 50.0, "each of them is counted");
    let record = evenkeel.record(|record| record["ended"] == "client_aborted");
    assert_eq!(record["tries"], 0, "{record}");
}
