//! An upgrade to several protocols at once, one upon the other (RFC 9110, section 7.8).

use crate::support::{Evenkeel, Origin, pool};

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: outer/1.2, Inner, other\r\n\r\n";

fn switching(protocols: &str) -> Origin {
    let text =
        format!("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: {protocols}\r\n\r\n");
    Origin::start(move |_, wire| {
        wire.send(&text);
        while let Ok(bytes) = wire.some() {
            wire.send(bytes);
        }
        wire.close();
    })
}

#[test]
fn a_101_that_lists_protocols_which_were_all_offered_opens_the_tunnel() {
    for protocols in ["outer/1.2, Inner", "outer/1.2,inner", "Inner", "other, outer/1.2"] {
        let origin = switching(protocols);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        let response = client.ask(UPGRADE);
        assert_eq!(response.status, 101, "{protocols}: {}", response.text());
        assert_eq!(response.headers("upgrade").join(", "), protocols);
        client.send("through");
        assert_eq!(client.exactly(7).unwrap(), b"through", "{protocols}");
    }
}

#[test]
fn a_101_that_lists_a_protocol_which_was_not_offered_is_a_bad_answer() {
    for protocols in ["outer/1.2, Inner, third", "third", "outer/1.3", "outer", ""] {
        let origin = switching(protocols);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        assert_eq!(evenkeel.ask(UPGRADE).status, 502, "{protocols:?}");
    }
}
