//! Versions, suites, groups and protocols that are agreed upon.

use std::sync::Arc;

use evenkeel_config::{HttpVersions, TlsProfile};
use evenkeel_tls::ServerTls;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion};

use crate::fixture::{Authority, BOTH, Folder, server, settings};
use crate::handshake::{client, connect};

#[test]
fn modern_is_tls_1_3_alone_and_intermediate_both() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let files = authority.write(&folder, "a", &["a.example"]);
    for (profile, version, agreed) in [
        (TlsProfile::Intermediate, &TLS12, Some(ProtocolVersion::TLSv1_2)),
        (TlsProfile::Intermediate, &TLS13, Some(ProtocolVersion::TLSv1_3)),
        (TlsProfile::Modern, &TLS12, None),
        (TlsProfile::Modern, &TLS13, Some(ProtocolVersion::TLSv1_3)),
    ] {
        let mut settings = settings(vec![files.clone()]);
        settings.profile = profile;
        let server = ServerTls::load(&settings, BOTH).unwrap();
        let builder = ClientConfig::builder_with_provider(default_provider().into());
        let client = builder
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let seen = connect(&client.into(), &server, "a.example").ok();
        assert_eq!(seen.and_then(|pair| pair.client.protocol_version()), agreed, "{profile:?} {version:?}");
    }
}

#[test]
fn every_suite_of_the_intermediate_profile_is_taken() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![
        authority.write(&folder, "a", &["a.example"]),
        authority.write_rsa(&folder, "b", &["a.example"]),
    ]);
    assert_eq!(ALL_CIPHER_SUITES.len(), 9);
    for suite in ALL_CIPHER_SUITES {
        let provider = CryptoProvider { cipher_suites: vec![*suite], ..default_provider() };
        let client = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[suite.version()])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let pair = connect(&client.into(), &server, "a.example").unwrap();
        assert_eq!(pair.client.negotiated_cipher_suite(), Some(*suite));
    }
}

#[test]
fn the_key_exchange_is_post_quantum_where_the_client_knows_it() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![authority.write(&folder, "a", &["a.example"])]);
    let agreed = |groups: Vec<&'static dyn SupportedKxGroup>| {
        let provider = CryptoProvider { kx_groups: groups, ..default_provider() };
        let client = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let pair = connect(&Arc::new(client), &server, "a.example").unwrap();
        pair.client.negotiated_key_exchange_group().unwrap().name()
    };
    assert_eq!(agreed(default_provider().kx_groups), NamedGroup::X25519MLKEM768);
    assert_eq!(agreed(vec![kx_group::X25519, kx_group::SECP256R1]), NamedGroup::X25519);
    assert_eq!(agreed(vec![kx_group::SECP256R1]), NamedGroup::secp256r1);
    assert_eq!(agreed(vec![kx_group::SECP384R1]), NamedGroup::secp384r1);
}

#[test]
fn the_protocol_is_agreed_upon_by_alpn() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let files = authority.write(&folder, "a", &["a.example"]);
    let agreed = |http1, http2, offered: &[&str]| {
        let server = ServerTls::load(&settings(vec![files.clone()]), HttpVersions { http1, http2 }).unwrap();
        let mut client = ClientConfig::clone(&client(authority.roots()));
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let pair = connect(&client.into(), &server, "a.example").map_err(|error| error.to_string())?;
        Ok::<_, String>(pair.server.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap()))
    };
    assert_eq!(agreed(true, true, &["http/1.1", "h2"]), Ok(Some("h2".into())));
    assert_eq!(agreed(true, true, &["http/1.1"]), Ok(Some("http/1.1".into())));
    assert_eq!(agreed(true, true, &[]), Ok(None));
    assert_eq!(agreed(true, false, &["h2", "http/1.1"]), Ok(Some("http/1.1".into())));
    assert_eq!(agreed(false, true, &["h2", "http/1.1"]), Ok(Some("h2".into())));
    assert!(agreed(false, true, &["http/1.1"]).is_err());
}

#[test]
fn early_data_is_not_taken() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![authority.write(&folder, "a", &["a.example"])]);
    let mut config = ClientConfig::clone(&client(authority.roots()));
    config.enable_early_data = true;
    let config = Arc::new(config);
    connect(&config, &server, "a.example").unwrap();
    let name = "a.example".try_into().unwrap();
    let mut again = rustls::ClientConnection::new(config, name).unwrap();
    assert!(again.early_data().is_none(), "no ticket allows it");
}
