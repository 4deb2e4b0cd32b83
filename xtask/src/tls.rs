//! The client's side of TLS as a benchmark needs it: one version, suite and key exchange, no resumption, any certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// The name that clients ask for and the certificate is for.
pub const SERVER_NAME: &str = "localhost";

/// How the two sides agree on keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyExchange {
    /// RFC 7748; what all servers know.
    #[value(name = "x25519")]
    X25519,
    /// The same with ML-KEM-768 (FIPS 203) against quantum computers.
    #[value(name = "x25519mlkem768")]
    X25519MlKem768,
}

/// A client of TLS 1.3 that offers `TLS_AES_128_GCM_SHA256`, `exchange` and the application protocol `alpn` alone, so that
/// every server does the same work. It never resumes a session, and it checks no signature, which only costs its own time.
///
/// # Errors
/// The provider of cryptography lacks one of them.
pub fn client(exchange: KeyExchange, alpn: &str) -> Result<Arc<ClientConfig>, Error> {
    let group = match exchange {
        KeyExchange::X25519 => aws_lc_rs::kx_group::X25519,
        KeyExchange::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
    };
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![group],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![alpn.into()];
    Ok(Arc::new(config))
}

/// Trusts any ECDSA P-256 key; for servers of our own on 127.0.0.1.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
