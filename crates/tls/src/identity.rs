//! The identity of a client, by its certificate.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::subject;

/// A client that has shown a certificate. To be made once for a connection, and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The subject (RFC 4514): `CN=alice,O=Shop`, in visible ASCII and spaces, with a space at neither end. Empty when
    /// the certificate's subject is empty, which is allowed.
    pub subject: String,
    /// The first common name in the subject, as it stands there.
    pub common_name: Option<String>,
    /// SHA-256 of the certificate in DER: 64 digits in lower case.
    pub fingerprint: String,
}

impl ClientIdentity {
    /// Of what rustls calls the peer's certificates, the first of which is its own; `None` when there is none.
    /// rustls has verified it before it hands it out.
    pub fn of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let own = certificates?.first()?;
        let (_, parsed) = X509Certificate::from_der(own).ok()?;
        let fingerprint = Sha256::digest(own).iter().map(|byte| format!("{byte:02x}")).collect();
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let common_name = common_name.map(str::to_owned);
        Some(Self { subject: subject::show(parsed.subject()), common_name, fingerprint })
    }
}
