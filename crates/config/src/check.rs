//! What only shows once all of the file is read: names that lead nowhere, things that collide, things without use.

mod built;
mod datagrams;
mod limits;
mod pools;
mod records;
mod regex;
mod streams;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use evenkeel_types::Address;

use crate::diagnostic::{Diagnostic, Span};
use crate::model::{Action, Config, DeadlineHeader, PathMatch, Route, is_derived, show_path};
use crate::nearest::nearest;
use crate::read::{Links, Reader};
use crate::settings::Text;

pub(crate) use built::built;

/// Notes whatever does not fit together.
pub(crate) fn check(config: &Config, reader: &Reader) {
    let links = std::mem::take(&mut *reader.links());
    pools::check(config, &links, reader);
    listeners_exist(config, &links, reader);
    binds_are_unique(config, &links, reader);
    route_names_are_unique(config, &links, reader);
    deadline_headers_are_free(config, &links, reader);
    something_answers(config, reader);
    limits::check(config, &links, reader);
    streams::check(config, &links, reader);
    // What is faulty was left out of the configuration: what then seems to be without use need not be.
    if !reader.has_errors() {
        pools::are_used(config, &links, reader);
        routes_can_match(config, &links, reader);
        regex::regexes_can_match(config, &links, reader);
        records::check(config, &links, reader);
        listeners_are_used(config, &links, reader);
        redirects_lead_somewhere(config, &links, reader);
    }
}

fn listeners_exist(config: &Config, links: &Links, reader: &Reader) {
    let names = || config.listeners.iter().map(|listener| listener.name.as_str());
    let known: HashSet<&str> = names().collect();
    for (name, span) in links.listener_uses.iter().filter(|(name, _)| !known.contains(name.as_str())) {
        unknown("listener", name, span, names(), reader);
    }
}

fn unknown<'a>(what: &str, name: &str, span: &Span, known: impl Iterator<Item = &'a str>, reader: &Reader) {
    let fault = Diagnostic::error(format!("there is no {what} `{name}`"))
        .at(span.clone())
        .with_expected(format!("expected the NAME of a `[{what}.NAME]`"));
    let meant = if reader.is_full() { None } else { nearest(name, known) };
    reader.note(match meant {
        Some(meant) => fault.with_help(format!("did you mean `{meant}`?")),
        None => fault.with_help(format!("add `[{what}.{name}]`")),
    });
}

fn binds_are_unique(config: &Config, links: &Links, reader: &Reader) {
    let mut taken: HashSet<Address> = HashSet::new();
    let mut taken_by_udp: HashSet<Address> = HashSet::new();
    let is_udp = |name: &str| config.listeners.iter().any(|it| it.name.as_str() == name && it.is_udp());
    for (address, span, listener) in &links.binds {
        // A port of TCP and one of UDP have nothing to do with each other.
        let taken = if is_udp(listener) { &mut taken_by_udp } else { &mut taken };
        if is_chosen_by_kernel(address) || taken.insert(canonical(address)) {
            continue;
        }
        reader.note(
            Diagnostic::error(format!("`{address}` is bound twice"))
                .at(span.clone())
                .with_expected("bound before: an address can be bound only once"),
        );
    }
    let Some(admin) = config.admin.bind.as_ref().filter(|admin| taken.contains(&canonical(admin))) else {
        return;
    };
    let message = format!("the admin API and a listener both bind `{admin}`");
    match &links.admin_bind {
        Some(span) => reader
            .note(Diagnostic::error(message).at(span.clone()).with_expected("a listener binds it already")),
        None => {
            let is_taken = |address: &Address| canonical(address) == canonical(admin);
            let bound = links.binds.iter().find(|(address, _, by)| is_taken(address) && !is_udp(by));
            let Some((_, span, _)) = bound else { return };
            reader.note(
                Diagnostic::warning(message)
                    .at(span.clone())
                    .with_expected("the admin API's default address")
                    .with_help(
                        "give the admin API another one: `[admin]` `bind = \"127.0.0.1:9901\"`, or \"off\"",
                    ),
            );
        }
    }
}

fn is_chosen_by_kernel(address: &Address) -> bool {
    matches!(address, Address::Ip(address) if address.port() == 0)
}

/// `[::]` takes IPv4 as well, so that it collides with `0.0.0.0`.
fn canonical(address: &Address) -> Address {
    match address {
        // Within a zone of its own.
        Address::Ip(SocketAddr::V6(socket)) if socket.scope_id() != 0 => address.clone(),
        Address::Ip(socket) => {
            let ip = socket.ip().to_canonical();
            let ip = if ip.is_unspecified() { IpAddr::from([0, 0, 0, 0]) } else { ip };
            Address::Ip(SocketAddr::new(ip, socket.port()))
        }
        other => other.clone(),
    }
}

