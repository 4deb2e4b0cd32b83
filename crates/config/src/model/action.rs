//! What a route does with a request: `pool`, `split`, `redirect`, `respond`, `files`; and `rewrite`.

use std::collections::HashSet;
use std::sync::Arc;

use evenkeel_types::PoolName;

use super::files::Files;
use super::matching::{PathMatch, path_match, show_path};
use crate::declare::{Declared, Field, Rules, Setting, default_of, keys, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means, Required};
use crate::keys::syntax::{BODY, FOLDER, HEADER_VALUE, LOCATION, PATH, POOL_NAME, STRIPPED};
use crate::keys::{Group, Kind, Section, key};
use crate::read::{Table, Value};
use crate::show::{Lines, quote};

/// What a route does with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// `pool`
    Pool(PoolName),
    /// `split`: at least one weight is above zero.
    Split(Vec<(PoolName, u32)>),
    /// `redirect`
    Redirect(Redirect),
    /// `respond`
    Respond(Respond),
    /// `files`
    Files(Arc<Files>),
}

keys! {
    pub(super) static ACTIONS "what a [[route]] does" {
        /// Send the request to a server of this pool.
        pool = key(Kind::Text(&POOL_NAME), Means("-"), r#""api""#),
        /// Send the request to one of these pools, by weight.
        split = key(
            Kind::List(&Kind::Section(Share::SECTION), 64),
            Means("-"),
            r#"[{ pool = "blue", weight = 95 }, { pool = "green", weight = 5 }]"#,
        ),
        /// Answer with a new location; a text alone is its `to`.
        redirect = key(
            Kind::Either(&Kind::Text(&LOCATION), &Kind::Section(Redirect::SECTION)),
            Means("-"),
            r#"{ to = "https://{host}{path}{query}", status = 308 }"#,
        ),
        /// Answer at once.
        respond = key(Kind::Section(Respond::SECTION), Means("-"), r#"{ status = 200, body = "ok\n" }"#),
        /// Serve the files of a directory; a text alone is its `root`.
        files = key(
            Kind::Either(&Kind::Text(&FOLDER), &Kind::Section(Files::SECTION)),
            Means("-"),
            r#"{ root = "/srv/app", fallback = "/index.html" }"#,
        ),
    }
    groups &[Group::ExactlyOne(&["pool", "split", "redirect", "respond", "files"])]
}

impl Field for Action {
    fn read(table: &Table<'_>, _: &'static str) -> Option<Self> {
        let read = if let Some(value) = table.value("pool") {
            Setting::read(&value).map(Self::Pool)
        } else if let Some(value) = table.value("split") {
            Some(Self::Split(split(&value)))
        } else if let Some(value) = table.value("redirect") {
            Setting::read(&value).map(Self::Redirect)
        } else if let Some(value) = table.value("respond") {
            Setting::read(&value).map(Self::Respond)
        } else {
            table
                .value("files")
                .and_then(|value| Setting::read(&value))
                .map(|files| Self::Files(Arc::new(files)))
        };
        // A route without an action is a fault that was noted: this stands for it, and is never used.
        Some(read.unwrap_or(Self::Split(Vec::new())))
    }

    fn show(&self, section: &'static Section, _: &'static str, out: &mut Lines) {
        match self {
            Self::Pool(pool) => Field::show(pool, section, "pool", out),
            Self::Split(shares) => {
                let shares =
                    shares.iter().map(|(pool, weight)| Share { pool: pool.clone(), weight: *weight });
                Field::show(&shares.collect::<Vec<_>>(), section, "split", out);
            }
            Self::Redirect(redirect) => Field::show(redirect, section, "redirect", out),
            Self::Respond(respond) => Field::show(respond, section, "respond", out),
            Self::Files(files) => Field::show(&**files, section, "files", out),
        }
    }
}

section! {
    /// One share of the traffic. At least one weight is above zero, and no pool stands twice.
    pub struct Share "split of [[route]]" {
        /// The pool that gets this share.
        pool: PoolName = key(Kind::Text(&POOL_NAME), Required, r#""blue""#),
        /// Its part of the sum of all weights; 0 gets nothing.
        weight: u32 = key(Kind::Integer(0, 1_000_000), Is("1"), "95"),
    }
}

impl Rules for Share {}

fn split(value: &Value<'_>) -> Vec<(PoolName, u32)> {
    let mut seen = HashSet::new();
    let mut shares = Vec::new();
    let items = value.items();
    for item in &items {
        let Some(Share { pool, weight }) = Setting::read(item) else { continue };
        if !seen.insert(pool.clone()) {
            let fault = Diagnostic::error(format!("pool `{pool}` is listed twice in this `split`"));
            let span = item.peek().and_then(|share| share.value_span("pool")).unwrap_or(item.span.clone());
            value.reader.note(fault.at(span).with_expected("named before").with_help("add its weights"));
        }
        shares.push((pool, weight));
    }
    if !items.is_empty() && shares.iter().all(|(_, weight)| *weight == 0) {
        value.reader.note(
            Diagnostic::error("this `split` sends nothing anywhere")
                .at(value.span.clone())
                .with_expected("expected a `weight` above zero"),
        );
    }
    shares
}

section! {
    /// The new location, sent to the client.
    #[derive(PartialEq, Eq)]
    pub struct Redirect "redirect of [[route]]" {
        /// Where the client is sent.
        to: String = key(Kind::Text(&LOCATION), Required, r#""https://{host}{path}{query}""#),
        /// The status.
        status: u16 = key(Kind::Number(&[301, 302, 303, 307, 308]), Is("302"), "308"),
    }
}

impl Rules for Redirect {
    fn short(value: &Value<'_>) -> Option<Self> {
        Some(Self { to: value.formed()?, status: default_of::<Self, _>("status") })
    }
}

section! {
    /// An answer that needs no server.
    #[derive(PartialEq, Eq)]
    pub struct Respond "respond of [[route]]" {
        /// The status.
        status: u16 = key(Kind::Integer(200, 599), Is("200"), "503"),
        /// The body; impossible with 204, 205 and 304.
        body: String = key(Kind::Text(&BODY), Means("empty"), r#""back at six\n""#),
        /// Its media type.
        content_type: String = key(
            Kind::Text(&HEADER_VALUE),
            Is("text/plain; charset=utf-8"),
            r#""text/html; charset=utf-8""#,
        ),
    }
}

impl Rules for Respond {
    fn finish(&mut self, table: &Table<'_>) {
        let status = self.status;
        if matches!(status, 204 | 205 | 304)
            && !self.body.is_empty()
            && let Some(value) = table.value("body")
        {
            value.refuse::<()>(format!("a response with status {status} has no body"), "leave `body` out");
        }
        if let Some(value) = table.value("content_type").filter(|value| value.is_word("")) {
            value.refuse::<()>("`content_type` is empty", "leave it out for plain text");
        }
    }
}

/// `rewrite`: what a server sees instead of the path that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// `strip_prefix = "/api"`: whole segments only; a path without it stays as it is.
    StripPrefix(String),
    /// `path = "/new/*"`: what the route's prefix matched is replaced by this.
    ReplacePrefix(String),
    /// `path = "/new"`: the whole path is replaced.
    ReplacePath(String),
}

keys! {
    /// What a server sees instead of the path that was asked for: exactly one of the two.
    pub(super) static REWRITE "rewrite of [[route]]" {
        /// Whole segments taken off the front; a path without them stays as it is.
        strip_prefix = key(Kind::Text(&STRIPPED), Means("-"), r#""/api""#),
        /// With `/*` at the end: what the route's prefix matched is replaced by this. Without: the whole path is.
        path = key(Kind::Text(&PATH), Means("-"), r#""/new/*""#),
    }
    groups &[Group::ExactlyOne(&["strip_prefix", "path"])]
}

impl Setting for Rewrite {
    fn read(value: &Value<'_>) -> Option<Self> {
        let table = value.table()?;
        if let Some(value) = table.value("strip_prefix") {
            return value.formed().map(Self::StripPrefix);
        }
        match table.value("path")?.read(path_match)? {
            PathMatch::Prefix(prefix) => Some(Self::ReplacePrefix(prefix)),
            PathMatch::Exact(path) => Some(Self::ReplacePath(path)),
            PathMatch::Regex(_) => None,
        }
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        None
    }

    fn show(&self, _: &'static Kind) -> String {
        match self {
            Self::StripPrefix(prefix) => format!("{{ strip_prefix = {} }}", quote(prefix)),
            Self::ReplacePath(path) => format!("{{ path = {} }}", quote(path)),
            Self::ReplacePrefix(prefix) => {
                format!("{{ path = {} }}", quote(&show_path(&PathMatch::Prefix(prefix.clone()))))
            }
        }
    }
}
