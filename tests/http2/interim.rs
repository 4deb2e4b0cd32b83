//! Interim responses reach clients of HTTP/2, as many as there are, each as a field block of its own (RFC 9113,
//! section 8.1).

use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Origin, ok};

#[test]
fn many_interim_responses_all_pass_and_the_response_behind_them() {
    let origin = Origin::answering(|request| {
        let count = request.target().trim_start_matches('/').parse().unwrap();
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(count) + &ok("page")
    });
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    let mut blocks = fields::Blocks::new();
    for (stream, path, count) in [(1, "/17", 17), (3, "/100", 100)] {
        let block = fields::block(&[fields::GET[0], fields::GET[1], (":path", path), fields::GET[3]]);
        peer.send(headers(stream, flag::WHOLE, block)).unwrap();
        let mut statuses = Vec::new();
        loop {
            let wanted = [kind::HEADERS, kind::RST_STREAM];
            let frame = peer.first(|frame| wanted.contains(&frame.kind) && frame.stream == stream).unwrap();
            assert_eq!(frame.kind, kind::HEADERS, "reset behind {statuses:?}");
            statuses.push(fields::values(&blocks.read(&frame.payload), ":status").join(","));
            if statuses.last().is_some_and(|status| status != "103") {
                break;
            }
        }
        assert_eq!(statuses, [vec!["103"; count], vec!["200"]].concat());
        peer.response_end().unwrap();
    }
}
