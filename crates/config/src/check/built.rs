//! Checks a configuration that was built by code.

use evenkeel_types::Address;

use super::check;
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::model::{Action, Config};
use crate::read::{Links, PoolLink, Reader, RouteLink};

impl Config {
    /// Checks a configuration that was built by code as one that was read: what does not fit together, or has no effect.
    ///
    /// # Errors
    /// All faults at once, warnings among them.
    pub fn check(&self) -> Result<Diagnostics, Diagnostics> {
        built(self, "the configuration", "", Links::of(self))
    }
}

/// Checks a configuration that was built by code. `text` is where `links` lead; without one they lead nowhere.
pub(crate) fn built(
    config: &Config,
    name: &str,
    text: &str,
    links: Links,
) -> Result<Diagnostics, Diagnostics> {
    let reader = Reader::default();
    *reader.links() = links;
    check(config, &reader);
    let faults = reader.into_faults();
    let faults = if text.is_empty() { faults.into_iter().map(Diagnostic::nowhere).collect() } else { faults };
    let faults = Diagnostics::new(name, text, faults);
    if faults.has_errors() { Err(faults) } else { Ok(faults) }
}

impl Links {
    /// Those of a configuration that was built by code: all of them stand nowhere.
    pub(crate) fn of(config: &Config) -> Self {
        const NOWHERE: Span = 0..0;
        let mut links = Self::default();
        for listener in &config.listeners {
            links.listeners.push(NOWHERE);
            let bind = |address: &Address| (address.clone(), NOWHERE, listener.name.to_string());
            links.binds.extend(listener.bind.iter().map(bind));
            let passed = listener.tls.iter().flat_map(|tls| tls.passthrough.iter().map(|it| &it.pool));
            let pools = listener.pool.iter().chain(passed);
            links.pool_uses.extend(pools.map(|pool| (pool.to_string(), NOWHERE)));
        }
        for pool in &config.pools {
            let servers = vec![NOWHERE; pool.backends.len()];
            let (keys, unnamed_check) = (Vec::new(), None);
            links.pools.push(PoolLink { at: NOWHERE, backends: NOWHERE, servers, keys, unnamed_check });
        }
        for route in &config.routes {
            let (name, deadline_header, parent, keys) = (None, None, None, Vec::new());
            links.routes.push(RouteLink { at: NOWHERE, name, deadline_header, parent, keys });
            links.listener_uses.extend(route.listeners.iter().map(|name| (name.to_string(), NOWHERE)));
            let pools = match &route.action {
                Action::Pool(pool) => vec![pool],
                Action::Split(shares) => shares.iter().map(|(pool, _)| pool).collect(),
                Action::Redirect(_) | Action::Respond(_) | Action::Files(_) => Vec::new(),
            };
            let parent = route.cache.as_ref().and_then(|cache| cache.parent.as_ref());
            let others = route.mirror.as_ref().map(|mirror| &mirror.pool).into_iter().chain(parent);
            let pools = pools.into_iter().chain(others);
            links.pool_uses.extend(pools.map(|pool| (pool.to_string(), NOWHERE)));
            let shared = route.rate_limits.iter().filter(|limit| limit.shared);
            links.shared_limits.extend(shared.map(|_| NOWHERE));
            let head = route.limits.request_head.map(|max| ("request_head", max));
            let narrowed = head.into_iter().chain(route.limits.headers.map(|max| ("headers", max)));
            links.narrowed.extend(narrowed.map(|(key, max)| (key, max as u64, NOWHERE)));
        }
        links.redis = config.redis.as_ref().map(|_| NOWHERE);
        links
    }
}
