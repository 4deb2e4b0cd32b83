//! A second signal does not wait.

use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::{DEADLINE, Evenkeel, Origin, eventually, pool};

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)]
    {
        let origin = Origin::start(|_, wire| {
            wire.hold();
            wire.close();
        });
        let mut evenkeel =
            Evenkeel::start(&format!("[server]\nworkers = 1\ngrace = \"10m\"\n{}", pool(&[&origin], "")));
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        eventually("the server is asked", || origin.count() == 1);
        evenkeel.signal(first);
        let address = evenkeel.address();
        eventually("it is leaving", || TcpStream::connect(address).is_err());
        assert!(evenkeel.is_running(), "the first signal waits for the request");
        let begun = Instant::now();
        evenkeel.signal(second);
        evenkeel.wait_exit();
        assert!(begun.elapsed() < DEADLINE / 3, "{:?}", begun.elapsed());
    }
}
