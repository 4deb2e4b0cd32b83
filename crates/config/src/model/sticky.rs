//! `sticky` of a pool: what keeps a client on its server.

use std::time::Duration;

use crate::declare::{Setting, keys};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::Means;
use crate::keys::syntax::{COOKIE_NAME, HEADER_NAME};
use crate::keys::{DAY_MS, Group, Kind, key};
use crate::read::Value;
use crate::show::{Lines, quote};
use crate::value::show_duration;

/// `sticky`: exactly one of `cookie`, `header` and `app_cookie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// `{ cookie = "EVENKEEL", ttl = "1h" }`: a cookie that we issue; without `ttl` it lives as long as the browser.
    Cookie {
        /// Its name.
        name: String,
        /// Its `Max-Age`.
        ttl: Option<Duration>,
    },
    /// `{ header = "x-session" }`: equal values reach the same server.
    Header(String),
    /// `{ app_cookie = "JSESSIONID" }`: equal values reach the same server.
    AppCookie(String),
}

keys! {
    /// Keeps a client on its server for as long as that server is well: exactly one of `cookie`, `header` and
    /// `app_cookie`.
    pub(crate) static STICKY "sticky of [pool.NAME]" {
        /// The name of a cookie that the balancer issues; its value tells nothing about the server.
        cookie = key(Kind::Text(&COOKIE_NAME), Means("-"), r#""EVENKEEL""#),
        /// Requests with equal values of this header field reach the same server.
        header = key(Kind::Text(&HEADER_NAME), Means("-"), r#""x-session""#),
        /// Requests with equal values of this cookie of the application reach the same server.
        app_cookie = key(Kind::Text(&COOKIE_NAME), Means("-"), r#""JSESSIONID""#),
        /// The `Max-Age` of `cookie`, in whole seconds. Only with `cookie`.
        ttl = key(Kind::Duration(1_000, 400 * DAY_MS), Means("as long as the browser runs"), r#""1h""#),
    }
    groups &[Group::ExactlyOne(&["cookie", "header", "app_cookie"])]
}

impl Setting for Sticky {
    fn read(value: &Value<'_>) -> Option<Self> {
        let table = value.table()?;
        let ttl = table.value("ttl");
        if let Some(span) = table.key_span("ttl").filter(|_| !table.has("cookie")) {
            table.reader.note(
                Diagnostic::error("`ttl` is the lifetime of a cookie that the balancer issues")
                    .at(span)
                    .with_expected("only with `cookie`"),
            );
        }
        if let Some(value) = table.value("cookie") {
            let ttl = ttl.and_then(|value| {
                let ttl = value.duration()?;
                if ttl.subsec_nanos() == 0 {
                    Some(ttl)
                } else {
                    value.refuse("`ttl` is in whole seconds", "")
                }
            });
            return Some(Self::Cookie { name: value.formed()?, ttl });
        }
        if let Some(value) = table.value("header") {
            return value.formed().map(Self::Header);
        }
        table.value("app_cookie")?.formed().map(Self::AppCookie)
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        None
    }

    fn show(&self, _: &'static Kind) -> String {
        let mut out = Lines::default();
        match self {
            Self::Cookie { name, ttl } => {
                out.line("cookie", quote(name));
                if let Some(ttl) = ttl {
                    out.line("ttl", quote(&show_duration(*ttl)));
                }
            }
            Self::Header(name) => out.line("header", quote(name)),
            Self::AppCookie(name) => out.line("app_cookie", quote(name)),
        }
        out.inline()
    }
}
