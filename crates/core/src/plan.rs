//! The order of decisions about a request, from its listener to the pool that gets it. The data path follows it, and
//! `explain` prints it.
//!
//! First [`route`], then the route's rate limits, then [`act`]. Behind that, `admission` decides about the pool's servers.

mod compare;
mod outcome;
mod sample;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use evenkeel_config::{Action, Files, Respond, Route};

use crate::files::below_root;
use crate::overload::OverloadStep;
use crate::route::{Facts, PathRefused, forwarded, https_location, location, normalise};
use crate::snapshot::Snapshot;

pub use compare::{Comparison, Example, Group, Shift};
pub use outcome::{End, Outcome};
pub use sample::{REDACTED, Sample};

/// What is decided upon beyond what a route looks at.
pub trait Planned: Facts {
    /// `http` or `https`.
    fn scheme(&self) -> &str;
    /// The host that the request is for, with the port if it named one.
    fn authority(&self) -> &str;
    /// The path as it came, if it holds `//` or `%5C`, as [`RequestPath`](crate::route::RequestPath) has it.
    fn unmerged(&self) -> Option<&str>;
    /// Bytes and fields of its head.
    fn head_size(&self) -> (usize, usize);
    /// True if a response with this status would be a tunnel in the client's eyes.
    fn takes_for_tunnel(&self, status: u16) -> bool;
}

/// What a request's listener and route come to.
#[derive(Debug)]
pub enum Routed<'s> {
    /// The listener sends every request to the same place over TLS, which is this.
    ToHttps(String),
    /// A route takes it.
    By(Taken<'s>),
}

/// A route that takes a request.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'s> {
    /// The route's position.
    pub position: usize,
    /// The route.
    pub route: &'s Route,
    /// Bytes that the request's body may have.
    pub body_max: Option<u64>,
}

/// What a route does with a request.
#[derive(Debug)]
pub enum Act<'s> {
    /// A fixed response.
    Respond(&'s Respond),
    /// A redirect.
    Redirect {
        /// Its status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// A file of a directory.
    Files {
        /// The directory.
        files: &'s Arc<Files>,
        /// What of the path names the file, as [`below_root`] returns it.
        path: Cow<'s, str>,
    },
    /// A pool gets it, at this position.
    Forward(usize),
}

/// A request that goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub why: DenyReason,
    /// The route that took it, if one did.
    pub route: Option<usize>,
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyReason {
    /// It names no host to be sent to over TLS.
    NoHost,
    /// Its route does not take a path like that; or nothing would.
    Path(PathRefused),
    /// No route takes it.
    NoRoute,
    /// The process is overloaded, and the route's priority is not high enough.
    Overload,
    /// Its head is larger than the route allows.
    HeadTooLarge,
    /// Its body is larger than the route allows.
    BodyTooLarge,
    /// It asks for a tunnel where a fixed response is given.
    NoTunnel,
    /// The route's pool is not there.
    NoPool,
}

impl DenyReason {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::NoHost | Self::Path(_) => 400,
            Self::NoRoute => 404,
            Self::BodyTooLarge => 413,
            Self::HeadTooLarge => 431,
            Self::NoTunnel => 501,
            Self::Overload | Self::NoPool => 503,
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path(refused) => return refused.fmt(f),
            Self::NoHost => "host is missing",
            Self::NoRoute => "no route for this request",
            Self::Overload => "the balancer is overloaded",
            Self::HeadTooLarge => "head too large for this route",
            Self::BodyTooLarge => "body too large",
            Self::NoTunnel => "no tunnel to a fixed response",
            Self::NoPool => "no pool for this request",
        })
    }
}

/// Which route takes a request that came by the listener at this position, whose body is known to have `body` bytes, while
/// the process withdraws as far as `step`.
///
/// # Errors
/// The request goes no further.
pub fn route<'s>(
    snapshot: &'s Snapshot,
    listener: usize,
    request: &impl Planned,
    body: Option<u64>,
    step: OverloadStep,
) -> Result<Routed<'s>, Denied> {
    let config = &snapshot.config;
    if config.listeners[listener].redirect_to_https {
        let (authority, host) = (request.authority(), request.host());
        if host.is_empty() {
            return Err(Denied { why: DenyReason::NoHost, route: None });
        }
        refuse_backslash(request)?;
        let to = https_location(config, authority, host, request.path(), request.query());
        return Ok(Routed::ToHttps(to));
    }
    let found = snapshot.routes.find(listener, request);
    let Some(position) = found else {
        refuse_backslash(request)?;
        return Err(Denied { why: DenyReason::NoRoute, route: None });
    };
    let route = snapshot.routes.route(position);
    let denied = |why| Denied { why, route: Some(position) };
    if request.unmerged().is_some() {
        let path = forwarded(route, request.path(), request.unmerged());
        path.map_err(|refused| denied(DenyReason::Path(refused)))?;
    }
    if step.sheds(route.priority) {
        return Err(denied(DenyReason::Overload));
    }
    let (bytes, fields) = request.head_size();
    let exceeds = |max: Option<usize>, size: usize| max.is_some_and(|max| size > max);
    if exceeds(route.limits.request_head, bytes) || exceeds(route.limits.headers, fields) {
        return Err(denied(DenyReason::HeadTooLarge));
    }
    let body_max = route.limits.request_body.or(config.limits.request_body);
    if body_max.is_some_and(|max| body.is_some_and(|length| length > max)) {
        return Err(denied(DenyReason::BodyTooLarge));
    }
    Ok(Routed::By(Taken { position, route, body_max }))
}

/// Refuses what only a route with `merge_slashes = false` takes, where there is no route.
fn refuse_backslash(request: &impl Planned) -> Result<(), Denied> {
    let is_refused = request.unmerged().is_some_and(|raw| normalise(raw).is_err());
    let why = DenyReason::Path(PathRefused::Backslash);
    if is_refused { Err(Denied { why, route: None }) } else { Ok(()) }
}

/// What the route does with a request that its rate limits let through; a random number decides between pools.
///
/// # Errors
/// The request goes no further.
pub fn act<'s>(
    snapshot: &'s Snapshot,
    taken: &Taken<'s>,
    request: &'s impl Planned,
    random: impl FnOnce() -> u64,
) -> Result<Act<'s>, Denied> {
    let denied = |why| Denied { why, route: Some(taken.position) };
    match &taken.route.action {
        Action::Respond(respond) if request.takes_for_tunnel(respond.status) => {
            Err(denied(DenyReason::NoTunnel))
        }
        Action::Respond(respond) => Ok(Act::Respond(respond)),
        Action::Files(_) if request.takes_for_tunnel(200) => Err(denied(DenyReason::NoTunnel)),
        Action::Files(files) => Ok(Act::Files { files, path: below_root(taken.route, request.path()) }),
        Action::Redirect(redirect) => {
            let (scheme, authority) = (request.scheme(), request.authority());
            let location = location(redirect, scheme, authority, request.path(), request.query());
            Ok(Act::Redirect { status: redirect.status, location })
        }
        Action::Pool(_) | Action::Split(_) => {
            let pool = snapshot.pool_of(taken.position, random());
            pool.map(Act::Forward).ok_or(denied(DenyReason::NoPool))
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
