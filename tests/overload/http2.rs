//! `[overload]` over HTTP/2: the first step ends connections in good order.

use super::priorities::{config, use_percent};
use crate::support::h2::frames::{Code, flag, frame, headers, kind};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Fault, Origin};

#[test]
fn connections_carry_no_further_request_but_finish_what_they_have() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&config(&server, ""));
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    peer.response_end().unwrap();

    use_percent(&evenkeel, &server, 85, 1);
    peer.send(headers(3, flag::WHOLE, fields::get())).unwrap();
    let (mut goaway, mut answered) = (None, false);
    // To the end of the connection, which is up to the balancer.
    let end = loop {
        let received = match peer.next() {
            Ok(received) => received,
            Err(end) => break end,
        };
        match received.kind {
            kind::GOAWAY => goaway = Some(Code(received.number(4))),
            kind::HEADERS => {
                assert_eq!((received.stream, fields::status(&received.payload).as_deref()), (3, Some("200")));
                answered = true;
            }
            kind::PING => peer.send(frame(kind::PING, flag::ACK, 0, &received.payload)).unwrap(),
            _ => {}
        }
    };
    assert_eq!(end, Fault::Closed);
    assert!(answered && goaway == Some(Code::NO_ERROR), "answered: {answered}, then {goaway:?}");
    assert_eq!(server.count(), 2);
}
