//! All certificates of a listener, by the names that clients ask for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;

use crate::certificate::Certificate;

/// Certificates for one name, the better ones first; at least one.
type Candidates = Arc<[Arc<Certificate>]>;

/// Certificates by name. Made anew when one of them changes.
#[derive(Debug)]
pub(crate) struct Store {
    exact: HashMap<Box<str>, Candidates>,
    /// By what follows the `*.`.
    wildcard: HashMap<Box<str>, Candidates>,
    /// The first of the file, and those for the very same names.
    default: Candidates,
}

impl Store {
    /// `certificates` holds at least one, in file order.
    pub(crate) fn new(certificates: &[Arc<Certificate>]) -> Self {
        let mut exact: HashMap<Box<str>, Vec<Arc<Certificate>>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<Arc<Certificate>>> = HashMap::new();
        for certificate in certificates {
            for name in certificate.names.exact() {
                exact.entry(name.into()).or_default().push(certificate.clone());
            }
            for rest in certificate.names.wildcard() {
                wildcard.entry(rest.into()).or_default().push(certificate.clone());
            }
        }
        let first = &certificates[0].names;
        let default =
            certificates.iter().filter(|certificate| certificate.names == *first).cloned().collect();
        let ranked = |by_name: HashMap<Box<str>, Vec<Arc<Certificate>>>| {
            by_name.into_iter().map(|(name, list)| (name, rank(list))).collect()
        };
        Self { exact: ranked(exact), wildcard: ranked(wildcard), default: rank(default) }
    }

    /// The certificates for the name that a client asks for, which is in lower case.
    pub(crate) fn candidates(&self, sni: Option<&str>) -> &Candidates {
        let of_exact = sni.and_then(|name| self.exact.get(name));
        of_exact.or_else(|| self.wildcard.get(sni?.split_once('.')?.1)).unwrap_or(&self.default)
    }

    /// The certificate for a client that verifies these signatures. Where it verifies none that we could make, the
    /// handshake fails with whichever it is.
    pub(crate) fn choose(&self, sni: Option<&str>, schemes: &[SignatureScheme]) -> &Arc<Certificate> {
        let candidates = self.candidates(sni);
        let fits = |certificate: &&Arc<Certificate>| certificate.key.key.choose_scheme(schemes).is_some();
        candidates.iter().find(fits).unwrap_or(&candidates[0])
    }
}

/// RSA last, else in file order.
fn rank(mut list: Vec<Arc<Certificate>>) -> Candidates {
    list.sort_by_key(|certificate| certificate.is_rsa());
    list.into()
}

#[cfg(test)]
mod tests;
