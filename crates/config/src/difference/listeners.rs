//! What changes of listeners, above all which addresses are opened and closed.

use evenkeel_types::Address;
use toml::Table;

use super::change::{Change, Subject};
use super::effect::Effect;
use super::fixed::{is_fixed, stays_bound};
use super::leaves::leaves;
use super::tree::Tree;
use crate::model::{Config, Listener};

/// Keys that hold for connections that begin after the reload.
const OF_CONNECTIONS: [&str; 6] =
    ["tls", "http", "protocol", "accept_proxy_protocol", "limits", "max_sessions"];

pub(super) fn compare(before: &Tree<'_>, after: &Tree<'_>, changes: &mut Vec<Change>) {
    let (old, new) = (before.config, after.config);
    for listener in &old.listeners {
        let Some(then) = new.listeners.iter().find(|it| it.name == listener.name) else {
            changes.push(removed(listener, before, new));
            continue;
        };
        let tables = before
            .named("listener", listener.name.as_str())
            .zip(after.named("listener", listener.name.as_str()));
        let Some((was, is)) = tables else { continue };
        of_addresses((listener, old), (then, new), changes);
        of_keys((listener, was), (then, is), changes);
    }
    let is_known = |listener: &&Listener| old.listeners.iter().any(|it| it.name == listener.name);
    for listener in new.listeners.iter().filter(|listener| !is_known(listener)) {
        changes.push(added(listener, after, old));
    }
}

/// The listener of `config`, but for `not`, that has this address.
fn owner<'c>(config: &'c Config, address: &Address, of: &Listener) -> Option<&'c Listener> {
    let has = |it: &&Listener| it.transport() == of.transport() && it.bind.contains(address);
    config.listeners.iter().filter(|it| it.name != of.name).find(has)
}

fn addresses(listener: &Listener) -> String {
    let texts: Vec<String> = listener.bind.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn removed(listener: &Listener, before: &Tree<'_>, new: &Config) -> Change {
    let name = &listener.name;
    let (closed, kept): (Vec<_>, Vec<_>) =
        listener.bind.iter().partition(|address| owner(new, address, listener).is_none());
    let text = |of: &[&Address]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut sentence = format!("listener {name} is removed");
    if !closed.is_empty() {
        sentence.push_str(&format!(": {} is closed", text(&closed)));
    }
    for address in &kept {
        if let Some(owner) = owner(new, address, listener) {
            sentence.push_str(&format!("; {address} goes to listener {}", owner.name));
        }
    }
    Change {
        subject: Subject::Listener(name.clone()),
        key: String::new(),
        before: before
            .named("listener", name.as_str())
            .map(|table| toml::Value::from(table.clone()).to_string()),
        after: None,
        sentence,
        effect: if closed.is_empty() { Effect::Kept } else { Effect::Closes },
    }
}

fn added(listener: &Listener, after: &Tree<'_>, old: &Config) -> Change {
    let name = &listener.name;
    let is_open = |address: &Address| owner(old, address, listener).is_some();
    Change {
        subject: Subject::Listener(name.clone()),
        key: String::new(),
        before: None,
        after: after
            .named("listener", name.as_str())
            .map(|table| toml::Value::from(table.clone()).to_string()),
        sentence: format!("listener {name} is added: it listens on {}", addresses(listener)),
        effect: if listener.bind.iter().all(is_open) { Effect::Kept } else { Effect::Opens },
    }
}

/// Each address that is opened, closed, or goes from one listener to another.
fn of_addresses(
    (was, old): (&Listener, &Config),
    (is, new): (&Listener, &Config),
    changes: &mut Vec<Change>,
) {
    let subject = || Subject::Listener(was.name.clone());
    let name = &was.name;
    let mut push = |before: Option<&Address>, after: Option<&Address>, sentence: String, effect: Effect| {
        let written = |address: Option<&Address>| address.map(|it| crate::show::quote(&it.to_string()));
        let (before, after) = (written(before), written(after));
        changes.push(Change { subject: subject(), key: "bind".into(), before, after, sentence, effect });
    };
    for address in was.bind.iter().filter(|address| !is.bind.contains(address)) {
        let (then, effect) = match owner(new, address, is) {
            Some(other) => (format!("goes to listener {}", other.name), Effect::Kept),
            None => ("is closed".into(), Effect::Closes),
        };
        push(Some(address), None, format!("listener {name}: address {address} {then}"), effect);
    }
    for address in is.bind.iter().filter(|address| !was.bind.contains(address)) {
        let (then, effect) = match owner(old, address, was) {
            Some(other) => (format!("is taken over from listener {}", other.name), Effect::Kept),
            None => ("is opened".into(), Effect::Opens),
        };
        push(None, Some(address), format!("listener {name}: address {address} {then}"), effect);
    }
}

fn of_keys((was, before): (&Listener, &Table), (is, after): (&Listener, &Table), changes: &mut Vec<Change>) {
    let name = &was.name;
    let has_same_addresses =
        was.bind.len() == is.bind.len() && was.bind.iter().all(|address| is.bind.contains(address));
    for leaf in leaves(before, after) {
        if leaf.path == "bind" && !has_same_addresses {
            continue;
        }
        let first = leaf.path.split(['.', '[']).next().unwrap_or_default();
        let effect = if is_fixed(&format!("listener.NAME.{}", leaf.path)) && stays_bound(was, is) {
            Effect::Restart
        } else if OF_CONNECTIONS.contains(&first) {
            Effect::NewConnections
        } else {
            Effect::NewRequests
        };
        changes.push(leaf.change(Subject::Listener(name.clone()), &format!("listener {name}: "), effect));
    }
}
