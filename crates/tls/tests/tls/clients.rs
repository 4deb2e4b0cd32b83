//! Clients that show who they are.

use std::sync::Arc;

use evenkeel_config::ClientAuth;
use evenkeel_tls::{Change, ClientIdentity, ServerTls};
use rcgen::{Certificate, CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ClientConfig;
use rustls::HandshakeKind::{Full, Resumed};
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::pki_types::PrivateKeyDer;

use crate::fixture::{Authority, BOTH, Folder, refreshed, settings};
use crate::handshake::{Pair, builder, connect};

struct Setup {
    folder: Folder,
    servers: Authority,
    clients: Authority,
}

impl Setup {
    fn new() -> Self {
        let (folder, clients) = (Folder::new(), Authority::new("Clients"));
        folder.write("clients.pem", clients.certificate.pem());
        Self { folder, servers: Authority::new("Servers"), clients }
    }

    fn server(&self, required: bool) -> ServerTls {
        let mut settings = settings(vec![self.servers.write(&self.folder, "a", &["a.example"])]);
        settings.client_auth = Some(ClientAuth {
            ca: self.folder.path("clients.pem"),
            required,
            subject_header: "x-client-cert-subject".into(),
        });
        ServerTls::load(&settings, BOTH).unwrap()
    }

    fn client(&self, identity: Option<&(Certificate, KeyPair)>) -> Arc<ClientConfig> {
        let builder = builder(rustls::ALL_VERSIONS).with_root_certificates(self.servers.roots());
        match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        }
        .into()
    }
}

fn alice(params: &mut CertificateParams) {
    params.distinguished_name = DistinguishedName::new();
    let name = &mut params.distinguished_name;
    name.push(DnType::CountryName, "CH");
    name.push(DnType::OrganizationName, "Smith, Sons + Daughters");
    name.push(DnType::OrganizationalUnitName, "Caf\u{e9}");
    name.push(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 5]), "x");
    name.push(DnType::CommonName, "alice");
}

fn identity(pair: &Pair) -> Option<ClientIdentity> {
    ClientIdentity::of(pair.server.peer_certificates())
}

#[test]
fn are_let_in_with_a_certificate_that_is_known() {
    let setup = Setup::new();
    let known = setup.clients.issue_with(&[], false, alice);
    let stranger = Authority::new("Strangers").issue_with(&[], false, alice);
    let from_servers = setup.servers.issue_with(&[], false, alice);
    for (required, shown, is_let_in) in [
        (true, Some(&known), true),
        (true, None, false),
        (true, Some(&stranger), false),
        (false, Some(&known), true),
        (false, None, true),
        (false, Some(&stranger), false),
        (false, Some(&from_servers), false),
    ] {
        let pair = connect(&setup.client(shown), &setup.server(required), "a.example");
        assert_eq!(pair.is_ok(), is_let_in, "required: {required}, shown: {}", shown.is_some());
        if let Ok(pair) = pair {
            assert_eq!(identity(&pair).is_some(), shown.is_some());
        }
    }
}

#[test]
fn are_known_by_subject_and_fingerprint_when_resumed_too() {
    let setup = Setup::new();
    let (client, server) = (setup.clients.issue_with(&[], false, alice), setup.server(true));
    let config = setup.client(Some(&client));
    for kind in [Full, Resumed] {
        let pair = connect(&config, &server, "a.example").unwrap();
        assert_eq!(pair.server.handshake_kind(), Some(kind));
        let identity = identity(&pair).unwrap();
        assert_eq!(
            identity.subject,
            "CN=alice,1.3.6.1.4.1.5=#0c0178,OU=Caf\\C3\\A9,O=Smith\\, Sons \\+ Daughters,C=CH"
        );
        assert_eq!(identity.fingerprint, sha256(client.0.der()));
    }
}

/// By another implementation than the one under test.
fn sha256(der: &[u8]) -> String {
    let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let digest = suite.common.hash_provider.hash(der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn of_an_authority_that_has_gone_do_not_come_back_by_a_ticket() {
    let setup = Setup::new();
    let (client, server) = (setup.clients.issue_with(&[], false, alice), setup.server(true));
    let config = setup.client(Some(&client));
    let before = server.config();
    connect(&config, &server, "a.example").unwrap();
    let others = Authority::new("Others");
    let path = setup.folder.write("clients.pem", others.certificate.pem());
    assert_eq!(refreshed(|| server.refresh()), [Change::Replaced(path)]);
    assert!(connect(&config, &server, "a.example").is_err());
    assert!(!Arc::ptr_eq(&before, &server.config()));
    let config = setup.client(Some(&others.issue_with(&[], false, alice)));
    connect(&config, &server, "a.example").unwrap();
}
