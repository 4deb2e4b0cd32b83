//! What does not fit together within one `[[route]]`.

use std::collections::HashSet;

use super::action::{Action, Rewrite};
use super::limit::Mirror;
use super::matching::PathMatch;
use super::retry::{Hedge, HedgeAfter, Retry};
use super::route::Route;
use crate::diagnostic::Diagnostic;
use crate::read::fields::{Side, untouchable};
use crate::read::{Table, clip};
use crate::value::show_duration;

/// Fields that every request needs, or that are ours to write.
const TAKEN: [&str; 8] = [
    "host",
    "cookie",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

impl Route {
    /// Gives a name to the limits that have none, and notes those of one name.
    pub(super) fn name_limits(&mut self, table: &Table<'_>) {
        let mut taken: HashSet<String> = HashSet::new();
        let spans: Vec<_> = table.peek_all("rate_limit").iter().map(|it| it.value_span("name")).collect();
        for (at, limit) in self.rate_limits.iter().enumerate().filter(|(_, limit)| !limit.name.is_empty()) {
            if !taken.insert(limit.name.clone())
                && let Some(Some(span)) = spans.get(at)
            {
                table.reader.note(
                    Diagnostic::error(format!("two limits of this route are called `{}`", limit.name))
                        .at(span.clone())
                        .with_expected("expected a name that no other limit of the route has"),
                );
            }
        }
        for limit in self.rate_limits.iter_mut().filter(|limit| limit.name.is_empty()) {
            let per: Vec<String> = limit.per.iter().map(ToString::to_string).collect();
            let base = per.join("+");
            let numbered = (2..).map(|number| format!("{base}#{number}"));
            let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
            limit.name = name.unwrap_or(base);
            taken.insert(limit.name.clone());
        }
    }

    /// Notes a mirror that gives the servers that answer a request a copy of it as well.
    pub(super) fn check_mirror(&self, table: &Table<'_>) {
        let (Some(Mirror { pool, .. }), Action::Pool(own)) = (&self.mirror, &self.action) else { return };
        if pool == own {
            table.warn_of(
                "mirror",
                format!("pool `{pool}` gets these requests twice"),
                "the route's own pool",
            );
        }
    }
}

impl Route {
    /// Notes a hedge that can never be made, or is due when its request has been given up.
    pub(super) fn check_hedge(&self, table: &Table<'_>) {
        let Some(span) = table.key_span("hedge") else { return };
        let Retry { attempts, budget, per_try_timeout, .. } = self.retry;
        let has_no_effect = |fault: Diagnostic, help: String| {
            fault.at(span.clone()).with_expected("has no effect").with_help(help)
        };
        if attempts <= 1 {
            let fault = Diagnostic::error(format!("`hedge` needs more than {attempts} attempts"));
            let help = "raise `retry.attempts` to 2: a hedge is one of them".to_owned();
            table.reader.note(has_no_effect(fault, help));
        } else if budget == 0 {
            let fault = Diagnostic::error("`hedge` has no budget");
            table
                .reader
                .note(has_no_effect(fault, "raise `retry.budget`, which hedges count against".into()));
        }
        let Some(Hedge { after: HedgeAfter::Fixed(after), .. }) = self.hedge else { return };
        let limits = [("retry.per_try_timeout", per_try_timeout), ("timeout.request", self.timeout.request)];
        for (key, limit) in limits {
            let Some(limit) = limit.filter(|limit| after >= *limit) else { continue };
            let fault = Diagnostic::warning(format!(
                "no `hedge` is ever made: `after` is {}, and `{key}` {}",
                show_duration(after),
                show_duration(limit)
            ));
            table.reader.note(has_no_effect(fault, format!("let `after` be shorter than `{key}`")));
        }
    }

    /// Notes a field that cannot carry the time that is left.
    pub(super) fn check_deadline_header(&self, table: &Table<'_>) {
        let (Some(header), Some(span)) = (&self.deadline_header, table.value_span("deadline_header")) else {
            return;
        };
        let (name, edits) = (header.name(), &self.request_headers);
        let refuse = |message: String, expected: &str| {
            table.reader.note(Diagnostic::error(message).at(span.clone()).with_expected(expected));
        };
        let is_edited = edits.set.iter().chain(&edits.add).any(|(other, _)| *other == name);
        if TAKEN.contains(&name) || untouchable(Side::Request, "set", name).is_some() {
            refuse(format!("`{}` cannot be the deadline header", clip(name)), "it has a meaning of its own");
        } else if is_edited || edits.remove.iter().any(|other| other == name) {
            refuse(
                format!("`deadline_header` and `request_headers` both write `{}`", clip(name)),
                "expected a field that `request_headers` leaves alone",
            );
        }
    }
}

impl Route {
    /// Notes a `rewrite` that replaces a prefix where none is matched.
    pub(super) fn check_rewrite(&self, table: &Table<'_>) {
        let replaces = matches!(self.rewrite, Some(Rewrite::ReplacePrefix(_)));
        if replaces
            && !matches!(self.path, PathMatch::Prefix(_))
            && let Some(value) = table.peek("rewrite").and_then(|rewrite| rewrite.value("path"))
        {
            value.refuse::<()>(
                "`/*` replaces what the route's prefix matched, and this route matches no prefix",
                "end the route's `path` with `/*`, or leave it out here",
            );
        }
    }
}

impl Route {
    /// Notes edits of fields that cannot be touched, and those that contradict one another.
    pub(super) fn check_edits(&self, table: &Table<'_>) {
        for (key, side) in [("request_headers", Side::Request), ("response_headers", Side::Response)] {
            if let Some(below) = table.peek(key) {
                check_edit(&below, key, side);
            }
        }
    }
}

fn check_edit(table: &Table<'_>, key: &str, side: Side) {
    for verb in ["set", "add", "remove"] {
        for (name, span) in table.parts(verb) {
            if let Some(reason) = untouchable(side, verb, &name.to_ascii_lowercase()) {
                let name = clip(&name.to_ascii_lowercase());
                let fault = Diagnostic::error(format!("`{key}.{verb}` cannot touch `{name}`"));
                table.reader.note(fault.at(span).with_expected(reason));
            }
        }
    }
    let set = table.parts("set");
    let both = |name: &str| set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    for (name, span) in table.parts("remove").into_iter().filter(|(name, _)| both(name)) {
        let fault =
            Diagnostic::error(format!("`{}` is both removed and set", clip(&name.to_ascii_lowercase())));
        table.reader.note(fault.at(span).with_expected("`set` alone replaces every field of that name"));
    }
}
