//! One pool's side of TLS: which certificates its servers must have, and the one that we show.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use evenkeel_config::{Pool, PoolProtocol, PoolTls, ServerIdentity, Trust};
use evenkeel_types::Address;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use crate::certificate::Certificate;
use crate::error::TlsError;
use crate::file::{Change, Stale, Watch};
use crate::server::now_s;
use crate::{crypto, trust};

/// Sessions that rustls keeps for each server.
const SESSIONS_PER_SERVER: usize = 8;
/// Sessions that rustls keeps at least for a pool whose requests' hosts are the names.
const SESSIONS_OF_HOSTS: usize = 256;

/// Servers for which sessions are kept where it is not known how many there will be.
const DISCOVERED_EXPECTED: usize = 256;

/// How a server is spoken with that has a certificate of an authority that the system trusts.
///
/// # Errors
/// The system trusts no authority.
pub fn system_client() -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .expect("there are suites and groups for every version");
    Ok(builder.with_root_certificates(trust::system_roots()?).with_no_client_auth())
}

/// How one pool's servers are spoken with, shared by all workers: sessions begun by one are resumed by the others.
#[derive(Debug)]
pub struct ClientTls {
    settings: PoolTls,
    protocol: PoolProtocol,
    /// Of how many servers sessions are kept.
    servers: usize,
    config: ArcSwap<ClientConfig>,
    /// The same for streams of bytes, whose protocol is not known: no ALPN.
    streams: ArcSwap<ClientConfig>,
    /// Only `refresh` waits for it.
    watch: Mutex<Watch>,
}

impl ClientTls {
    /// Reads all files that the pool's `tls` names; `None` for a pool without. With `insecure_skip_verify` this is
    /// also what warns of it in the log.
    ///
    /// # Errors
    /// A file is not what it should be, the system trusts no authority, or no certificate can be for a server's host.
    pub fn load(pool: &Pool) -> Result<Option<Self>, TlsError> {
        let Some(settings) = pool.tls.clone() else { return Ok(None) };
        if settings.trust == Trust::Anything {
            tracing::warn!(
                pool = %pool.name,
                "insecure_skip_verify: the servers' certificates are NOT verified; an attacker on the way can read \
                 and change everything"
            );
        }
        let watch = Mutex::new(Watch::new(watched(&settings)));
        let servers = pool.backends.len() + pool.discover.as_ref().map_or(0, |_| DISCOVERED_EXPECTED);
        let config = config(&settings, pool.protocol, servers)?;
        let streams = ArcSwap::new(without_alpn(&config));
        let config = ArcSwap::new(config);
        let tls = Self { settings, protocol: pool.protocol, servers, config, streams, watch };
        for backend in &pool.backends {
            tls.server_name(&backend.address)?;
        }
        Ok(Some(tls))
    }

    /// The configuration for the next connection. It stays the same until a file changes.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.load_full()
    }

    /// The same for a stream of bytes.
    pub fn stream_config(&self) -> Arc<ClientConfig> {
        self.streams.load_full()
    }

    /// Who the server at `address` must be on a connection for `name`, which is from [`Self::name_of_host`].
    ///
    /// # Errors
    /// No certificate can be for that host.
    pub fn server_name_for(
        &self,
        address: &Address,
        name: Option<&str>,
    ) -> Result<ServerName<'static>, TlsError> {
        name.map_or_else(|| self.server_name(address), named)
    }

    /// Who the server at `address` must be: a fixed `server_name`, or the host of the address, which is `localhost` for
    /// a unix socket.
    ///
    /// # Errors
    /// No certificate can be for that host.
    pub fn server_name(&self, address: &Address) -> Result<ServerName<'static>, TlsError> {
        server_name(&self.settings, address)
    }

    /// True if the request's host is the name.
    pub fn is_named_by_host(&self) -> bool {
        self.settings.server_name == Some(ServerIdentity::Host)
    }

    /// The name that a connection for a request to `host` must be made for; `None` if requests to all hosts share
    /// connections, or `host` can be in no certificate: then [`Self::server_name`] is the name. `host` is in lower case,
    /// without a port; an IPv6 address may have brackets.
    pub fn name_of_host<'h>(&self, host: &'h str) -> Option<&'h str> {
        if !self.is_named_by_host() {
            return None;
        }
        let bare = without_brackets(host);
        ServerName::try_from(bare).is_ok().then_some(bare)
    }

    /// As [`crate::ServerTls::stale`].
    pub fn stale(&self) -> Option<Stale> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).stale().cloned()
    }

    /// As [`crate::ServerTls::refresh`]: connections made from now on use what the files hold, and open ones stay as
    /// they are.
    pub fn refresh(&self) -> Vec<Change> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match watch.refresh(|| config(&self.settings, self.protocol, self.servers)) {
            None => Vec::new(),
            Some(Err(error)) => vec![Change::Kept(error)],
            Some(Ok(config)) => {
                self.streams.store(without_alpn(&config));
                self.config.store(config);
                watched(&self.settings).into_iter().take(1).map(Change::Replaced).collect()
            }
        }
    }
}

/// As [`ClientTls::server_name`].
pub(crate) fn server_name(settings: &PoolTls, address: &Address) -> Result<ServerName<'static>, TlsError> {
    let host = match &settings.server_name {
        Some(ServerIdentity::Fixed(name)) => name.clone(),
        Some(ServerIdentity::Host) | None => address.host(),
    };
    named(&host)
}

/// `host` as rustls takes it.
///
/// # Errors
/// No certificate can be for it.
fn named(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = without_brackets(host).to_owned();
    ServerName::try_from(bare).map_err(|_| TlsError::ServerName(host.to_owned()))
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn watched(settings: &PoolTls) -> Vec<PathBuf> {
    let ca = match &settings.trust {
        Trust::Ca(path) => Some(path.clone()),
        Trust::System | Trust::Anything => None,
    };
    ca.into_iter().chain(settings.identity.iter().flat_map(Certificate::watched)).collect()
}

fn without_alpn(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols.clear();
    Arc::new(config)
}

fn config(settings: &PoolTls, protocol: PoolProtocol, servers: usize) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = crypto::provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("there are suites and groups for every version");
    let builder = match &settings.trust {
        Trust::System => builder.with_root_certificates(trust::system_roots()?),
        Trust::Ca(path) => {
            let listed = trust::Listed::load(path, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(listed))
        }
        Trust::Anything => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(trust::Anything(provider)))
        }
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let own = Certificate::load(files, now_s())?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.key)))
        }
    };
    let alpn = match protocol {
        PoolProtocol::Http1 => "http/1.1",
        PoolProtocol::Http2 => "h2",
    };
    config.alpn_protocols = vec![alpn.into()];
    let sessions = servers.max(1) * SESSIONS_PER_SERVER;
    config.resumption = Resumption::in_memory_sessions(match settings.server_name {
        Some(ServerIdentity::Host) => sessions.max(SESSIONS_OF_HOSTS),
        _ => sessions,
    });
    Ok(config.into())
}
