//! Why a request goes where it goes: each route, with the reason why it won or did not.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use evenkeel_config::{HostMatch, PathMatch, Route};

use super::conditions::explain_but;
use super::{Facts, RouteTable};

/// What became of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the request.
    Won,
    /// It matches, but a more specific route does too.
    LessSpecific,
    /// It does not match.
    Refused,
}

/// One route, as the request met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Index of the route, as [`RouteTable::route`] takes it.
    pub route: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
}

/// How a request found its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What [`RouteTable::find`] returns.
    pub winner: Option<usize>,
    /// All routes: first those whose listener, host and path match, the most specific first; then the others, the
    /// nearest first.
    pub considered: Vec<Considered>,
}

impl RouteTable {
    /// The search that [`find`](Self::find) does, with every step instead of stopping at the winner.
    pub fn trace(&self, listener: usize, facts: &impl Facts) -> Trace {
        let mut considered = self.near(listener, facts, usize::MAX, |_| false);
        let winner = considered.iter().find(|route| route.verdict == Verdict::Won).map(|won| won.route);
        let mut seen = vec![false; self.len()];
        considered.iter().for_each(|near| seen[near.route] = true);
        considered.extend(self.others(listener, facts, |route| seen[route], usize::MAX));
        Trace { winner, considered }
    }

    /// What [`trace`](Self::trace) begins with, at the cost of [`find`](Self::find): the routes whose listener, host and path
    /// match, the most specific first, and at most `max` of them. `is_secret` says whether the value of a field or query
    /// parameter of that name is to be left out of the reasons.
    pub fn near(
        &self,
        listener: usize,
        facts: &impl Facts,
        max: usize,
        is_secret: impl Fn(&str) -> bool,
    ) -> Vec<Considered> {
        let (mut winner, mut near): (Option<usize>, Vec<Considered>) = (None, Vec::new());
        let is_layer4 = self.listeners.get(listener).is_some_and(|scope| scope.is_layer4);
        let _ = self.search(listener, facts, |route, specificity, outcome| {
            // A route with several hosts may match by more than one of them.
            if near.iter().any(|before| before.route == route) {
                return ControlFlow::Continue(());
            }
            let (verdict, reason) = match (outcome, winner) {
                (Ok(()), None) => {
                    winner = Some(route);
                    let by = if is_layer4 { specificity.of_names() } else { specificity.to_string() };
                    (Verdict::Won, format!("the most specific match: {by}"))
                }
                (Ok(()), Some(won)) => {
                    let won = &self.route(won).name;
                    (Verdict::LessSpecific, format!("matches, but `{won}` is more specific"))
                }
                (Err(refusal), _) => {
                    (Verdict::Refused, explain_but(self.route(route), refusal, facts, &is_secret))
                }
            };
            near.push(Considered { route, verdict, reason });
            if near.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        near
    }

    /// The routes whose listener, host or path does not match, the nearest first, and at most `max` of them. `is_known` says
    /// which routes are left out, because they match. Looks at all routes.
    pub fn others(
        &self,
        listener: usize,
        facts: &impl Facts,
        is_known: impl Fn(usize) -> bool,
        max: usize,
    ) -> Vec<Considered> {
        let mut others: Vec<usize> = (0..self.len()).filter(|&route| !is_known(route)).collect();
        others.sort_by_cached_key(|&route| Reverse(self.nearness(listener, route, facts)));
        others.truncate(max);
        let consider = |route| {
            let reason = self.why_not_found(listener, route, facts);
            Considered { route, verdict: Verdict::Refused, reason }
        };
        others.into_iter().map(consider).collect()
    }

    /// How near a route comes that the search does not find: its listener, its host, and how much of its path.
    fn nearness(&self, listener: usize, route: usize, facts: &impl Facts) -> (bool, bool, usize) {
        let here = self.listeners.get(listener).map(|scope| &scope.name);
        let route = self.route(route);
        let is_here = route.listeners.is_empty() || route.listeners.iter().any(|name| Some(name) == here);
        let is_host = route.hosts.is_empty() || route.hosts.iter().any(|host| host_fits(host, facts.host()));
        let path = match &route.path {
            PathMatch::Exact(path) | PathMatch::Prefix(path) => path.as_str(),
            PathMatch::Regex(_) => "",
        };
        let shared = path.bytes().zip(facts.path().bytes()).take_while(|(one, other)| one == other).count();
        (is_here, is_host, shared)
    }

    /// Names what keeps a route out of the search's way: its listener, its host or its path.
    fn why_not_found(&self, listener: usize, route: usize, facts: &impl Facts) -> String {
        let scope = self.listeners.get(listener);
        let here = scope.map(|scope| &scope.name);
        let route = self.route(route);
        if scope.is_some_and(|scope| scope.is_layer4) && route.listeners.is_empty() {
            return "only for requests of HTTP".into();
        }
        if !route.listeners.is_empty() && !route.listeners.iter().any(|name| Some(name) == here) {
            let names: Vec<&str> = route.listeners.iter().map(|name| name.as_str()).collect();
            return format!("only for listener `{}`", names.join("` or `"));
        }
        if route.is_layer4 && !route.hosts.is_empty() {
            let asked = match facts.host() {
                "" => "no name".into(),
                name => format!("`{name}`"),
            };
            return format!("the client asks for {asked}, not for {}", host_patterns(route));
        }
        if !route.hosts.is_empty() && !route.hosts.iter().any(|host| host_fits(host, facts.host())) {
            return format!("the host is `{}`, not {}", facts.host(), host_patterns(route));
        }
        match &route.path {
            PathMatch::Exact(path) => format!("the path is `{}`, not `{path}`", facts.path()),
            PathMatch::Prefix(path) => format!("the path `{}` is not `{path}` or below it", facts.path()),
            PathMatch::Regex(regex) => {
                format!("the path `{}` does not match the regex `{regex}`", facts.path())
            }
        }
    }
}

fn host_fits(pattern: &HostMatch, host: &str) -> bool {
    match pattern {
        HostMatch::Exact(name) => name == host,
        HostMatch::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
    }
}

fn host_patterns(route: &Route) -> String {
    let patterns: Vec<String> = route
        .hosts
        .iter()
        .map(|host| match host {
            HostMatch::Exact(name) => format!("`{name}`"),
            HostMatch::Wildcard(suffix) => format!("`*{suffix}`"),
        })
        .collect();
    patterns.join(" or ")
}
