//! Reloads: a thread of their own reads, builds and binds what a new configuration needs, so that probes, commands and
//! judgements of health never wait for a slow disk or a large file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use evenkeel_config::{Config, Listener, Transport, difference, fixed_changes, keep_fixed};
use evenkeel_core::limit::Limits;
use evenkeel_net::{BindError, ListenOptions, Socket};
use evenkeel_observe::Registry;
use evenkeel_otlp::Collector;
use evenkeel_proxy::Credentials;
use evenkeel_types::{Address, ListenerName};

use crate::credentials::{self, load_config};
use crate::inherit::{Inheritance, Taken, role_of};
use crate::servers::Derived;
use crate::start_error::StartError;
use crate::traces::collector;
use crate::watch::Loaded;

/// An address that the workers accept on.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The listener.
    pub listener: ListenerName,
    /// Connections or datagrams.
    pub transport: Transport,
    /// The address as configured.
    pub configured: Address,
    /// The address that it is really bound to.
    pub bound: Address,
    /// Whether systemd has bound it.
    pub activated: bool,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Stream => self.bound.fmt(f),
            Transport::Datagram => write!(f, "{} (udp)", self.bound),
        }
    }
}

/// What a reload starts from, and keeps if the new configuration says the same. Only a reload changes any of it, and one
/// ends before the next begins; and the end of a trial, after which the reload under way begins again.
pub struct InForce {
    /// Where the configuration came from; `None` if from the command line.
    pub source: Option<PathBuf>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Its rate limits.
    pub limits: Arc<Limits>,
    /// Its certificates.
    pub credentials: Arc<Credentials>,
    /// The addresses that the process listens on.
    pub bound: Vec<Bound>,
    /// The configuration that comes back if the new one is tried and not confirmed.
    pub goes_back_to: Arc<Config>,
    /// How many workers there are.
    pub workers: usize,
    /// The content that was read last.
    pub loaded: Arc<Loaded>,
    /// Counts reads of certificate files.
    pub registry: Arc<Registry>,
    /// How often a configuration on trial has gone back.
    pub reverts: u64,
}

/// A new configuration with all that it needs; only to [listen](listen) may fail still.
pub struct Prepared {
    /// The configuration and what follows from it.
    pub derived: Derived,
    /// Its certificates.
    pub credentials: Credentials,
    /// The addresses that are new.
    pub added: Vec<Bound>,
    /// The sockets of each, which are bound already, but do not listen yet.
    pub sockets: Vec<Vec<Socket>>,
    /// Warnings about the configuration.
    pub warnings: Vec<String>,
    /// Where spans go.
    pub collector: Option<Collector>,
}

/// Logs each step of a reload with the time that it took.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, what: &str) {
        let before = std::mem::replace(&mut self.0, Instant::now());
        let took_ms = (self.0 - before).as_micros() as f64 / 1e3;
        tracing::debug!(took_ms, "reload: {what}");
    }
}

/// Reads, builds and reserves addresses. That comes last: nothing is bound for a configuration with a fault.
pub fn prepare(in_force: &InForce, is_trial: bool) -> Result<Prepared, String> {
    let source = in_force
        .source
        .as_deref()
        .ok_or("there is no configuration file to reload: the process was started without one")?;
    let mut steps = Steps(Instant::now());
    in_force.loaded.note(source);
    let (config, mut warnings) = load(source)?;
    steps.done("the file is read and checked");
    warnings.extend(warn_of_unchangeable(&in_force.config, &config));
    let collector = collector(&config)?;
    let credentials = credentials::load(&config, Some((&in_force.config, &in_force.credentials)))?;
    steps.done("certificates and secrets are read");
    let kept = keep_fixed(&in_force.config, config.clone());
    if is_trial {
        warnings.extend(warn_of_same(&in_force.goes_back_to, &kept));
    }
    let derived = Derived::of(kept, Some((&in_force.config, &in_force.limits)))?;
    // What was taken over may be older than its files.
    credentials::refresh(&credentials, &in_force.registry);
    steps.done("routes and pools are built");
    let ((added, sockets), failed) = bind_added(&config, &in_force.bound, in_force.workers);
    if !failed.is_empty() {
        return Err(in_lines(&failed));
    }
    steps.done("new addresses are bound");
    Ok(Prepared { derived, credentials, added, sockets, collector, warnings })
}

