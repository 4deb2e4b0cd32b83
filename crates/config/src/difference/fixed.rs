//! What a reload cannot change: the one list of such keys, for the log of a reload and for `plan`.

use crate::declare::{Declared, Setting};
use crate::keys::Kind;
use crate::model::{Config, DiskStore, Listener};

/// A key, or all keys of a table, that stay as they were until a restart.
struct Fixed {
    /// As in `cache.disk.path`; `listener.NAME.` before keys of listeners.
    key: &'static str,
    differs: fn(&Config, &Config) -> bool,
}

const FIXED: &[Fixed] = &[
    Fixed { key: "server.workers", differs: |old, new| old.server.workers != new.server.workers },
    Fixed { key: "admin", differs: |old, new| shown(&old.admin) != shown(&new.admin) },
    Fixed { key: "cache.disk.path", differs: |old, new| disk_path(old) != disk_path(new) },
    Fixed { key: "log.access", differs: |old, new| old.log.access != new.log.access },
    Fixed { key: "log.format", differs: |old, new| old.log.format != new.log.format },
    Fixed {
        key: "listener.NAME.backlog",
        differs: |old, new| any_bound(old, new, |old, new| old.backlog != new.backlog),
    },
    Fixed {
        key: "listener.NAME.tcp_keepalive",
        differs: |old, new| any_bound(old, new, |old, new| old.tcp_keepalive != new.tcp_keepalive),
    },
    Fixed {
        key: "listener.NAME.fast_open",
        differs: |old, new| any_bound(old, new, |old, new| old.fast_open != new.fast_open),
    },
];

/// The keys that `new` changes and that a reload leaves as they were in `old`.
pub fn fixed_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    FIXED.iter().filter(|fixed| (fixed.differs)(old, new)).map(|fixed| fixed.key).collect()
}

/// What is in force after a reload: `new`, with what a reload leaves as it was `old`.
pub fn keep_fixed(old: &Config, mut new: Config) -> Config {
    new.server.workers = old.server.workers;
    new.admin = old.admin.clone();
    new.log.access = old.log.access.clone();
    new.log.format = old.log.format;
    new.cache.disk = match (&old.cache.disk, new.cache.disk) {
        (Some(old), Some(new)) => Some(DiskStore { path: old.path.clone(), ..new }),
        (old, _) => old.clone(),
    };
    for listener in &mut new.listeners {
        let before = old.listeners.iter().find(|before| before.name == listener.name);
        if let Some(before) = before.filter(|before| stays_bound(before, listener)) {
            listener.backlog = before.backlog;
            listener.tcp_keepalive = before.tcp_keepalive;
            listener.fast_open = before.fast_open;
        }
    }
    new
}

/// True if this key stays as it was until a restart.
pub(super) fn is_fixed(path: &str) -> bool {
    // A table that comes or goes takes its keys with it.
    let is_part = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    FIXED.iter().any(|fixed| is_part(fixed.key, path) || is_part(path, fixed.key))
}

/// True if a listener has an address, in both configurations, whose socket is already open.
pub(super) fn stays_bound(old: &Listener, new: &Listener) -> bool {
    old.transport() == new.transport() && old.bind.iter().any(|address| new.bind.contains(address))
}

fn any_bound(old: &Config, new: &Config, differs: fn(&Listener, &Listener) -> bool) -> bool {
    new.listeners.iter().any(|listener| {
        let before = old.listeners.iter().find(|before| before.name == listener.name);
        before.is_some_and(|before| stays_bound(before, listener) && differs(before, listener))
    })
}

fn disk_path(config: &Config) -> Option<&std::path::Path> {
    config.cache.disk.as_ref().map(|disk| &*disk.path)
}

fn shown<T: Declared + Setting>(table: &T) -> String {
    static KIND: Kind = Kind::Boolean;
    table.show(&KIND)
}
