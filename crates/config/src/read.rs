//! Walks over what the file says and makes a [`Config`] of it, noting every fault instead of stopping at the first.

mod action;
mod condition;
mod edits;
mod health;
mod limit;
mod listener;
mod outlier;
mod pool;
mod process;
mod protect;
mod retry;
mod route;
mod table;
mod text;
mod tls;
mod value;

pub(crate) use condition::show_path;
pub(crate) use route::is_derived;

use std::cell::RefCell;
use std::path::PathBuf;

use evenkeel_types::Address;
use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, KEPT_MAX, Severity, Span};
use crate::keys::ROOT;
use crate::model::{Config, FileOwner};

/// Collects what is found on the way: faults, and what must be compared once all is read.
#[derive(Default)]
pub(crate) struct Reader {
    faults: RefCell<Vec<Diagnostic>>,
    faults_dropped: RefCell<usize>,
    links: RefCell<Links>,
    /// Where the file lies; empty for a text that lies nowhere.
    folder: PathBuf,
}

/// Where things stand that refer to one another.
#[derive(Default)]
pub(crate) struct Links {
    /// Pools that something sends requests to, in any order.
    pub(crate) pool_uses: Vec<(String, Span)>,
    /// Listeners that a route names.
    pub(crate) listener_uses: Vec<(String, Span)>,
    /// Each address of each listener.
    pub(crate) binds: Vec<(Address, Span)>,
    /// The listeners' headers, in the order of [`Config::listeners`].
    pub(crate) listeners: Vec<Span>,
    /// The pools' headers, in the order of [`Config::pools`].
    pub(crate) pools: Vec<Span>,
    /// Each route's header and its `name`, in the order of [`Config::routes`].
    pub(crate) routes: Vec<RouteLink>,
    /// `admin.bind`, if it was written.
    pub(crate) admin_bind: Option<Span>,
    /// Where limits are `shared`.
    pub(crate) shared_limits: Vec<Span>,
    /// What a route's `limits` say that cannot be above what `[limits]` says: key, value, place.
    pub(crate) narrowed: Vec<(&'static str, u64, Span)>,
    /// `[redis]`, if there is one.
    pub(crate) redis: Option<Span>,
    /// Each file that a `tls` names.
    pub(crate) files: Vec<FileLink>,
}

/// Where a file is named.
#[derive(Debug, Clone)]
pub(crate) struct FileLink {
    pub(crate) owner: FileOwner,
    pub(crate) key: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) at: Span,
}

/// Where a route stands.
pub(crate) struct RouteLink {
    pub(crate) at: Span,
    pub(crate) name: Option<Span>,
    pub(crate) deadline_header: Option<Span>,
}

impl Reader {
    /// For a file that lies in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    /// Notes a fault.
    pub(crate) fn note(&self, fault: Diagnostic) {
        let mut faults = self.faults.borrow_mut();
        if faults.len() < KEPT_MAX { faults.push(fault) } else { *self.faults_dropped.borrow_mut() += 1 }
    }

    /// True once so many faults were noted that no more is kept: suggestions are then not worth their price.
    pub(crate) fn is_full(&self) -> bool {
        self.faults.borrow().len() >= KEPT_MAX
    }

    /// True once a fault was noted that makes the configuration unusable.
    pub(crate) fn has_errors(&self) -> bool {
        self.faults.borrow().iter().any(|fault| fault.severity() == Severity::Error)
    }

    /// The whole file. What is faulty in it is left out, or stands at its default.
    pub(crate) fn config(&self, entries: &DeTable<'_>) -> Config {
        let root = table::Table::new(self, &ROOT, entries, 0..0);
        Config {
            server: process::server(&root),
            admin: process::admin(&root),
            log: process::log(&root),
            limits: process::limits(&root),
            redis: limit::redis(&root),
            overload: protect::overload(&root),
            listeners: root.named("listener").map(|(name, table)| listener::read(name, &table)).collect(),
            pools: root.named("pool").map(|(name, table)| pool::read(name, &table)).collect(),
            routes: route::read_all(&root),
        }
    }

    /// What must be compared once all is read.
    pub(crate) fn links(&self) -> std::cell::RefMut<'_, Links> {
        self.links.borrow_mut()
    }

    /// The faults noted so far.
    pub(crate) fn into_faults(self) -> Vec<Diagnostic> {
        let mut faults = self.faults.into_inner();
        let dropped = self.faults_dropped.into_inner();
        if dropped > 0 {
            faults.push(Diagnostic::error(format!("{dropped} more faults are not shown")));
        }
        faults
    }
}
