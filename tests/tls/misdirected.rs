//! A request for a host that its connection's certificate is not for: refused, unless the listener says otherwise.

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Expect, Peer, fields};
use crate::support::{Authority, Evenkeel, Folder, Origin, TlsClient, pool};

const NAME: &str = "shop.example.com";
const OTHER: &str = "other.example";

#[test]
fn a_listener_says_what_becomes_of_misdirected_requests() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let entry = authority.issue(&[NAME]).write(&folder, "own");
    for (misdirected, status) in [("refuse", 421), ("allow", 200)] {
        let evenkeel = Evenkeel::start(&format!(
            "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\nmisdirected = \"{misdirected}\"\n\
             [listener.web.tls]\ncertificates = [{entry}]\n{}",
            pool(&[&origin], "")
        ));
        let client = TlsClient::new(&authority);
        for (host, expected) in [(NAME, 200), (OTHER, status), ("a.test:8443", status)] {
            let mut connection = client.connect(evenkeel.address(), NAME).unwrap();
            let response = connection.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
            assert_eq!(response.status, expected, "{misdirected}: {host}");
        }
        let block =
            fields::block(&[fields::GET[0], (":scheme", "https"), fields::GET[2], (":authority", OTHER)]);
        let over_http2 = client.offering(&["h2"]).connect(evenkeel.address(), NAME).unwrap();
        let mut peer = Peer::greeted(over_http2);
        peer.send(headers(1, flag::WHOLE, block)).unwrap();
        let expected = if status == 421 { "421" } else { "200" };
        assert_eq!(Expect::RefusedWith(expected).follows(&mut peer).err(), None, "{misdirected}");
        if misdirected == "allow" {
            assert_eq!(origin.last().header("host"), Some(OTHER));
        }
    }
}
