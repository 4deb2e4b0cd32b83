//! Reads what a route does with a request: `pool`, `split`, `redirect`, `respond`; and `rewrite`.

use std::collections::HashSet;

use super::condition::path_match;
use super::table::{Table, clip};
use super::text::{self, Refused};
use super::value::Value;
use crate::diagnostic::Diagnostic;
use crate::model::{Action, PathMatch, Redirect, Respond, Rewrite};

/// The action, unless it is missing or faulty.
pub(super) fn read(table: &Table<'_>) -> Option<Action> {
    if table.has("pool") {
        return table.pool_use("pool").map(Action::Pool);
    }
    if let Some(value) = table.value("split") {
        return Some(split(table, &value));
    }
    if let Some(value) = table.value("redirect") {
        return redirect(value).map(Action::Redirect);
    }
    respond(&table.table("respond")?).map(Action::Respond)
}

/// `rewrite`, which depends on what the route matches.
pub(super) fn rewrite(table: &Table<'_>, matched: &PathMatch) -> Option<Rewrite> {
    let table = table.table("rewrite")?;
    if let Some(value) = table.value("strip_prefix") {
        return value.read(stripped).map(Rewrite::StripPrefix);
    }
    let value = table.value("path")?;
    match value.read(path_match)? {
        PathMatch::Exact(path) => Some(Rewrite::ReplacePath(path)),
        PathMatch::Prefix(prefix) if matches!(matched, PathMatch::Prefix(_)) => {
            Some(Rewrite::ReplacePrefix(prefix))
        }
        _ => value.refuse(
            "`/*` replaces what the route's prefix matched, and this route matches no prefix",
            "end the route's `path` with `/*`, or leave it out here",
        ),
    }
}

fn split(table: &Table<'_>, value: &Value<'_>) -> Action {
    let mut seen = HashSet::new();
    let mut shares = Vec::new();
    let items = value.items();
    let all_read = !items.is_empty();
    for item in items {
        let Some(share) = item.table() else { continue };
        let Some(pool) = share.pool_use("pool") else { continue };
        if !seen.insert(pool.clone()) {
            let fault = Diagnostic::error(format!("pool `{pool}` stands twice in this `split`"));
            let span = share.value("pool").map_or(item.span, |pool| pool.span);
            table.reader.note(fault.at(span).with_expected("named before").with_help("add its weights"));
        }
        shares.push((pool, share.small("weight")));
    }
    if all_read && shares.iter().all(|(_, weight)| *weight == 0) {
        table.reader.note(
            Diagnostic::error("this `split` sends nothing anywhere")
                .at(value.span.clone())
                .with_expected("expected a `weight` above zero"),
        );
    }
    Action::Split(shares)
}

fn redirect(value: Value<'_>) -> Option<Redirect> {
    if !value.is_table() {
        return value.either(false).read(location).map(|to| Redirect { to, status: 302 });
    }
    let table = value.either(true).table()?;
    let status = table.small("status");
    let to = table.value("to")?.read(location)?;
    Some(Redirect { to, status: u16::try_from(status).ok()? })
}

fn respond(table: &Table<'_>) -> Option<Respond> {
    let status = u16::try_from(table.small("status")).ok()?;
    let body = table.value("body").and_then(|value| value.text()).unwrap_or_default();
    if matches!(status, 204 | 205 | 304)
        && !body.is_empty()
        && let Some(value) = table.value("body")
    {
        value.refuse::<()>(format!("a response with status {status} has no body"), "leave `body` out");
    }
    let content_type = match table.value("content_type") {
        Some(value) if value.is_word("") => {
            value.refuse("`content_type` is empty", "leave it out for plain text")
        }
        Some(value) => value.read(text::header_value),
        None => Some(table.default("content_type").to_owned()),
    };
    Some(Respond { status, body: body.into(), content_type: content_type? })
}

/// Whole segments, without a slash at the end.
fn stripped(prefix: &str) -> Result<String, Refused> {
    text::path(prefix)?;
    let bare = prefix.trim_end_matches('*').trim_end_matches('/');
    if bare != prefix || prefix.contains('*') {
        let help = if bare.is_empty() { String::new() } else { format!("write `{}`", clip(bare)) };
        return Err(Refused("a prefix has neither `*` nor a `/` at its end".into(), help));
    }
    Ok(prefix.into())
}

/// What a location may be made of.
const PLACEHOLDERS: [&str; 4] = ["{scheme}", "{host}", "{path}", "{query}"];

fn location(to: &str) -> Result<String, Refused> {
    let refuse = |message: String, help: &str| Err(Refused(message, help.into()));
    if !to.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse("a location has visible ASCII alone".into(), "percent-encode what is not");
    }
    let mut rest = to;
    while let Some(at) = rest.find(['{', '}']) {
        let Some(found) = PLACEHOLDERS.iter().find(|placeholder| rest[at..].starts_with(**placeholder))
        else {
            let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
            let message = format!("`{}` is no placeholder", clip(&rest[at..end]));
            return refuse(
                message,
                "there are {scheme}, {host}, {path} and {query}; write %7B for `{` and %7D for `}`",
            );
        };
        rest = &rest[at + found.len()..];
    }
    let authority = ["https://", "http://", "{scheme}://"].iter().find_map(|scheme| to.strip_prefix(scheme));
    match authority {
        None if to.starts_with("//") => refuse(
            "a location that begins with `//` leads to another host".into(),
            "write `https://` in front, or one `/`",
        ),
        None if to.starts_with('/') => Ok(to.into()),
        None => refuse(
            format!("`{}` is neither a URL nor an absolute path", clip(to)),
            "begin it with `https://`, `http://` or `/`",
        ),
        // The client chooses its path and query: it must not choose the host by them.
        Some(rest)
            if rest.is_empty()
                || rest.starts_with(['/', '?', '#', ':'])
                || rest.starts_with("{path}")
                || rest.starts_with("{query}") =>
        {
            refuse("the location has no host".into(), "write `{host}` for the request's own")
        }
        Some(_) => Ok(to.into()),
    }
}
