//! Certificates and trust beside the configuration: loaded with it, kept by a reload that does not change them, and
//! followed on disk.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_config::{Config, Diagnostics, FileOwner, Listener, ListenerTls, Parsed, Pool};
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_observe::{Certificate, Registry, StaleFiles};
use evenkeel_proxy::{Credentials, Shared};
use evenkeel_tls::{Change, ClientTls, ServerTls, Stale};
use evenkeel_types::{ListenerName, Time};

use crate::{roots, secret, server_files, traces};

/// Between two looks at the files.
const REFRESH_EVERY: Duration = Duration::from_secs(2);

/// Between two warnings that a certificate runs out.
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// Reads a configuration file, and looks at the certificates, keys, secrets and directories that it names.
///
/// # Errors
/// All that is wrong with any of them.
pub fn load_config(path: &Path) -> Result<Parsed, Diagnostics> {
    evenkeel_config::load(path).and_then(|parsed| {
        let mut faults = evenkeel_tls::check(&parsed.config);
        faults.extend(secret::check(&parsed.config));
        faults.extend(roots::check(&parsed.config));
        faults.extend(server_files::check(&parsed.config));
        faults.extend(traces::check(&parsed.config));
        parsed.with_file_faults(&faults)
    })
}

/// The credentials of a configuration. Those that are as in `old` are taken over: on a listener's depend the sessions
/// of its clients, on a pool's the connections to its servers.
///
/// # Errors
/// A file that `tls` names is not what it should be.
pub fn load(config: &Config, old: Option<(&Config, &Credentials)>) -> Result<Credentials, String> {
    let mut credentials = Credentials::default();
    for listener in &config.listeners {
        let Some(settings) = &listener.tls else { continue };
        let tls = match old.and_then(|(config, old)| same_listener((listener, settings), config, old)) {
            Some(same) => same,
            None => ServerTls::load(settings, listener.alpn())
                .map_err(|error| format!("listener `{}`: {error}", listener.name))?
                .into(),
        };
        credentials.listeners.insert(listener.name.clone(), tls);
    }
    for pool in config.pools.iter().filter(|pool| pool.tls.is_some()) {
        let tls = match old.and_then(|(config, old)| same_pool(pool, config, old)) {
            Some(same) => Some(same),
            None => {
                ClientTls::load(pool).map_err(|error| format!("pool `{}`: {error}", pool.name))?.map(Arc::new)
            }
        };
        credentials.pools.extend(tls.map(|tls| (pool.name.clone(), tls)));
    }
    if let Some(path) = config.redis.as_ref().and_then(|redis| redis.password_file.as_ref()) {
        let password = secret::secret_text(path).map_err(|why| format!("redis.password_file: {why}"))?;
        credentials.redis_password = Some(password);
    }
    for pool in &config.pools {
        let Some(path) = secret::of_check(pool) else { continue };
        let password = secret::secret_bytes(path);
        let password =
            password.map_err(|why| format!("pool `{}`: health.password_file: {why}", pool.name))?;
        credentials.checks.insert(pool.name.clone(), password.into());
    }
    Ok(credentials)
}

/// What a listener had that terminates TLS in the same way; its name may be another, as its sockets stay then as well.
fn same_listener(
    new: (&Listener, &ListenerTls),
    config: &Config,
    old: &Credentials,
) -> Option<Arc<ServerTls>> {
    let (new, tls) = new;
    let is_same =
        |it: &&Listener| it.alpn() == new.alpn() && it.tls.as_ref().is_some_and(|old| old.terminates_as(tls));
    let same = config.listeners.iter().filter(is_same);
    let same = same.max_by_key(|it| it.name == new.name)?;
    old.listeners.get(&same.name).cloned()
}

/// What the pool had, if its TLS is the same. Its servers may be others: all that depends on them is how many sessions
/// are kept.
fn same_pool(new: &Pool, config: &Config, old: &Credentials) -> Option<Arc<ClientTls>> {
    let same = config.pools.iter().find(|it| it.name == new.name)?;
    let is_same = (&same.tls, same.protocol) == (&new.tls, new.protocol);
    old.pools.get(&new.name).filter(|_| is_same).cloned()
}

/// Follows the files of the credentials in force, and warns of certificates that run out. Never returns.
pub async fn follow(shared: Arc<Shared>) {
    let mut warned = HashMap::new();
    loop {
        let credentials = shared.credentials();
        if !credentials.listeners.is_empty() || !credentials.pools.is_empty() {
            // Not on this thread: a disk that does not answer would hold up probes and commands.
            let registry = Arc::clone(&shared.registry);
            let refreshing = tokio::task::spawn_blocking(move || refresh(&credentials, &registry));
            // A thread that panicked has said so.
            if refreshing.await.unwrap_or_default() {
                register(&shared.registry, &shared.credentials());
            }
        }
        warn_of_expiry(&shared.registry, &mut warned, shared.clock.now());
        tokio::time::sleep(REFRESH_EVERY).await;
    }
}

