//! What the load tool trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::options::Options;

/// How to speak TLS with the target, if it speaks TLS.
///
/// # Errors
/// The authorities cannot be read, or the host is no name of a certificate.
pub fn connector(options: &Options) -> Result<Option<(TlsConnector, ServerName<'static>)>, String> {
    if !options.target.tls {
        return Ok(None);
    }
    let host = &options.target.host;
    let name =
        ServerName::try_from(host.clone()).map_err(|why| format!("`{host}` is no server name: {why}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|why| why.to_string())?;
    let mut config = if options.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll(provider)))
            .with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(options.ca.as_deref())?).with_no_client_auth()
    };
    config.alpn_protocols = vec![if options.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(Some((TlsConnector::from(Arc::new(config)), name)))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "the system has no certificate authorities: name a file by --ca, or give --insecure".into()
            );
        }
        return Ok(roots);
    };
    let name = path.display();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|why| format!("cannot read {name}: {why}"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|why| format!("cannot read {name}: {why}"))?;
        roots.add(certificate).map_err(|why| format!("{name} has no authority: {why}"))?;
    }
    if roots.is_empty() { Err(format!("{name} has no certificate in PEM")) } else { Ok(roots) }
}

/// Takes any certificate; the handshake must still be signed by its key.
#[derive(Debug)]
struct TrustsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
