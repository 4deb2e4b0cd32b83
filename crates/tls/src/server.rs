//! One listener's side of TLS: what its clients are shown and asked for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use evenkeel_config::{ClientAuth, HttpVersions, ListenerTls};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;
use crate::error::{Reason, TlsError};
use crate::file::{Change, Stale, Watch};
use crate::names::Coverage;
use crate::store::Store;
use crate::{crypto, trust};

/// The certificates and settings of one listener, shared by all workers.
///
/// Sessions are resumed by tickets alone: the workers share the keys, which change every six hours, and no table. A
/// listener whose `tls` is unchanged by a reload should keep its `ServerTls`, and with it those keys.
#[derive(Debug)]
pub struct ServerTls {
    settings: ListenerTls,
    http: HttpVersions,
    resolver: Arc<Resolver>,
    config: ArcSwap<ServerConfig>,
    /// Only `refresh` waits for it.
    watched: Mutex<Watched>,
}

/// What is known about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// The file that it was read from.
    pub cert: PathBuf,
    /// What it is for: names, wildcards, addresses.
    pub names: Vec<String>,
    /// When it runs out, in Unix seconds.
    pub not_after_s: i64,
}

#[derive(Debug)]
struct Watched {
    certificates: Vec<(Watch, Arc<Certificate>)>,
    client_ca: Option<Watch>,
}

/// Chooses a certificate by what a client says in its first message.
#[derive(Debug)]
struct Resolver(ArcSwap<Store>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (store, name) = (self.0.load(), hello.server_name());
        let chosen = store.choose(name, hello.signature_schemes());
        tracing::debug!(
            sni = name.unwrap_or("-"),
            cert = %chosen.files.cert.display(),
            is_for_it = name.is_some_and(|name| chosen.names.covers(name)),
            "certificate chosen"
        );
        Some(chosen.key.clone())
    }
}

impl ServerTls {
    /// Reads all files that `tls` names.
    ///
    /// # Errors
    /// The first file that is not what it should be. An OCSP response that cannot be stapled is logged instead.
    pub fn load(tls: &ListenerTls, http: HttpVersions) -> Result<Self, TlsError> {
        let mut certificates = Vec::with_capacity(tls.certificates.len());
        for files in &tls.certificates {
            let watch = Watch::new(Certificate::watched(files));
            let certificate = Certificate::load(files, now_s())?;
            if let Some(fault) = &certificate.staple_fault {
                tracing::warn!("{fault}");
            }
            certificates.push((watch, Arc::new(certificate)));
        }
        let client_ca = tls.client_auth.as_ref().map(|auth| Watch::new(vec![auth.ca.clone()]));
        let resolver = Arc::new(Resolver(ArcSwap::from_pointee(store(&certificates))));
        let config = ArcSwap::new(config(tls, http, &resolver)?);
        let watched = Mutex::new(Watched { certificates, client_ca });
        Ok(Self { settings: tls.clone(), http, resolver, config, watched })
    }

    /// The configuration for the next connection. It stays the same until the file of `client_ca` changes.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// The names of the certificate that a client gets when it asks for `sni`, which is in lower case as rustls has it.
    /// To be asked for once for a connection, after its handshake.
    pub fn coverage(&self, sni: Option<&str>) -> Coverage {
        Coverage(self.resolver.0.load().candidates(sni).clone())
    }

