//! The process leaves in good order while fetches run.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::cache::{crowd, fresh, stale, start, wait_for_requests};
use crate::support::{Gate, Origin, eventually};

#[test]
fn all_that_wait_for_a_fetch_are_answered() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(fresh("", "hello"));
    });
    let mut evenkeel = start(&origin, "true");
    let clients = crowd(&evenkeel, 10, "GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for_requests(&evenkeel, 10);
    evenkeel.signal(Signal::TERM);
    let address = evenkeel.address();
    eventually("new connections are refused", || TcpStream::connect(address).is_err());
    gate.open();
    for mut client in clients {
        let response = client.answer("GET");
        assert_eq!(response.text(), "hello");
        client.assert_closed();
    }
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_fetch_that_no_client_waits_for_does_not_hold_the_process() {
    let origin = {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        Origin::start(move |_, wire| {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                wire.send(stale(", stale-while-revalidate=600", "one", "old"));
            } else {
                wire.hold();
                wire.close();
            }
        })
    };
    let mut evenkeel = start(&origin, "true");
    evenkeel.get("/");
    evenkeel.get("/");
    eventually("the server is asked in the background", || origin.count() == 2);
    evenkeel.signal(Signal::TERM);
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
}