/// Says what a reload cannot change.
fn warn_of_unchangeable(old: &Config, new: &Config) -> Vec<String> {
    // The main process of a container cannot be upgraded.
    let how =
        if std::process::id() == 1 { "a restart" } else { "a restart or an upgrade (`evenkeel upgrade`)" };
    let warn = |key: &str| {
        let warning = format!("changing [{key}] requires {how}; the reload has left it as it was");
        tracing::warn!("{warning}");
        warning
    };
    fixed_changes(old, new).into_iter().map(warn).collect()
}

/// Says that a trial protects nothing if its configuration is `new` and that which comes back `old`.
fn warn_of_same(old: &Config, new: &Config) -> Option<String> {
    if !difference(old, new).is_empty() {
        return None;
    }
    let help = if new.server.reload_on_change {
        "With `reload_on_change = true` the process reads the file as soon as it is saved: set it to false to put changes on trial"
    } else {
        "If you have changed the file, a reload has read it before"
    };
    let warning = format!(
        "the file says the same as the configuration that would come back, so going back would change nothing. {help}"
    );
    tracing::warn!("{warning}");
    Some(warning)
}

/// What is listened on, and the sockets of each.
pub type Listened = (Vec<Bound>, Vec<Vec<Socket>>);

/// Binds the addresses of a configuration that are not among `bound` yet. Their sockets are to [listen](listen) right before they are
/// served: an address may overlap with one that is served, and the kernel would prefer the narrower one. Those of UDP come last,
/// because datagrams arrive as soon as they are bound. Those that cannot be bound are returned beside the others.
pub fn bind_added(config: &Config, bound: &[Bound], workers: usize) -> (Listened, Vec<BindError>) {
    let (mut added, mut failed) = (Listened::default(), Vec::new());
    for transport in [Transport::Stream, Transport::Datagram] {
        for (listener, address) in new_addresses(config, bound).filter(|(it, _)| it.transport() == transport)
        {
            failed.extend(bind(listener, address, bound, workers, &mut added).err());
        }
    }
    (added, failed)
}

/// Lets the sockets of these addresses listen. Addresses where that fails, for example because another process has listened there
/// meanwhile, are returned beside the others.
pub fn listen((addresses, sockets): Listened) -> (Listened, Vec<BindError>) {
    let (mut listening, mut failed) = (Listened::default(), Vec::new());
    for (bound, mut sockets) in addresses.into_iter().zip(sockets) {
        match sockets.iter_mut().try_for_each(Socket::listen) {
            Ok(()) => {
                listening.0.push(bound);
                listening.1.push(sockets);
            }
            Err(error) => failed.push(BindError { address: bound.bound, error }),
        }
    }
    (listening, failed)
}

