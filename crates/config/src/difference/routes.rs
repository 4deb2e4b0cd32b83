//! What changes of routes: which ones come and go, what they match, and where they lead.

use std::collections::{HashMap, HashSet};

use evenkeel_types::RouteName;
use toml::Table;

use super::change::{Change, Subject};
use super::effect::Effect;
use super::leaves::leaves;
use super::tree::Tree;
use crate::model::{Action, Route, is_derived};

/// The keys of an action.
const ACTIONS: [&str; 5] = ["pool", "split", "redirect", "respond", "files"];

/// The keys that a derived name is made of.
const MATCHES: [&str; 9] =
    ["listener", "host", "path", "path_regex", "method", "headers", "query", "client", "sni"];

pub(super) fn compare(before: &Tree<'_>, after: &Tree<'_>, changes: &mut Vec<Change>) {
    let (old, new) = (&before.config.routes, &after.config.routes);
    let position = |routes: &[Route]| -> HashMap<RouteName, usize> {
        routes.iter().enumerate().map(|(at, route)| (route.name.clone(), at)).collect()
    };
    let (was, is) = (position(old), position(new));
    let gone = (0..old.len()).filter(|at| !is.contains_key(&old[*at].name));
    let come = (0..new.len()).filter(|at| !was.contains_key(&new[*at].name));
    let (gone, mut come): (Vec<usize>, Vec<usize>) = (gone.collect(), come.collect());
    let renamed = pair_up(before, after, &gone, &mut come);
    for (at, route) in old.iter().enumerate() {
        match is.get(&route.name).or_else(|| renamed.get(&at)) {
            Some(then) => of_keys(before, at, after, *then, changes),
            None => changes.push(removed(before, at)),
        }
    }
    changes.extend(come.into_iter().map(|at| added(after, at)));
    of_order(before, after, &renamed, changes);
}

/// Routes without names of their own change their names with what they match: those that differ in nothing else belong
/// together. What is paired is taken out of `come`.
fn pair_up(
    before: &Tree<'_>,
    after: &Tree<'_>,
    gone: &[usize],
    come: &mut Vec<usize>,
) -> HashMap<usize, usize> {
    let rest = |tree: &Tree<'_>, at: usize| -> Option<String> {
        let mut table = tree.route(at)?.clone();
        MATCHES.iter().for_each(|key| drop(table.remove(*key)));
        is_derived(&tree.config.routes[at].name).then(|| table.to_string())
    };
    let mut by_rest: HashMap<String, Vec<usize>> = HashMap::new();
    for at in come.iter() {
        if let Some(rest) = rest(after, *at) {
            by_rest.entry(rest).or_default().push(*at);
        }
    }
    let mut pairs = HashMap::new();
    let mut taken = HashMap::<String, usize>::new();
    for at in gone {
        if let Some(rest) = rest(before, *at) {
            *taken.entry(rest).or_default() += 1;
        }
    }
    for at in gone {
        let Some(rest) = rest(before, *at) else { continue };
        // Only where there is no doubt.
        if let (Some([then]), Some(1)) = (by_rest.get(&rest).map(Vec::as_slice), taken.get(&rest)) {
            pairs.insert(*at, *then);
        }
    }
    let paired: HashSet<usize> = pairs.values().copied().collect();
    come.retain(|at| !paired.contains(at));
    pairs
}

fn written(tree: &Tree<'_>, at: usize) -> Option<String> {
    tree.route(at).map(|table| toml::Value::from(table.clone()).to_string())
}

fn removed(before: &Tree<'_>, at: usize) -> Change {
    let route = &before.config.routes[at];
    Change {
        subject: Subject::Route(route.name.clone()),
        key: String::new(),
        before: written(before, at),
        after: None,
        sentence: format!("route {} is removed; it led to {}", route.name, action(&route.action)),
        effect: Effect::NewRequests,
    }
}

fn added(after: &Tree<'_>, at: usize) -> Change {
    let route = &after.config.routes[at];
    Change {
        subject: Subject::Route(route.name.clone()),
        key: String::new(),
        before: None,
        after: written(after, at),
        sentence: format!("route {} is added: it leads to {}", route.name, action(&route.action)),
        effect: Effect::NewRequests,
    }
}

fn of_keys(before: &Tree<'_>, at: usize, after: &Tree<'_>, then: usize, changes: &mut Vec<Change>) {
    let (Some(was), Some(is)) = (before.route(at), after.route(then)) else { return };
    let (old, new) = (&before.config.routes[at], &after.config.routes[then]);
    let (mut was, mut is) = (was.clone(), is.clone());
    let subject = || Subject::Route(new.name.clone());
    if leads_elsewhere(&old.action, &new.action) {
        let inline = |table: &mut Table| {
            let keys = ACTIONS.iter().filter_map(|key| Some(((*key).to_owned(), table.remove(*key)?)));
            toml::Value::from(keys.collect::<Table>()).to_string()
        };
        changes.push(Change {
            subject: subject(),
            key: "action".into(),
            before: Some(inline(&mut was)),
            after: Some(inline(&mut is)),
            sentence: format!(
                "route {}: now leads to {} instead of {}",
                new.name,
                action(&new.action),
                action(&old.action)
            ),
            effect: Effect::NewRequests,
        });
    }
    for leaf in leaves(&was, &is) {
        changes.push(leaf.change(subject(), &format!("route {}: ", new.name), Effect::NewRequests));
    }
}

/// True where another kind of action, or other pools, say more than single keys.
fn leads_elsewhere(old: &Action, new: &Action) -> bool {
    match (old, new) {
        (Action::Pool(old), Action::Pool(new)) => old != new,
        (Action::Split(old), Action::Split(new)) => old != new,
        (Action::Redirect(_), Action::Redirect(_))
        | (Action::Respond(_), Action::Respond(_))
        | (Action::Files(_), Action::Files(_)) => false,
        _ => true,
    }
}

/// Where a route leads, as in `pool api`.
fn action(action: &Action) -> String {
    match action {
        Action::Pool(pool) => format!("pool {pool}"),
        Action::Split(shares) => {
            let shares: Vec<String> =
                shares.iter().map(|(pool, weight)| format!("{pool} {weight}")).collect();
            format!("a split by weight between {}", shares.join(", "))
        }
        Action::Redirect(redirect) => {
            format!("a redirect with status {} to {}", redirect.status, redirect.to)
        }
        Action::Respond(respond) => format!("a fixed response with status {}", respond.status),
        Action::Files(files) => format!("the files of {}", files.root.display()),
    }
}

/// The order of the file decides between routes that are equally specific.
fn of_order(before: &Tree<'_>, after: &Tree<'_>, renamed: &HashMap<usize, usize>, changes: &mut Vec<Change>) {
    let now: HashMap<&RouteName, usize> =
        after.config.routes.iter().enumerate().map(|(at, route)| (&route.name, at)).collect();
    let then = |(at, route): (usize, &Route)| now.get(&route.name).or_else(|| renamed.get(&at)).copied();
    let order: Vec<usize> = before.config.routes.iter().enumerate().filter_map(then).collect();
    if order.is_sorted() {
        return;
    }
    changes.push(Change {
        subject: Subject::Routes,
        key: "order".into(),
        before: None,
        after: None,
        sentence:
            "routes: their order in the file changes, which decides between routes that are equally specific"
                .into(),
        effect: Effect::NewRequests,
    });
}
