//! `retry`, `hedge` and `deadline_header` of a route, as they would be written.

use super::{Lines, list, quote, time};
use crate::model::{HedgeAfter, Retry, Route};
use crate::value::show_size;

pub(super) fn route(out: &mut Lines, route: &Route) {
    if route.retry == Retry::off() {
        out.line("retry", false);
    } else {
        out.line("retry", retry(&route.retry));
    }
    match &route.hedge {
        Some(hedge) => {
            let after = match hedge.after {
                HedgeAfter::P95 => quote("p95"),
                HedgeAfter::Fixed(after) => time(after),
            };
            out.line("hedge", format_args!("{{ after = {after}, max = {} }}", hedge.max));
        }
        None => out.comment("no hedge: one server at a time"),
    }
    match &route.deadline_header {
        Some(header) => out.line("deadline_header", quote(header.name())),
        None => out.comment("no deadline_header"),
    }
}

fn retry(retry: &Retry) -> String {
    let on = [("connect", retry.on.connect), ("reset", retry.on.reset), ("timeout", retry.on.timeout)];
    let words = on.iter().filter(|(_, is_on)| *is_on).map(|(word, _)| (*word).to_owned());
    let on: Vec<String> = words.chain(retry.on.statuses.iter().map(u16::to_string)).collect();
    format!(
        "{{ attempts = {}, on = {}, methods = {}, per_try_timeout = {}, budget = \"{}%\", backoff = {}, \
         replay = {}, header = {} }}",
        retry.attempts,
        list(&on, |one| quote(one)),
        list(&retry.methods, |one| quote(one)),
        retry.per_try_timeout.map_or_else(|| quote("off"), time),
        retry.budget,
        time(retry.backoff),
        quote(&show_size(retry.replay as u64)),
        retry.header
    )
}
