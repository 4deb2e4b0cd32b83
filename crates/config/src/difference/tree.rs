//! A configuration as the tables that `show` writes.

use toml::Table;

use crate::model::Config;

/// A configuration beside what `show` writes of it.
pub(super) struct Tree<'c> {
    pub(super) config: &'c Config,
    shown: Table,
}

impl<'c> Tree<'c> {
    pub(super) fn of(config: &'c Config) -> Self {
        let shown = config.to_toml().parse().expect("what `show` writes is TOML");
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
