//! Which route takes a request: the most specific one that matches, found through maps rather than by trying each.

mod conditions;
mod destinations;
mod host;
mod index;
mod path;
mod rewrite;
mod slashes;
mod split;
mod trace;
mod uses;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::cmp::Reverse;
use std::net::IpAddr;
use std::ops::{ControlFlow, Range};

use evenkeel_config::{Action, Config, HostMatch, Listener, PathMatch, Rewrite, Route};
use evenkeel_types::{ListenerName, RouteName};

pub use host::{HostRefused, parse_host};
pub(crate) use path::with_slashes;
pub use path::{PathRefused, RequestPath, normalise};
pub(crate) use rewrite::below;
pub use rewrite::{https_location, location, rewrite, stripped};
pub use slashes::forwarded;
pub use split::{choose, is_sampled};
pub use trace::{Considered, Trace, Verdict};
pub use uses::{Uses, hedges_by_latency};

use conditions::{Mismatch, conditions};
use destinations::Destinations;
use index::{Index, Specificity};

/// What a route may depend on. Each is asked for only when a candidate has a condition on it.
pub trait Facts {
    /// As sent; methods are case-sensitive.
    fn method(&self) -> &str;
    /// In lower case, without port or trailing dot, as [`parse_host`] returns it; `""` when absent.
    fn host(&self) -> &str;
    /// In normal form, as [`RequestPath`] has it.
    fn path(&self) -> &str;
    /// Without the `?`, as sent.
    fn query(&self) -> Option<&str>;
    /// The client's address, as far as it is believed.
    fn client(&self) -> IpAddr;
    /// Whether one field named `name` (lower case) has exactly this value.
    fn has_header(&self, name: &str, value: &str) -> bool;
}

/// All routes of a configuration, indexed for every listener.
///
/// The most specific route wins, in the order of the Kubernetes Gateway API: a named listener over none; an exact
/// host over a wildcard, a longer wildcard over a shorter one, over none; an exact path over a longer prefix, over
/// a shorter one, over a regex; then a method, more headers, more query conditions; then the order of the file. A
/// candidate that fails on method, headers, query or client leaves the request to the next less specific one.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    listeners: Vec<Scope>,
    /// Those made from the `tls.passthrough` of listeners.
    passthrough: Range<usize>,
    /// The routes that name no listener.
    shared: Index,
    names: foldhash::HashSet<RouteName>,
    destinations: Destinations,
    uses: Uses,
}

/// What belongs to one listener alone.
#[derive(Debug)]
struct Scope {
    name: ListenerName,
    named: Index,
    /// On a listener of HTTP: the names whose TLS passes through.
    passed: Index,
    /// The route made from the listener's own `pool`, tried last.
    fallback: Option<usize>,
    is_layer4: bool,
    /// Some route here depends on the server name that a client asks for.
    reads_hello: bool,
}

impl RouteTable {
    /// Indexes the routes of `config`. Patterns are brought to the normal form that requests are matched in.
    pub fn new(config: &Config) -> Self {
        let mut routes: Vec<Route> = config.routes.iter().map(normal_form).collect();
        let mut ranked: Vec<usize> = (0..routes.len()).collect();
        // Stable: the order of the file decides last.
        ranked.sort_by_key(|&i| {
            let route = &routes[i];
            // A condition on the client counts where there are no others.
            let by_client = route.is_layer4 && !route.clients.is_empty();
            Reverse((!route.methods.is_empty(), route.headers.len(), route.query.len(), by_client))
        });
        let first = routes.len();
        for listener in &config.listeners {
            routes.extend(passthrough_routes(listener));
        }
        // They come first: the name that passes through is not one that a route is to have.
        let passthrough = first..routes.len();
        let ranked: Vec<usize> = passthrough.clone().chain(ranked).collect();
        let index = |wanted: &dyn Fn(&Route) -> bool| {
            Index::new(&routes, ranked.iter().copied().filter(|&i| wanted(&routes[i])))
        };
        let shared = index(&|route| route.listeners.is_empty());
        let mut listeners: Vec<Scope> = config
            .listeners
            .iter()
            .map(|listener| {
                let (name, is_layer4) = (listener.name.clone(), listener.is_layer4());
                let is_here = |route: &Route| route.listeners.contains(&name);
                // Of HTTP, what passes through is looked for before there is a request.
                let named = index(&|route| is_here(route) && route.is_layer4 == is_layer4);
                let passed = index(&|route| is_here(route) && route.is_layer4 && !is_layer4);
                let by_name = |route: &Route| is_here(route) && route.is_layer4 && !route.hosts.is_empty();
                let reads_hello = routes.iter().any(by_name);
                Scope { name, named, passed, fallback: None, is_layer4, reads_hello }
            })
            .collect();
        for (listener, scope) in config.listeners.iter().zip(&mut listeners) {
            let Some(pool) = &listener.pool else { continue };
            let fallback = fallback_route(&listener.name, Action::Pool(pool.clone()));
            scope.fallback = Some(routes.len());
            routes.push(Route { is_layer4: scope.is_layer4, ..fallback });
        }
        let (destinations, uses) = (Destinations::of(config, &routes), Uses::of(config));
        let names = routes.iter().map(|route| route.name.clone()).collect();
        Self { routes, listeners, passthrough, shared, names, destinations, uses }
    }

