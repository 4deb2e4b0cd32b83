//! However connections end, nothing of them is left: no descriptor, no place at a server, no buffer.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::server::{Server, config, connect, end, reset, rest};
use crate::support::{Evenkeel, eventually};

/// What the server does with a connection whose client sends this byte.
fn serve(mut stream: TcpStream) {
    let mut asked = [0];
    if !matches!(stream.read(&mut asked), Ok(1)) {
        return;
    }
    match asked[0] {
        b'e' => drop(stream.write_all(b"echo")),
        b'r' => reset(stream),
        // More than all buffers hold; the test does not read it.
        b'f' => while stream.write_all(&[b'x'; 64 * 1024]).is_ok() {},
        _ => drop(stream.read(&mut asked)),
    }
}

/// One connection of each kind.
fn each_way(evenkeel: &Evenkeel) {
    let ask = |what: &[u8]| {
        let mut client = connect(evenkeel);
        client.write_all(what).unwrap();
        client
    };
    let in_order = ask(b"e");
    assert_eq!(rest(&in_order), b"echo");
    let half_closed = ask(b"w");
    end(&half_closed);
    assert_eq!(rest(&half_closed), b"");
    let _ = ask(b"r").read(&mut [0]);
    reset(ask(b"w"));
    // Both sides are full when the client goes.
    let mut full = ask(b"f");
    full.read_exact(&mut [0; 100_000]).unwrap();
    drop(full);
    drop(connect(evenkeel));
    reset(connect(evenkeel));
}

#[test]
fn nothing_is_left_of_connections_however_they_end() {
    let server = Server::start("a", serve);
    let evenkeel = Evenkeel::start(&config("timeout = { idle = \"3s\" }", &[&server], ""));
    let all_gone = || {
        eventually("all are gone", || {
            evenkeel.metric("evenkeel_stream_connections", &[]) == 0.0
                && evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0
                && server.open() == 0
        });
    };
    // The first ones fill what a worker keeps.
    (0..20).for_each(|_| each_way(&evenkeel));
    all_gone();
    let (descriptors, resident) = (evenkeel.descriptors(), evenkeel.allocated());
    (0..60).for_each(|_| each_way(&evenkeel));
    all_gone();
    // A worker keeps pipes; when connections end at the same time it may have needed some more.
    eventually("no descriptor is left", || evenkeel.descriptors() <= descriptors + 20);
    let grown = evenkeel.allocated().saturating_sub(resident);
    assert!(grown < 4 << 20, "{grown} bytes more");
    let counted = evenkeel.metric("evenkeel_stream_connections_ended_total", &[]);
    assert_eq!(evenkeel.metric("evenkeel_stream_duration_seconds_count", &[]), counted);
    assert!(counted >= 560.0, "{counted}");
}
