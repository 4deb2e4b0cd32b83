//! One certificate with its key, as it is read from files and presented to clients.

use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_config::CertificateFiles;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureAlgorithm};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::{Reason, TlsError};
use crate::names::Names;
use crate::{crypto, file, ocsp};

/// A certificate that can be presented.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// Where it was read from.
    pub(crate) files: CertificateFiles,
    /// Chain, key and OCSP response.
    pub(crate) key: Arc<CertifiedKey>,
    /// What it is for.
    pub(crate) names: Names,
    /// Unix seconds.
    pub(crate) not_before_s: i64,
    /// Unix seconds.
    pub(crate) not_after_s: i64,
    /// Until when the OCSP response holds, in Unix seconds; `None` without one, or if it does not say.
    pub(crate) staple_until_s: Option<i64>,
    /// Why the OCSP response is not sent. It never holds a certificate back: a new one often comes before the response
    /// about it.
    pub(crate) staple_fault: Option<TlsError>,
}

impl Certificate {
    /// Reads the files; `now_s` is in Unix seconds.
    pub(crate) fn load(files: &CertificateFiles, now_s: i64) -> Result<Self, TlsError> {
        let chain = file::certificates(&files.cert)?;
        let private = file::key(&files.key)?;
        let refuse = |why: String| TlsError::file(&files.cert, Reason::BadCertificate(why));
        let (_, parsed) = X509Certificate::from_der(&chain[0])
            .map_err(|fault| refuse(format!("it is not X.509: {fault}")))?;
        let names = Names::of(&parsed);
        let validity = parsed.validity();
        let (not_before_s, not_after_s) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let staple = files.ocsp.as_ref().map(|path| ocsp::load(path, parsed.raw_serial(), now_s));
        let (staple, staple_fault) = match staple {
            Some(Ok(staple)) => (Some(staple), None),
            Some(Err(fault)) => (None, Some(fault)),
            None => (None, None),
        };
        let private = crypto::provider()
            .key_provider
            .load_private_key(private)
            .map_err(|_| TlsError::file(&files.key, Reason::BadKey))?;
        let mut key = CertifiedKey::new(chain.clone(), private);
        match key.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(TlsError::file(&files.key, Reason::KeyMismatch(files.cert.clone())));
            }
            Err(fault) => return Err(refuse(fault.to_string())),
        }
        let staple_until_s = staple.as_ref().and_then(|staple| staple.until_s);
        key.ocsp = staple.map(|staple| staple.der);
        Ok(Self {
            files: files.clone(),
            key: key.into(),
            names,
            not_before_s,
            not_after_s,
            staple_until_s,
            staple_fault,
        })
    }

    /// The same without its OCSP response, once that has run out.
    pub(crate) fn unstapled(&self, now_s: i64) -> Option<Self> {
        let path = self.files.ocsp.as_ref()?;
        self.staple_until_s.filter(|until_s| *until_s <= now_s)?;
        let key = CertifiedKey { ocsp: None, ..CertifiedKey::clone(&self.key) };
        Some(Self {
            key: key.into(),
            staple_until_s: None,
            staple_fault: Some(TlsError::file(path, Reason::BadOcsp(ocsp::HAS_RUN_OUT))),
            ..self.clone()
        })
    }

    /// ECDSA and Ed25519 are signed with in a fraction of the time that RSA takes.
    pub(crate) fn is_rsa(&self) -> bool {
        self.key.key.algorithm() == SignatureAlgorithm::RSA
    }

    /// The files that make it up.
    pub(crate) fn watched(files: &CertificateFiles) -> Vec<PathBuf> {
        [Some(&files.cert), Some(&files.key), files.ocsp.as_ref()].into_iter().flatten().cloned().collect()
    }
}
