//! Reads `[[route]]`, and names those routes that have no name of their own.

use std::collections::HashSet;

use evenkeel_types::{ListenerName, RouteName};

use super::RouteLink;
use super::condition::{self, REGEXES_MAX};
use super::table::Table;
use super::text::network;
use super::value::Value;
use super::{action, edits, limit, protect, retry};
use crate::diagnostic::Diagnostic;
use crate::model::{Action, HostMatch, PathMatch, Route, RouteTimeout};

/// A derived name is cut here.
const DERIVED_NAME_MAX: usize = 120;

/// All routes, in file order.
pub(super) fn read_all(root: &Table<'_>) -> Vec<Route> {
    let tables = root.value("route").map(|value| value.tables()).unwrap_or_default();
    let mut regexes = 0;
    let mut routes: Vec<Route> = tables
        .iter()
        .map(|table| {
            regexes += usize::from(table.has("path_regex"));
            read(table, regexes <= REGEXES_MAX)
        })
        .collect();
    name_all(&mut routes);
    routes
}

/// The name of a route that has none of its own. It holds a `/` or a `~`, which no written name does.
pub(crate) fn is_derived(name: &RouteName) -> bool {
    name.as_str().contains(['/', '~'])
}

fn read(table: &Table<'_>, regex_allowed: bool) -> Route {
    let name = table.value("name").and_then(|value| value.name());
    let listeners = table.list("listener", |value| {
        let name = value.name()?;
        table.reader.links().listener_uses.push((name.into(), value.span.clone()));
        Some(ListenerName::from(name))
    });
    let path = condition::path(table, regex_allowed);
    let action = action::read(table);
    note_what_needs_a_pool(table, action.as_ref());
    let (retry, hedge) = retry::read(table);
    let request_headers = edits::read(table, edits::Side::Request);
    let route = Route {
        name: name.unwrap_or_default().into(),
        listeners,
        hosts: condition::hosts(table),
        methods: condition::methods(table),
        headers: condition::headers(table),
        query: condition::query(table),
        clients: table.list("client", |value| value.read(network)),
        rewrite: action::rewrite(table, &path),
        path,
        // A route without an action is a fault that was noted: this stands for it, and is never used.
        action: action.unwrap_or(Action::Split(Vec::new())),
        deadline_header: retry::deadline_header(table, &request_headers),
        request_headers,
        response_headers: edits::read(table, edits::Side::Response),
        priority: protect::priority(table),
        timeout: table.with("timeout", |timeout| RouteTimeout {
            request: timeout
                .value("request")
                .filter(|value| !value.is_word("off"))
                .and_then(|value| value.duration()),
            idle: timeout.duration("idle"),
        }),
        retry,
        hedge,
        rate_limits: limit::rate_limits(table),
        limits: limit::route(table),
        mirror: limit::mirror(table),
    };
    retry::check_hedge(&route, table);
    limit::check_mirror(&route, table);
    let name = table.value("name").map(|value: Value<'_>| value.span);
    let deadline_header = table.key_span("deadline_header");
    table.reader.links().routes.push(RouteLink { at: table.at.clone(), name, deadline_header });
    route
}

/// A redirect and an answer of our own reach no server.
fn note_what_needs_a_pool(table: &Table<'_>, action: Option<&Action>) {
    let own = match action {
        Some(Action::Redirect(_)) => "redirect",
        Some(Action::Respond(_)) => "respond",
        Some(Action::Pool(_) | Action::Split(_)) | None => return,
    };
    for key in ["rewrite", "request_headers", "timeout", "retry", "hedge", "deadline_header", "mirror"] {
        if let Some(span) = table.key_span(key) {
            table.reader.note(
                Diagnostic::warning(format!("`{key}` has no effect beside `{own}`, which reaches no server"))
                    .at(span)
                    .with_expected("has no effect"),
            );
        }
    }
}

/// Gives a name to those that have none: what they match, made unique with `#2`, `#3`.
fn name_all(routes: &mut [Route]) {
    let mut taken: HashSet<String> = routes.iter().map(|route| route.name.to_string()).collect();
    let mut repeats = std::collections::HashMap::<String, u32>::new();
    for route in routes.iter_mut().filter(|route| route.name.as_str().is_empty()) {
        let base = derive(route);
        let count = repeats.entry(base.clone()).or_insert(0);
        let name = loop {
            *count += 1;
            let name = if *count == 1 { base.clone() } else { format!("{base}#{count}") };
            if taken.insert(name.clone()) {
                break name;
            }
        };
        route.name = name.into();
    }
}

/// `METHODS HOST PATH`, as in `GET,POST shop.example.com/api/*`.
fn derive(route: &Route) -> String {
    let mut out = String::new();
    if !route.methods.is_empty() {
        out.push_str(&route.methods.join(","));
        out.push(' ');
    }
    match route.hosts.first() {
        Some(HostMatch::Exact(host)) => out.push_str(host),
        Some(HostMatch::Wildcard(suffix)) => out.push_str(&format!("*{suffix}")),
        None => {}
    }
    if route.hosts.len() > 1 {
        out.push_str(&format!("+{}", route.hosts.len() - 1));
    }
    out.push_str(&match &route.path {
        PathMatch::Regex(regex) => format!("~{}", condition::written(regex).escape_debug()),
        path => condition::show_path(path),
    });
    if out.len() > DERIVED_NAME_MAX {
        // What names a derived name for what it is must not be cut off.
        out = out.chars().take(DERIVED_NAME_MAX).collect::<String>() + "~";
    }
    out
}
