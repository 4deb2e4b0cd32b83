//! The checked configuration, with every default filled in. Nothing downstream checks it again.
//!
//! Each file declares a part of it, keys and all: see [`crate::declare`].

mod action;
mod cache;
mod compress;
mod database;
mod discover;
mod edits;
mod failure;
mod files;
mod health;
mod limit;
mod listener;
mod log;
mod matching;
mod outlier;
mod pool;
mod pool_rules;
pub(crate) mod process;
mod protect;
mod recorder;
mod retry;
mod route;
mod route_rules;
mod share;
mod sni;
mod sticky;
mod store;
mod stream;
mod tls;
mod tracing;

pub use action::{Action, Redirect, Respond, Rewrite};
pub use cache::*;
pub use compress::*;
pub use database::{DatabaseRole, PostgresProbe, RedisProbe, RoleRule, WhenAllLag};
pub(crate) use discover::ServerList;
pub use discover::{Discover, NameServer, Resolver};
pub use edits::HeaderEdits;
pub use failure::FailureOn;
pub use files::Files;
pub use health::*;
pub use limit::*;
pub use listener::*;
pub use log::*;
pub use matching::PathMatch;
pub(crate) use matching::show_path;
pub use outlier::*;
pub use pool::*;
pub(crate) use pool_rules::servers_differ;
pub use process::*;
pub use protect::*;
pub use recorder::Recorder;
pub use retry::*;
pub use route::{RequestId, Route, RouteTimeout};
pub(crate) use route::{STREAM_ROUTE, is_derived};
pub use share::{LogShare, RouteTrace, Share};
pub use sni::Passthrough;
pub use sticky::Sticky;
pub use store::{CacheStore, DiskStore, Eviction};
pub use stream::Transport;
pub use tls::*;
pub use tracing::{ParentDecides, Propagation, Tracing};

use crate::declare::{Declared, Rules, declared, section};
use crate::keys::Absent::{Means, Required};
use crate::keys::{Kind, key};
use crate::read::Table;
use crate::show::Lines;

section! {
    /// The whole configuration.
    pub struct Config "the file" {
        /// The process.
        server: Server = key(Kind::Section(Server::SECTION), Means("the defaults"), ""),
        /// API and metrics.
        admin: Admin = key(Kind::Section(Admin::SECTION), Means("the defaults"), ""),
        /// The access log.
        log: Log = key(Kind::Section(Log::SECTION), Means("the defaults"), ""),
        /// Traces of requests.
        tracing: Option<Tracing> = key(Kind::Section(Tracing::SECTION), Means("-"), ""),
        /// Records of single requests.
        recorder: Recorder = key(Kind::Section(Recorder::SECTION), Means("the defaults"), ""),
        /// Process-wide limits.
        limits: Limits = key(Kind::Section(Limits::SECTION), Means("the defaults"), ""),
        /// Where responses are kept.
        cache: CacheStore = key(Kind::Section(CacheStore::SECTION), Means("the defaults"), ""),
        /// The shared rate-limit Redis.
        redis: Option<Redis> = key(Kind::Section(Redis::SECTION), Means("-"), ""),
        /// How names of servers are resolved.
        resolver: Resolver = key(Kind::Section(Resolver::SECTION), Means("the defaults"), ""),
        /// When the process runs short.
        overload: Overload = key(Kind::Section(Overload::SECTION), Means("the defaults"), ""),
        /// Where clients connect.
        listeners as "listener": Vec<Listener> = key(Kind::Named(Listener::SECTION, 256), Required, ""),
        /// Which request goes where. A listener's `pool` is one more route, behind these, that matches all.
        routes as "route": Vec<Route> = key(Kind::Tables(Route::SECTION, 100_000), Means("-"), ""),
        /// Servers that do the same.
        pools as "pool": Vec<Pool> = key(Kind::Named(Pool::SECTION, 10_000), Means("-"), ""),
    }
}

impl Rules for Config {
    fn finish(&mut self, _: &Table<'_>) {
        stream::mark(&mut self.routes, &self.listeners);
        route::name_all(&mut self.routes);
    }
}

impl Config {
    /// These listeners, routes and pools, and the defaults for the process. Routes without a name get one.
    pub fn new(listeners: Vec<Listener>, routes: Vec<Route>, pools: Vec<Pool>) -> Self {
        let defaults: Self = declared().expect("every section has defaults");
        let mut config = Self { listeners, routes, pools, ..defaults };
        stream::mark(&mut config.routes, &config.listeners);
        route::name_all(&mut config.routes);
        config
    }

    /// The effective configuration as TOML. Every default is written out; what has no value stands as a comment.
    pub fn to_toml(&self) -> String {
        let mut out = Lines::default();
        self.show_table(&mut out);
        out.toml()
    }
}