/// What is wrong with each address, a line for each.
pub fn in_lines(failed: &[BindError]) -> String {
    failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Binds an address again before a reload closes it: new connections wait in the new sockets.
///
/// # Errors
/// The address cannot be bound twice, for example that of a unix socket.
pub fn bind_again(bound: &Bound, config: &Config, workers: usize) -> Result<Vec<Socket>, BindError> {
    if matches!(bound.bound, Address::Unix(_)) {
        return Err(BindError::ours(bound.bound.clone()));
    }
    let listener = config.listeners.iter().find(|listener| listener.name == bound.listener);
    let sockets = match (bound.transport, listener) {
        (Transport::Datagram, _) => evenkeel_net::bind_datagrams(&bound.bound, workers)?.1,
        (Transport::Stream, Some(listener)) => {
            evenkeel_net::bind(&bound.bound, workers, &listen_options(listener))?.1
        }
        (Transport::Stream, None) => evenkeel_net::bind(&bound.bound, workers, &ListenOptions::default())?.1,
    };
    Ok(sockets)
}

/// Binds the addresses of a configuration, or takes over sockets that are bound already. Returns also the positions of those
/// sockets among the offered ones.
///
/// # Errors
/// The first address that cannot be bound, or whose options the kernel refuses.
pub fn bind_first(
    config: &Config,
    workers: usize,
    inherited: &mut Inheritance,
) -> Result<(Listened, Vec<usize>), StartError> {
    let (mut all, mut positions) = (Listened::default(), Vec::new());
    for (listener, address) in new_addresses(config, &[]) {
        let (role, options) = (role_of(listener.transport()), listen_options(listener));
        match inherited.take(role, (listener.name.as_str(), address), &options)? {
            Some(mut taken) => {
                positions.append(&mut taken.positions);
                keep(listener, address.clone(), taken, &mut all);
            }
            None => bind(listener, address, &[], workers, &mut all)?,
        }
    }
    while let Some((role, address, listener)) = inherited.covered(config) {
        let Some(mut taken) =
            inherited.take(role, (listener.name.as_str(), &address), &listen_options(listener))?
        else {
            break;
        };
        positions.append(&mut taken.positions);
        keep(listener, address, taken, &mut all);
    }
    let (all, failed) = listen(all);
    failed.into_iter().next().map_or(Ok((all, positions)), |error| Err(error.into()))
}

fn keep(listener: &Listener, configured: Address, taken: Taken, all: &mut Listened) {
    if listener.transport() == Transport::Stream {
        warn_of_backlog(listener);
    }
    all.0.push(Bound {
        listener: listener.name.clone(),
        transport: listener.transport(),
        configured,
        bound: taken.address,
        activated: taken.activated,
    });
    all.1.push(taken.sockets);
}

/// The addresses of a configuration that are not among `bound`, each with its listener.
fn new_addresses<'c>(
    config: &'c Config,
    bound: &[Bound],
) -> impl Iterator<Item = (&'c Listener, &'c Address)> {
    let addresses = config.listeners.iter().flat_map(|l| l.bind.iter().map(move |address| (l, address)));
    addresses.filter(|(listener, address)| {
        let place = (listener.transport(), *address);
        bound.iter().all(|bound| (bound.transport, &bound.configured) != place)
    })
}

fn bind(
    listener: &Listener,
    address: &Address,
    others: &[Bound],
    workers: usize,
    added: &mut Listened,
) -> Result<(), BindError> {
    let transport = listener.transport();
    // The kernel may have chosen this port for another address.
    let place = (transport, address);
    if others.iter().chain(&added.0).any(|other| (other.transport, &other.bound) == place) {
        return Err(BindError::ours(address.clone()));
    }
    let (bound, sockets) = match transport {
        Transport::Stream => {
            warn_of_backlog(listener);
            evenkeel_net::reserve(address, workers, &listen_options(listener))?
        }
        Transport::Datagram => evenkeel_net::bind_datagrams(address, workers)?,
    };
    let (listener, configured) = (listener.name.clone(), address.clone());
    added.0.push(Bound { listener, transport, configured, bound, activated: false });
    added.1.push(sockets);
    Ok(())
}

/// The options of a listener's sockets.
pub fn listen_options(listener: &Listener) -> ListenOptions {
    let Listener { backlog, tcp_keepalive, fast_open, .. } = *listener;
    ListenOptions { backlog, tcp_keepalive, fast_open }
}

/// Logs a warning if the kernel's limit is below the listener's backlog.
fn warn_of_backlog(listener: &Listener) {
    let backlog = listener.backlog;
    if let Some(max) = evenkeel_net::backlog_max().filter(|max| *max < backlog) {
        tracing::warn!(
            listener = %listener.name,
            backlog,
            somaxconn = max,
            "the kernel queues fewer connections than `backlog`: raise net.core.somaxconn by sysctl"
        );
    }
}

/// Reads a configuration and the certificates that it names, and returns its warnings with it.
///
/// # Errors
/// All faults, in words.
fn load(source: &Path) -> Result<(Config, Vec<String>), String> {
    // Without colours, because the text may go to another terminal or to a file.
    let parsed = load_config(source).map_err(|diagnostics| diagnostics.render(false))?;
    let mut warnings = Vec::new();
    if !parsed.warnings.is_empty() {
        let text = parsed.warnings.render(false);
        eprintln!("{text}");
        warnings.push(text.trim_end().to_owned());
    }
    Ok((parsed.config, warnings))
}