    /// Whether there is a route with this name.
    pub fn has(&self, name: &RouteName) -> bool {
        self.names.contains(name)
    }

    /// The pools that the routes lead to, as positions in `config.pools`.
    #[inline]
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// What some of the routes use.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// True if a listener must know the server name that a client asks for, before anything else.
    pub fn reads_hello(&self, listener: usize) -> bool {
        self.listeners.get(listener).is_some_and(|scope| scope.reads_hello)
    }

    /// The route by which a connection to a listener of HTTP passes through to servers that terminate its TLS.
    pub fn find_passthrough(&self, listener: usize, facts: &impl Facts) -> Option<usize> {
        let passed = &self.listeners.get(listener)?.passed;
        let found = passed
            .search(&self.routes, facts.host(), facts.path(), &mut |route, _| ControlFlow::Break(route));
        found.break_value()
    }

    /// True if connections of this route are passed on without terminating their TLS although the listener has certificates.
    pub fn is_passthrough(&self, route: usize) -> bool {
        self.passthrough.contains(&route)
    }

    /// The route that takes this request; `None` is a 404. `listener` is an index into `config.listeners`.
    pub fn find(&self, listener: usize, facts: &impl Facts) -> Option<usize> {
        let found = self.search(listener, facts, |route, _, outcome| match outcome {
            Ok(()) => ControlFlow::Break(route),
            Err(_) => ControlFlow::Continue(()),
        });
        found.break_value()
    }

    /// The route at an index that [`find`](Self::find) returned.
    ///
    /// # Panics
    /// When `route` is not below [`len`](Self::len).
    pub fn route(&self, route: usize) -> &Route {
        &self.routes[route]
    }

    /// All routes: those of the configuration in file order, then those made from listeners' pools.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route at all.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Shows `visit` each route whose listener, host and path match, the most specific first, and whether its
    /// other conditions hold, until it breaks.
    fn search<F: Facts, T>(
        &self,
        listener: usize,
        facts: &F,
        mut visit: impl FnMut(usize, Specificity, Result<(), Mismatch>) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let Some(scope) = self.listeners.get(listener) else { return ControlFlow::Continue(()) };
        let mut visit = |route: usize, by| visit(route, by, conditions(&self.routes[route], facts));
        scope.named.search(&self.routes, facts.host(), facts.path(), &mut visit)?;
        if !scope.is_layer4 {
            self.shared.search(&self.routes, facts.host(), facts.path(), &mut visit)?;
        }
        match scope.fallback {
            Some(route) => visit(route, Specificity::LEAST),
            None => ControlFlow::Continue(()),
        }
    }
}

/// A route whose patterns are written as requests are: hosts as [`parse_host`] returns them, paths as
/// [`RequestPath`] has them. A pattern without such a form stays as it is and matches nothing.
fn normal_form(route: &Route) -> Route {
    let mut route = route.clone();
    if route.is_layer4 {
        // A connection's server name is found as a request's host is.
        route.hosts = route.snis.clone();
    }
    for host in &mut route.hosts {
        if let HostMatch::Exact(name) = host {
            *name = host::of_pattern(name);
        }
    }
    if let PathMatch::Exact(path) | PathMatch::Prefix(path) = &mut route.path {
        *path = path::of_pattern(path);
    }
    match &mut route.rewrite {
        Some(Rewrite::StripPrefix(path) | Rewrite::ReplacePrefix(path) | Rewrite::ReplacePath(path)) => {
            *path = path::of_pattern(path);
        }
        None => {}
    }
    route
}

/// The routes that `tls.passthrough` stands for.
fn passthrough_routes(listener: &Listener) -> impl Iterator<Item = Route> {
    let passed = listener.tls.iter().flat_map(|tls| &tls.passthrough);
    passed.enumerate().map(|(at, passed)| {
        let number = if at == 0 { String::new() } else { format!("#{}", at + 1) };
        let route = Route {
            name: RouteName::from(format!("passthrough:{}{number}", listener.name)),
            listeners: vec![listener.name.clone()],
            snis: passed.snis.clone(),
            is_layer4: true,
            ..Route::new(Action::Pool(passed.pool.clone()))
        };
        normal_form(&route)
    })
}

fn fallback_route(listener: &ListenerName, action: Action) -> Route {
    Route {
        name: RouteName::from(format!("listener:{listener}")),
        listeners: vec![listener.clone()],
        ..Route::new(action)
    }
}