/// Reads those files again that have changed, and logs and records the outcome; true if there was something to log.
pub fn refresh(credentials: &Credentials, registry: &Registry) -> bool {
    let listeners = credentials.listeners.iter().flat_map(|(name, tls)| {
        let owner = FileOwner::Listener(name.clone());
        tls.refresh().into_iter().map(move |change| (owner.clone(), change))
    });
    let pools = credentials.pools.iter().flat_map(|(name, tls)| {
        let owner = FileOwner::Pool(name.clone());
        tls.refresh().into_iter().map(move |change| (owner.clone(), change))
    });
    let mut has_changed = false;
    for (owner, change) in listeners.chain(pools) {
        has_changed = true;
        let severity = match change {
            Change::Replaced(_) => {
                tracing::info!("{owner}: {change}");
                Severity::Info
            }
            Change::Kept(_) | Change::NotStapled(_) => {
                tracing::warn!("{owner}: {change}");
                Severity::Warning
            }
        };
        let event = Event::new(EventKind::Certificate, severity, format!("{owner}: {change}"));
        registry.events.record(match &owner {
            FileOwner::Listener(name) => event.listener(name),
            FileOwner::Pool(name) => event.pool(name),
            _ => event,
        });
    }
    has_changed
}

/// Shows metrics, `/status` and the list of problems the certificates in use, and the files that are broken.
pub fn register(registry: &Registry, credentials: &Credentials) {
    let mut listeners: Vec<_> = credentials.listeners.iter().collect();
    listeners.sort_by_key(|(name, _)| *name);
    let of_listener = |(name, tls): (&ListenerName, &Arc<ServerTls>)| {
        let name = name.clone();
        tls.certificates().into_iter().map(move |status| Certificate {
            listener: name.clone(),
            cert: status.cert.display().to_string(),
            names: status.names,
            not_after_s: status.not_after_s,
        })
    };
    registry.set_certificates(listeners.iter().copied().flat_map(of_listener).collect());
    let of_listener = |(name, tls): (&ListenerName, &Arc<ServerTls>)| {
        let stale = |stale| StaleFiles {
            listener: Some(name.clone()),
            ..in_words(&format!("listener {name}"), &stale)
        };
        tls.stale().into_iter().map(stale).collect::<Vec<_>>()
    };
    let mut files: Vec<_> = listeners.into_iter().flat_map(of_listener).collect();
    let mut pools: Vec<_> = credentials.pools.iter().collect();
    pools.sort_by_key(|(name, _)| *name);
    files.extend(pools.into_iter().filter_map(|(name, tls)| {
        Some(StaleFiles { pool: Some(name.clone()), ..in_words(&format!("pool {name}"), &tls.stale()?) })
    }));
    registry.set_stale_files(files);
}

/// What to say about files of `owner` that are broken.
fn in_words(owner: &str, stale: &Stale) -> StaleFiles {
    let help = match stale.error.help() {
        "" => String::new(),
        help => format!(" ({help})"),
    };
    let what = format!(
        "{owner}: {}; repair the file{help}, and the process reads it by itself; until then what was read before stays in use",
        stale.error
    );
    let since = stale.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    StaleFiles { listener: None, pool: None, what, since }
}

/// When each certificate was last warned of. One that takes the place of another in the same file is another one.
type Warned = HashMap<(ListenerName, String, i64), Time>;

fn warn_of_expiry(registry: &Registry, warned: &mut Warned, now: Time) {
    let today = SystemTime::now();
    let before = std::mem::take(warned);
    for certificate in registry.certificates().iter() {
        let Some(warning) = certificate.warning(today) else { continue };
        let key = (certificate.listener.clone(), certificate.cert.clone(), certificate.not_after_s);
        let last = before.get(&key).copied().filter(|last| now.since(*last) < WARN_EVERY);
        if last.is_none() {
            tracing::warn!(listener = %certificate.listener, "{}: {warning}", certificate.cert);
            let what = format!("{}: {warning}", certificate.cert);
            let event = Event::new(EventKind::Certificate, Severity::Warning, what);
            registry.events.record(event.listener(&certificate.listener));
        }
        warned.insert(key, last.unwrap_or(now));
    }
}
