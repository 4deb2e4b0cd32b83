//! A configuration as the tables that `show` writes.

use toml::Table;

use crate::model::Config;
use crate::redact::Redactor;

/// A configuration beside what `show` writes of it.
pub(super) struct Tree<'c> {
    pub(super) config: &'c Config,
    shown: Table,
}

impl<'c> Tree<'c> {
    /// The tables have secrets redacted, so that two of them differ where the secrets do.
    pub(super) fn of(config: &'c Config, redactor: &Redactor) -> Self {
        let shown = config.redacted(redactor).to_toml().parse().expect("what `show` writes is TOML");
        Self { config, shown }
    }

    /// The tables that are there once.
    pub(super) fn process(&self) -> Table {
        let is_one = |key: &str| !matches!(key, "listener" | "route" | "pool");
        self.shown.iter().filter(|(key, _)| is_one(key)).map(|(key, it)| (key.clone(), it.clone())).collect()
    }

    /// The table `[kind.name]`.
    pub(super) fn named(&self, kind: &str, name: &str) -> Option<&Table> {
        self.shown.get(kind)?.as_table()?.get(name)?.as_table()
    }

    /// The table of the route at this position.
    pub(super) fn route(&self, position: usize) -> Option<&Table> {
        self.shown.get("route")?.as_array()?.get(position)?.as_table()
    }
}
