//! What is found while a file is read: faults, and where things stand that refer to one another.

use std::cell::RefCell;
use std::path::PathBuf;

use evenkeel_types::Address;

use crate::diagnostic::{Diagnostic, KEPT_MAX, Severity, Span};
use crate::keys::Section;
use crate::owner::FileOwner;

/// Collects what is found on the way: faults, and what must be compared once all is read.
#[derive(Default)]
pub(crate) struct Reader {
    faults: RefCell<Vec<Diagnostic>>,
    faults_dropped: RefCell<usize>,
    links: RefCell<Links>,
    /// Where the file lies; empty for a text that lies nowhere.
    pub(crate) folder: PathBuf,
    /// All that may be written, for suggestions.
    pub(crate) root: Option<&'static Section>,
}

/// The named table that something of the file lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Home<'a> {
    Process,
    /// NAME of `[listener.NAME]`
    Listener(&'a str),
    /// NAME of `[pool.NAME]`
    Pool(&'a str),
}

/// Where things stand that refer to one another.
#[derive(Default)]
pub(crate) struct Links {
    /// Pools that something sends requests to, in any order.
    pub(crate) pool_uses: Vec<(String, Span)>,
    /// Listeners that a route names.
    pub(crate) listener_uses: Vec<(String, Span)>,
    /// Routes with a `path_regex`.
    pub(crate) regexes: usize,
    /// Each address of each listener, and the listener's NAME.
    pub(crate) binds: Vec<(Address, Span, String)>,
    /// The listeners' headers, in the order of `Config::listeners`.
    pub(crate) listeners: Vec<Span>,
    /// The servers of the pool that is being read.
    pub(crate) servers: Vec<Span>,
    /// Each pool's header and servers, in the order of `Config::pools`.
    pub(crate) pools: Vec<PoolLink>,
    /// Each route's header and its `name`, in the order of `Config::routes`.
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

/// Where a pool stands.
pub(crate) struct PoolLink {
    pub(crate) at: Span,
    /// The key `backends`.
    pub(crate) backends: Span,
    /// Each server.
    pub(crate) servers: Vec<Span>,
    /// Each key that is written.
    pub(crate) keys: Vec<(&'static str, Span)>,
    /// `health`, if it says neither by its `kind` nor by another key what a check does.
    pub(crate) unnamed_check: Option<Span>,
}

impl PoolLink {
    /// Where a key is written, or the pool.
    pub(crate) fn at_key(&self, key: &str) -> Span {
        let found = self.keys.iter().find(|(name, _)| *name == key);
        found.map_or_else(|| self.at.clone(), |(_, span)| span.clone())
    }
}

/// Where a route stands.
pub(crate) struct RouteLink {
    pub(crate) at: Span,
    pub(crate) name: Option<Span>,
    pub(crate) deadline_header: Option<Span>,
    /// Each key that is written.
    pub(crate) keys: Vec<(&'static str, Span)>,
    /// `parent` of its `cache`.
    pub(crate) parent: Option<Span>,
}

impl Reader {
    /// For a file that lies in `folder`, and may have the keys of `root`.
    pub(crate) fn new(folder: PathBuf, root: &'static Section) -> Self {
        Self { folder, root: Some(root), ..Self::default() }
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
