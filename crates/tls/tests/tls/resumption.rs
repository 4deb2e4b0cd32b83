//! Sessions that go on over another connection.

use std::sync::Arc;
use std::thread;

use rustls::HandshakeKind::{Full, Resumed};
use rustls::version::{TLS12, TLS13};

use crate::fixture::{Authority, Folder, server};
use crate::handshake::{builder, connect};

#[test]
fn a_ticket_of_one_worker_is_taken_by_another() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = Arc::new(server(vec![authority.write(&folder, "a", &["a.example", "b.example"])]));
    for version in [&TLS12, &TLS13] {
        let client =
            Arc::new(builder(&[version]).with_root_certificates(authority.roots()).with_no_client_auth());
        let kind_on_a_worker = |name: &'static str| {
            let (client, server) = (client.clone(), server.clone());
            let worker = thread::spawn(move || {
                let pair = connect(&client, &server, name).unwrap();
                assert_eq!(pair.client.handshake_kind(), pair.server.handshake_kind());
                pair.server.handshake_kind().unwrap()
            });
            worker.join().unwrap()
        };
        assert_eq!(kind_on_a_worker("a.example"), Full, "{version:?}");
        assert_eq!(kind_on_a_worker("a.example"), Resumed, "{version:?}");
        assert_eq!(kind_on_a_worker("b.example"), Full, "{version:?}");
    }
}
