//! Both ends of a connection in memory.

use std::sync::{Arc, Mutex};

use evenkeel_tls::ServerTls;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme, SupportedProtocolVersion, WantsVerifier,
};

/// Two ends after a handshake.
#[derive(Debug)]
pub struct Pair {
    pub client: ClientConnection,
    pub server: ServerConnection,
}

/// The handshake of a client that asks for `name`, up to the end that fails first.
pub fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: ServerName<'static>,
) -> Result<Pair, Error> {
    let mut pair = Pair {
        client: ClientConnection::new(client.clone(), name)?,
        server: ServerConnection::new(server.clone())?,
    };
    while pair.client.wants_write() || pair.server.wants_write() {
        let mut bytes = Vec::new();
        pair.client.write_tls(&mut bytes).unwrap();
        let mut unread = &bytes[..];
        while !unread.is_empty() {
            pair.server.read_tls(&mut unread).unwrap();
            pair.server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        pair.server.write_tls(&mut bytes).unwrap();
        let mut unread = &bytes[..];
        while !unread.is_empty() {
            pair.client.read_tls(&mut unread).unwrap();
            pair.client.process_new_packets()?;
        }
    }
    assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
    Ok(pair)
}

/// As [`shake`] with a server of ours.
pub fn connect(client: &Arc<ClientConfig>, server: &ServerTls, name: &str) -> Result<Pair, Error> {
    shake(client, &server.config(), ServerName::try_from(name.to_owned()).unwrap())
}

impl Pair {
    /// What the server has shown.
    pub fn shown(&self) -> &CertificateDer<'static> {
        &self.client.peer_certificates().unwrap()[0]
    }
}

pub fn builder(versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(default_provider().into());
    builder.with_protocol_versions(versions).unwrap()
}

/// A client that verifies as browsers do.
pub fn client(roots: RootCertStore) -> Arc<ClientConfig> {
    builder(rustls::ALL_VERSIONS).with_root_certificates(roots).with_no_client_auth().into()
}

/// A client that takes every certificate, knows only some kinds of signatures, and notes what was stapled.
pub fn lenient(
    versions: &[&'static SupportedProtocolVersion],
    schemes: &[SignatureScheme],
) -> (Arc<ClientConfig>, Arc<Lenient>) {
    let provider = default_provider().into();
    let verifier = Arc::new(Lenient { provider, schemes: schemes.to_vec(), stapled: Mutex::default() });
    let mut client = builder(versions)
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    // Resumed, it would be shown nothing, and remember what it was shown before.
    client.resumption = Resumption::disabled();
    (client.into(), verifier)
}

/// Every scheme that there is.
pub fn all_schemes() -> Vec<SignatureScheme> {
    default_provider().signature_verification_algorithms.supported_schemes()
}

#[derive(Debug)]
pub struct Lenient {
    provider: Arc<CryptoProvider>,
    schemes: Vec<SignatureScheme>,
    pub stapled: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        stapled: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.stapled.lock().unwrap() = stapled.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
