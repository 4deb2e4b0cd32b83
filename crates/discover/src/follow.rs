//! The shell: asks one pool's source again and again, and reports what becomes of it.

use std::sync::Arc;

use evenkeel_config::{Backend, Discover, Resolver as ResolverSettings};
use evenkeel_types::{Clock, PoolName, Time};
use tokio::sync::{mpsc, watch};

use crate::discovery::{Bounds, Discovery, Found, Outcome};
use crate::file::ServersFile;
use crate::names::Names;
use crate::resolve::Resolver;

/// The settings in force, now and later.
pub type Settings = watch::Receiver<ResolverSettings>;

/// Where reports go.
pub type Reports = mpsc::Sender<Report>;

/// What asking a source once came to.
#[derive(Debug)]
pub struct Report {
    /// The pool.
    pub pool: PoolName,
    /// What was asked.
    pub source: Discover,
    /// When.
    pub asked: Time,
    /// When it is asked next.
    pub next: Time,
    /// When all was answered for the last time.
    pub succeeded: Option<Time>,
    /// Why not all was answered this time, if so; the first line says it all.
    pub error: Option<String>,
    /// The servers of the last good answer.
    pub servers: Arc<[Backend]>,
    /// What has changed.
    pub outcome: Outcome,
}

/// What is asked, and by what.
enum Source {
    Names(Names, Option<Box<Resolver>>),
    /// The file is away while it is being read.
    File(Option<ServersFile>),
}

impl Source {
    fn new(source: &Discover) -> Self {
        match source {
            Discover::Dns { .. } | Discover::Srv(_) => Self::Names(Names::new(source.clone()), None),
            Discover::File(path) => Self::File(Some(ServersFile::new(path.clone()))),
        }
    }

    /// Asks; `None` if nothing can have changed. If this is dropped before it is done, the file is read anew.
    async fn ask(&mut self, asked: &Discover, settings: &ResolverSettings) -> Option<Result<Found, String>> {
        match self {
            Self::Names(names, resolver) => Some(ask_names(names, resolver, settings).await),
            Self::File(file) => {
                let mut servers_file = match (file.take(), asked) {
                    (Some(file), _) => file,
                    (None, Discover::File(path)) => ServersFile::new(path.clone()),
                    (None, Discover::Dns { .. } | Discover::Srv(_)) => return None,
                };
                // Not on this thread: a disk that does not answer would hold up probes and commands.
                let reading = tokio::task::spawn_blocking(move || {
                    let read = servers_file.refresh();
                    (servers_file, read)
                });
                // A thread that panicked has said so.
                let (read_file, read) = reading.await.ok()?;
                *file = Some(read_file);
                Some(read?.map(|servers| Found { servers, left_out: 0, ttl: None, fault: None }))
            }
        }
    }

    /// Goes by other settings from now on.
    fn reset(&mut self) {
        if let Self::Names(_, resolver) = self {
            *resolver = None;
        }
    }
}

async fn ask_names(
    names: &mut Names,
    kept: &mut Option<Box<Resolver>>,
    settings: &ResolverSettings,
) -> Result<Found, String> {
    let resolver = match kept {
        Some(resolver) => resolver,
        None => kept.insert(Box::new(Resolver::new(settings)?)),
    };
    let mut answers = resolver.ask(names.first()).await;
    let then = names.then(&answers);
    if !then.is_empty() {
        answers.extend(resolver.ask(then).await);
    }
    let found = names.conclude(answers);
    let is_good = matches!(found, Ok(Found { fault: None, .. }));
    if !is_good && resolver.is_of_system {
        // The name servers may be others by now.
        *kept = None;
    }
    found
}

/// Asks `source` for the servers of `pool`, again and again, until no reports are taken any more. Never blocks the thread.
pub async fn follow(
    pool: PoolName,
    source: Discover,
    mut settings: Settings,
    reports: Reports,
    clock: Clock,
) {
    let mut asker = Source::new(&source);
    let mut discovery = Discovery::new(Bounds::of(&source, &settings.borrow()), clock.now());
    loop {
        let asked = clock.now();
        let now_in_force = settings.borrow_and_update().clone();
        let found = tokio::select! {
            found = asker.ask(&source, &now_in_force) => Some(found),
            changed = settings.changed() => if changed.is_ok() { None } else { return },
        };
        if let Some(found) = found {
            let outcome = match found {
                Some(found) => discovery.concluded(found, clock.now()),
                None => discovery.unchanged(clock.now()),
            };
            let report = Report {
                pool: pool.clone(),
                source: source.clone(),
                asked,
                next: discovery.next(),
                succeeded: discovery.succeeded(),
                error: discovery.error().map(str::to_owned),
                servers: Arc::clone(discovery.servers()),
                outcome,
            };
            if reports.send(report).await.is_err() {
                return;
            }
            let next = tokio::time::Instant::from_std(clock.instant(discovery.next()));
            tokio::select! {
                () = tokio::time::sleep_until(next) => continue,
                changed = settings.changed() => if changed.is_err() { return },
            }
        }
        asker.reset();
        discovery.rebound(Bounds::of(&source, &settings.borrow()), clock.now());
    }
}

/// Asks `source` once.
///
/// # Errors
/// There are no servers; the text says why.
pub async fn ask_once(source: &Discover, settings: &ResolverSettings) -> Result<Found, String> {
    let nothing = || Err("the file was not read".into());
    Source::new(source).ask(source, settings).await.unwrap_or_else(nothing)
}