    /// Each certificate in use, in the order of the configuration.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |certificate: &Certificate| CertificateStatus {
            cert: certificate.files.cert.clone(),
            names: certificate.names.shown(),
            not_after_s: certificate.not_after_s,
        };
        watched.certificates.iter().map(|(_, certificate)| status(certificate)).collect()
    }

    /// The files that cannot be used as they are now.
    pub fn stale(&self) -> Vec<Stale> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let certificates = watched.certificates.iter().map(|(watch, _)| watch);
        certificates.chain(&watched.client_ca).filter_map(Watch::stale).cloned().collect()
    }

    /// Looks at the files, reads those again that have changed, and returns the outcome, to be logged. To be called
    /// every few seconds by one thread that may wait for a disk. Open connections are not touched.
    ///
    /// A file that fails is reported once, when it fails for the second time in a row: it may be half written the first
    /// time. Other certificates for `client_ca` make every session end with its connection: none is resumed that was
    /// begun with a client that they do not know.
    pub fn refresh(&self) -> Vec<Change> {
        let now_s = now_s();
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Watched { certificates, client_ca } = &mut *watched;
        let mut changes = Vec::new();
        let mut is_stale = false;
        for (watch, certificate) in certificates.iter_mut() {
            match watch.refresh(|| reload(certificate, now_s)) {
                None => {}
                Some(Err(error)) => changes.push(Change::Kept(error)),
                Some(Ok(loaded)) => {
                    changes.push(Change::Replaced(loaded.files.cert.clone()));
                    changes.extend(loaded.staple_fault.clone().map(Change::NotStapled));
                    *certificate = Arc::new(loaded);
                    is_stale = true;
                }
            }
            if let Some(unstapled) = certificate.unstapled(now_s) {
                changes.extend(unstapled.staple_fault.clone().map(Change::NotStapled));
                *certificate = Arc::new(unstapled);
                is_stale = true;
            }
        }
        if is_stale {
            self.resolver.0.store(Arc::new(store(certificates)));
        }
        if let (Some(watch), Some(auth)) = (client_ca, &self.settings.client_auth)
            && let Some(loaded) = watch.refresh(|| config(&self.settings, self.http, &self.resolver))
        {
            changes.push(match loaded {
                Ok(config) => {
                    self.config.store(config);
                    Change::Replaced(auth.ca.clone())
                }
                Err(error) => Change::Kept(error),
            });
        }
        changes
    }
}

/// Reads a certificate again. An OCSP response that is broken takes the place of no other for the same certificate.
fn reload(old: &Certificate, now_s: i64) -> Result<Certificate, TlsError> {
    let new = Certificate::load(&old.files, now_s)?;
    match &new.staple_fault {
        Some(fault) if new.key.cert == old.key.cert => Err(fault.clone()),
        _ => Ok(new),
    }
}

fn store(certificates: &[(Watch, Arc<Certificate>)]) -> Store {
    let certificates: Vec<Arc<Certificate>> =
        certificates.iter().map(|(_, certificate)| certificate.clone()).collect();
    Store::new(&certificates)
}

fn config(
    tls: &ListenerTls,
    http: HttpVersions,
    resolver: &Arc<Resolver>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier: Arc<dyn ClientCertVerifier> = match &tls.client_auth {
        None => Arc::new(NoClientAuth),
        Some(auth) => client_verifier(auth)?,
    };
    let mut config = ServerConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(crypto::versions(tls.profile))
        .expect("there are suites and groups for every profile")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver.clone());
    config.alpn_protocols = alpn(http);
    config.ticketer = Ticketer::new().map_err(|_| TlsError::Random)?;
    // Tickets do it all; the table of sessions would be one more thing that workers share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config.into())
}

pub(crate) fn client_verifier(auth: &ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = trust::roots(&auth.ca)?;
    let builder = WebPkiClientVerifier::builder_with_provider(roots, crypto::provider());
    let builder = if auth.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|fault| TlsError::file(&auth.ca, Reason::BadCertificate(fault.to_string())))
}

/// HTTP/2 first: a client that can speak both gets it.
fn alpn(http: HttpVersions) -> Vec<Vec<u8>> {
    let versions = [(http.http2, "h2"), (http.http1, "http/1.1")];
    versions.iter().filter(|(is_taken, _)| *is_taken).map(|(_, name)| name.as_bytes().to_vec()).collect()
}

/// Unix seconds.
pub(crate) fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