fn route_names_are_unique(config: &Config, links: &Links, reader: &Reader) {
    let mut taken = HashSet::new();
    for (route, link) in config.routes.iter().zip(&links.routes) {
        if !is_derived(&route.name) && !taken.insert(&route.name) {
            reader.note(
                Diagnostic::error(format!("two routes are called `{}`", route.name))
                    .at(link.name.clone().unwrap_or_else(|| link.at.clone()))
                    .with_expected("expected a name that no other route has"),
            );
        }
    }
}

/// Servers believe the field that carries a client certificate's subject, on whichever listener the request came.
fn deadline_headers_are_free(config: &Config, links: &Links, reader: &Reader) {
    let auths = config.listeners.iter().filter_map(|listener| listener.tls.as_ref()?.client_auth.as_ref());
    // To many servers, names that differ in `-` and `_` are one.
    let folded = |name: &str| name.replace('_', "-");
    let subjects: HashSet<String> = auths.map(|auth| folded(&auth.subject_header)).collect();
    for (route, link) in config.routes.iter().zip(&links.routes) {
        let Some(DeadlineHeader::Millis(name)) = &route.deadline_header else { continue };
        if subjects.contains(&folded(name)) {
            reader.note(
                Diagnostic::error(format!("`{name}` cannot be the deadline header"))
                    .at(link.deadline_header.clone().unwrap_or_else(|| link.at.clone()))
                    .with_expected("it is the `client_subject_header` of a listener"),
            );
        }
    }
}

/// What two routes must have in common for the second one never to be reached.
fn conditions(route: &Route) -> String {
    let sorted = |mut items: Vec<String>| {
        items.sort();
        items.dedup();
        items
    };
    let hosts = route.hosts.iter().map(Text::written);
    let pairs = |pairs: &[(String, String)]| sorted(pairs.iter().map(|pair| format!("{pair:?}")).collect());
    let regex = matches!(route.path, PathMatch::Regex(_));
    format!(
        "{:?}",
        (
            sorted(route.listeners.iter().map(ToString::to_string).collect()),
            sorted(hosts.chain(route.snis.iter().map(Text::written)).collect()),
            (regex, show_path(&route.path)),
            sorted(route.methods.clone()),
            pairs(&route.headers),
            pairs(&route.query),
            sorted(route.clients.iter().map(ToString::to_string).collect()),
        )
    )
}

fn routes_can_match(config: &Config, links: &Links, reader: &Reader) {
    let mut first: HashMap<String, &Route> = HashMap::new();
    for (route, link) in config.routes.iter().zip(&links.routes) {
        let winner = *first.entry(conditions(route)).or_insert(route);
        if std::ptr::eq(winner, route) {
            continue;
        }
        reader.note(
            Diagnostic::warning(format!("route `{}` never gets a request", route.name))
                .at(link.at.clone())
                .with_expected(format!("route `{}` above has the same conditions, and wins", winner.name)),
        );
    }
}

fn something_answers(config: &Config, reader: &Reader) {
    let own_answer =
        |route: &Route| matches!(route.action, Action::Redirect(_) | Action::Respond(_) | Action::Files(_));
    let redirects = config.listeners.iter().any(|listener| listener.redirect_to_https);
    if config.pools.is_empty() && !redirects && !config.routes.iter().any(own_answer) {
        reader.note(Diagnostic::error("there is no pool, and no route that answers by itself").with_help(
            "add `[pool.app]` with `backends = [\"127.0.0.1:3000\"]`, and `pool = \"app\"` to the listener",
        ));
    }
}

/// Without a listener with `tls`, none of the listeners answers at the address that clients are sent to.
fn redirects_lead_somewhere(config: &Config, links: &Links, reader: &Reader) {
    if config.listeners.iter().any(|listener| listener.tls.is_some() && !listener.is_layer4()) {
        return;
    }
    for (listener, span) in config.listeners.iter().zip(&links.listeners) {
        if listener.redirect_to_https {
            reader.note(
                Diagnostic::warning(format!(
                    "listener `{}` redirects to https, which no listener serves",
                    listener.name
                ))
                .at(span.clone())
                .with_expected("`redirect_to_https` is set here, and no listener has `tls`")
                .with_help(
                    "add a listener with `tls`, unless something else answers at port 443 of these hosts",
                ),
            );
        }
    }
}

fn listeners_are_used(config: &Config, links: &Links, reader: &Reader) {
    let named: HashSet<_> = config.routes.iter().flat_map(|route| &route.listeners).collect();
    let any_for_all = config.routes.iter().any(|route| route.listeners.is_empty());
    for (listener, span) in config.listeners.iter().zip(&links.listeners) {
        let answers = listener.pool.is_some() || listener.redirect_to_https || any_for_all;
        if !answers && !listener.is_layer4() && !named.contains(&listener.name) {
            reader.note(
                Diagnostic::warning(format!("listener `{}` answers every request with 404", listener.name))
                    .at(span.clone())
                    .with_expected("it has no `pool`, and no route applies to it"),
            );
        }
    }
}
