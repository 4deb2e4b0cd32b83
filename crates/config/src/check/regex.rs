//! Routes with a `path_regex` that never get a request: a prefix comes before every regex, and `/*` takes all paths.

use std::collections::HashMap;

use evenkeel_types::ListenerName;

use crate::diagnostic::Diagnostic;
use crate::model::{Config, PathMatch, Route};
use crate::read::{Links, Reader};
use crate::settings::Text;

/// Notes the routes whose every request goes to routes that take all paths. What it notes is certain.
pub(super) fn regexes_can_match(config: &Config, links: &Links, reader: &Reader) {
    let catch_alls = CatchAlls::of(&config.routes);
    for (route, link) in config.routes.iter().zip(&links.routes) {
        if !matches!(route.path, PathMatch::Regex(_)) {
            continue;
        }
        let Some(winner) = catch_alls.winner_over(route, config) else { continue };
        reader.note(
            Diagnostic::warning(format!("route `{}` never gets a request", route.name))
                .at(link.at.clone())
                .with_expected(format!("route `{}` takes every path, before any `path_regex`", winner.name))
                .with_help(
                    "let the listener's `pool` take the rest, or write the rest as `path_regex = \"/.*\"` \
                     below this route",
                ),
        );
    }
}

/// The routes that take every request to their listeners and hosts, by one of each. No listener is every listener
/// in a rank of its own, below the named ones; the pattern `""` is every host.
struct CatchAlls<'c>(HashMap<(Option<&'c ListenerName>, String), &'c Route>);

impl<'c> CatchAlls<'c> {
    fn of(routes: &'c [Route]) -> Self {
        let mut all = HashMap::new();
        for route in routes.iter().filter(|route| takes_every_path(route)) {
            for listener in listeners(route) {
                for host in hosts(route) {
                    all.entry((listener, host)).or_insert(route);
                }
            }
        }
        Self(all)
    }

    fn get(&self, listener: Option<&'c ListenerName>, host: &str) -> Option<&'c Route> {
        self.0.get(&(listener, host.to_owned())).copied()
    }

    /// One of the routes that together take every request that `route` matches, if there are such.
    fn winner_over(&self, route: &'c Route, config: &'c Config) -> Option<&'c Route> {
        let hosts = hosts(route);
        // Within a rank the host decides before the path: only the same pattern comes first, and always does.
        let peers = listeners(route).into_iter().flat_map(|l| hosts.iter().map(move |h| self.get(l, h)));
        let by_peers = peers.collect::<Option<Vec<_>>>();
        let winners = by_peers.or_else(|| {
            if !route.listeners.is_empty() {
                return None;
            }
            // Whatever names the listener comes before, so that a pattern may be wider there.
            let named = config.listeners.iter().flat_map(|l| hosts.iter().map(move |h| (&l.name, h)));
            named.map(|(l, host)| self.named(l, host).or_else(|| self.get(None, host))).collect()
        });
        winners?.first().copied()
    }

    /// A route that names `listener` and takes all hosts that `host` stands for.
    fn named(&self, listener: &'c ListenerName, host: &str) -> Option<&'c Route> {
        let wider = host.match_indices('.').map(|(at, _)| format!("*{}", &host[at..]));
        let patterns = [host.to_owned(), String::new()].into_iter().chain(wider);
        patterns.into_iter().find_map(|pattern| self.get(Some(listener), &pattern))
    }
}

fn takes_every_path(route: &Route) -> bool {
    let Route { path, methods, headers, query, clients, .. } = route;
    matches!(path, PathMatch::Prefix(prefix) if prefix == "/")
        && methods.is_empty()
        && headers.is_empty()
        && query.is_empty()
        && clients.is_empty()
}

fn listeners(route: &Route) -> Vec<Option<&ListenerName>> {
    if route.listeners.is_empty() { vec![None] } else { route.listeners.iter().map(Some).collect() }
}

fn hosts(route: &Route) -> Vec<String> {
    if route.hosts.is_empty() { vec![String::new()] } else { route.hosts.iter().map(Text::written).collect() }
}
