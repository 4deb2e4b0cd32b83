//! Pools: those that are named exist and are used, and their servers differ.

use std::collections::HashSet;

use super::unknown;
use crate::diagnostic::Diagnostic;
use crate::model::{Action, Config, Pool, servers_differ};
use crate::read::{Links, PoolLink, Reader, clip};

/// Notes whatever does not fit together.
pub(super) fn check(config: &Config, links: &Links, reader: &Reader) {
    exist(config, links, reader);
    parents_are_others(config, links, reader);
    for (pool, link) in config.pools.iter().zip(&links.pools) {
        let of = format!("pool `{}`", clip(pool.name.as_str()));
        servers_differ(&of, &pool.backends, &link.servers, reader);
        servers_take_requests(pool, link, reader);
    }
}

fn exist(config: &Config, links: &Links, reader: &Reader) {
    let names = || config.pools.iter().map(|pool| pool.name.as_str());
    let known: HashSet<&str> = names().collect();
    for (name, span) in links.pool_uses.iter().filter(|(name, _)| !known.contains(name.as_str())) {
        unknown("pool", name, span, names(), reader);
    }
}

/// A parent that is the route's own pool would be asked twice, and be no other tier.
fn parents_are_others(config: &Config, links: &Links, reader: &Reader) {
    for (route, link) in config.routes.iter().zip(&links.routes) {
        let Some(parent) = route.cache.as_ref().and_then(|cache| cache.parent.as_ref()) else { continue };
        let is_own = match &route.action {
            Action::Pool(pool) => pool == parent,
            Action::Split(shares) => shares.iter().any(|(pool, _)| pool == parent),
            Action::Redirect(_) | Action::Respond(_) | Action::Files(_) => false,
        };
        if is_own {
            let name = clip(parent.as_str());
            reader.note(
                Diagnostic::error(format!("`{name}` is the route's own pool, and cannot be its `parent`"))
                    .at(link.parent.clone().unwrap_or_else(|| link.at.clone()))
                    .with_expected("expected a pool of cache nodes")
                    .with_help("leave `parent` out to ask the route's own pool"),
            );
        }
    }
}

fn servers_take_requests(pool: &Pool, link: &PoolLink, reader: &Reader) {
    if pool.backends.is_empty()
        || pool.discover.is_some()
        || pool.backends.iter().any(|backend| !backend.backup && backend.weight > 0)
    {
        return;
    }
    reader.note(
        Diagnostic::error(format!("no server of pool `{}` takes requests", clip(pool.name.as_str())))
            .at(link.backends.clone())
            .with_expected("expected one that is no backup, and has a weight above zero"),
    );
}

/// Notes pools without use.
pub(super) fn are_used(config: &Config, links: &Links, reader: &Reader) {
    let used: HashSet<&str> = links.pool_uses.iter().map(|(name, _)| name.as_str()).collect();
    for (pool, link) in config.pools.iter().zip(&links.pools) {
        if !used.contains(pool.name.as_str()) {
            reader.note(
                Diagnostic::warning(format!("nothing sends requests to pool `{}`", pool.name))
                    .at(link.at.clone())
                    .with_expected("no listener and no route names it"),
            );
        }
    }
}
