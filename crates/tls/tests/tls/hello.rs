//! What is read of a hello without terminating TLS is what rustls reads of it.

use std::sync::Arc;

use evenkeel_core::l4::{Hello, HelloFault, read_hello};
use proptest::prelude::*;
use rustls::client::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, RootCertStore};

/// The first bytes of a client that asks for `name`.
fn hello(name: &str, versions: usize, alpn: &[&str]) -> Vec<u8> {
    let versions = match versions {
        0 => vec![&TLS12],
        1 => vec![&TLS13],
        _ => vec![&TLS12, &TLS13],
    };
    let builder = ClientConfig::builder_with_provider(default_provider().into());
    let builder = builder.with_protocol_versions(&versions).unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

fn cut(hello: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for fragment in hello[5..].chunks(length) {
        out.extend_from_slice(&hello[..3]);
        out.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
        out.extend_from_slice(fragment);
    }
    out
}

/// What rustls reads: the name if it accepts the hello, which may be none.
fn by_rustls(bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                return Some(name.map(|name| name.trim_end_matches('.').to_owned()));
            }
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    None
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-z0-9]{0,10}(\\.[a-z0-9]{1,10}){0,3}\\.[a-z]{2,5}",
        Just("10.0.0.1".to_owned()),
        Just("xn--bcher-kva.example".to_owned()),
        Just("my_app.internal".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_find_the_same_name(name in names(), versions in 0_usize..3, length in 40_usize..2_000) {
        let bytes = cut(&hello(&name, versions, &["h2", "http/1.1"]), length);
        let Hello::Complete(found) = read_hello(&bytes) else {
            return Err(TestCaseError::fail(format!("{:?}", read_hello(&bytes))));
        };
        prop_assert_eq!(Some(found.name), by_rustls(&bytes));
    }

    /// With wrong bytes rustls may refuse what is no concern of the name. What it takes, it takes with the same name, or with the
    /// first of a list that has not exactly one name, which is refused here.
    #[test]
    fn what_rustls_takes_has_the_same_name_or_a_list_of_them(
        name in names(), versions in 0_usize..3,
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = hello(&name, versions, &[]);
        for (at, byte) in wrong {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(expected) = by_rustls(&bytes) {
            let found = read_hello(&bytes);
            let is_other = match &found {
                Hello::Complete(hello) => hello.name != expected,
                Hello::Refused(HelloFault::Malformed("not exactly one server name")) => false,
                Hello::Refused(_) | Hello::Partial | Hello::NotTls => true,
            };
            prop_assert!(!is_other, "{:?}, not {:?}", found, expected);
        }
    }
}
