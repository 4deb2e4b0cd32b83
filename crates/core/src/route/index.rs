//! Maps from host and path to the routes that name them, walked from the most specific to the least.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use evenkeel_config::{HostMatch, PathMatch, Route};

/// Keyed at random, and fast on short keys. The keys come from the configuration; requests only look them up.
type Map<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;

/// How closely a route's host and path fit a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Specificity {
    host: HostFit,
    path: PathFit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostFit {
    Exact,
    Wildcard,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathFit {
    Exact,
    Prefix,
    Regex,
    Any,
}

impl Specificity {
    /// Any host, any path.
    pub(super) const LEAST: Self = Self { host: HostFit::Any, path: PathFit::Any };

    /// Of a connection, which has a server name and no path.
    pub(super) fn of_names(self) -> String {
        let name = match self.host {
            HostFit::Exact => "exact server name",
            HostFit::Wildcard => "wildcard server name",
            HostFit::Any => "any server name, or none",
        };
        name.into()
    }
}

impl fmt::Display for Specificity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.host {
            HostFit::Exact => "exact host",
            HostFit::Wildcard => "wildcard host",
            HostFit::Any => "any host",
        })?;
        f.write_str(match self.path {
            PathFit::Exact => ", exact path",
            PathFit::Prefix => ", path prefix",
            PathFit::Regex => ", path regex",
            PathFit::Any => ", any path",
        })
    }
}

/// The routes of one listener, or those of no listener in particular.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: Map<Paths>,
    wildcard: ByLength<Paths>,
    any: Paths,
}

impl Index {
    /// Indexes `members`, which come ranked: those of equal host and path are tried in this order.
    pub(super) fn new(routes: &[Route], members: impl Iterator<Item = usize>) -> Self {
        let mut index = Self::default();
        for i in members {
            let path = &routes[i].path;
            for host in &routes[i].hosts {
                match host {
                    HostMatch::Exact(name) => index.exact.entry(name.as_str().into()).or_default(),
                    HostMatch::Wildcard(suffix) => index.wildcard.entry(suffix),
                }
                .insert(i, path);
            }
            if routes[i].hosts.is_empty() {
                index.any.insert(i, path);
            }
        }
        index
    }

    /// Shows `visit` the routes that match host and path, the most specific first.
    pub(super) fn search<T>(
        &self,
        routes: &[Route],
        host: &str,
        path: &str,
        visit: &mut impl FnMut(usize, Specificity) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        if !self.exact.is_empty()
            && let Some(paths) = self.exact.get(host)
        {
            paths.search(routes, path, HostFit::Exact, visit)?;
        }
        for &length in &self.wildcard.lengths {
            // A wildcard stands for at least one character before the dot.
            let Some(start) = host.len().checked_sub(length).filter(|&start| start > 0) else { continue };
            if host.as_bytes()[start] == b'.'
                && let Some(paths) = self.wildcard.map.get(&host[start..])
            {
                paths.search(routes, path, HostFit::Wildcard, visit)?;
            }
        }
        self.any.search(routes, path, HostFit::Any, visit)
    }
}

/// The routes of one host pattern.
#[derive(Debug, Default)]
struct Paths {
    exact: Map<Vec<usize>>,
    prefix: ByLength<Vec<usize>>,
    /// Prefix `/`: every path, `*` included.
    root: Vec<usize>,
    regex: Vec<usize>,
}

impl Paths {
    fn insert(&mut self, route: usize, path: &PathMatch) {
        let list = match path {
            PathMatch::Exact(path) => self.exact.entry(path.as_str().into()).or_default(),
            PathMatch::Prefix(path) if path == "/" => &mut self.root,
            PathMatch::Prefix(path) => self.prefix.entry(path),
            PathMatch::Regex(_) => &mut self.regex,
        };
        // A pattern written twice in a route is one candidate.
        if list.last() != Some(&route) {
            list.push(route);
        }
    }

    fn search<T>(
        &self,
        routes: &[Route],
        path: &str,
        host: HostFit,
        visit: &mut impl FnMut(usize, Specificity) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let mut each = |list: &[usize], path| {
            list.iter().try_for_each(|&route| visit(route, Specificity { host, path }))
        };
        if !self.exact.is_empty()
            && let Some(list) = self.exact.get(path)
        {
            each(list, PathFit::Exact)?;
        }
        for &length in &self.prefix.lengths {
            // Whole segments only: `/api` is no prefix of `/apix`.
            if length <= path.len()
                && matches!(path.as_bytes().get(length), None | Some(b'/'))
                && let Some(list) = self.prefix.map.get(&path[..length])
            {
                each(list, PathFit::Prefix)?;
            }
        }
        each(&self.root, PathFit::Any)?;
        for &route in &self.regex {
            if let PathMatch::Regex(regex) = &routes[route].path
                && regex.is_match(path)
            {
                each(&[route], PathFit::Regex)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// A map with the distinct lengths of its keys, longest first. A lookup by prefix or suffix tries these lengths and
/// no other, so its cost is bounded by the configuration and not by how long a request's path or host is.
#[derive(Debug)]
struct ByLength<V> {
    map: Map<V>,
    lengths: Vec<usize>,
}

impl<V> Default for ByLength<V> {
    fn default() -> Self {
        Self { map: Map::default(), lengths: Vec::new() }
    }
}

impl<V: Default> ByLength<V> {
    fn entry(&mut self, key: &str) -> &mut V {
        if let Err(at) = self.lengths.binary_search_by(|length| key.len().cmp(length)) {
            self.lengths.insert(at, key.len());
        }
        self.map.entry(key.into()).or_default()
    }
}
