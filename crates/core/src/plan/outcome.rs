//! Where a request ends by a configuration: what [`route`] and [`act`] decide, as a value that can be compared.

use std::fmt;

use evenkeel_types::{PoolName, RouteName};

use super::{Act, Denied, DenyReason, Planned, Routed, act, route};
use crate::overload::OverloadStep;
use crate::route::{forwarded, rewrite};
use crate::snapshot::Snapshot;

/// Where a request ends, and by which route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The route that takes it, if one does.
    pub route: Option<RouteName>,
    /// Where it ends.
    pub end: End,
    /// What the server is asked for, the file that is read, or the new location; empty if nothing of the kind.
    pub target: String,
}

/// Where a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At a server of this pool.
    Pool(PoolName),
    /// At a server of one of these pools, by weight; the weights have no common divisor, and none is zero.
    Split(Vec<(PoolName, u32)>),
    /// A fixed response.
    Respond(u16),
    /// A new location.
    Redirect(u16),
    /// A file below this directory.
    Files(String),
    /// It goes no further, and gets this status for this reason.
    Refused(u16, String),
    /// No route takes it.
    NoRoute,
    /// No connection leads here, because of this.
    Unreachable(String),
}

impl End {
    /// True if it gets an answer that a route meant for it.
    pub fn is_served(&self) -> bool {
        !matches!(self, Self::Refused(..) | Self::NoRoute | Self::Unreachable(_))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(pool) => write!(f, "pool {pool}"),
            Self::Split(shares) => {
                let shares: Vec<String> =
                    shares.iter().map(|(pool, weight)| format!("{pool} {weight}")).collect();
                write!(f, "split between {}", shares.join(", "))
            }
            Self::Respond(status) => write!(f, "fixed response {status}"),
            Self::Redirect(status) => write!(f, "redirect {status}"),
            Self::Files(root) => write!(f, "files of {root}"),
            Self::Refused(status, why) => write!(f, "{status} ({why})"),
            Self::NoRoute => f.write_str("404 (no route for this request)"),
            Self::Unreachable(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.route {
            Some(route) => write!(f, "{} by route {route}", self.end),
            None => self.end.fmt(f),
        }
    }
}

impl Outcome {
    /// A request that no route has seen.
    pub fn without_route(end: End) -> Self {
        Self { route: None, end, target: String::new() }
    }

    /// Where a request ends that came by the listener at this position, and whose body is known to have `body` bytes. The
    /// process is not overloaded, and rate limits are not reached. It asks the functions of the data path.
    pub fn of(snapshot: &Snapshot, listener: usize, request: &impl Planned, body: Option<u64>) -> Self {
        let taken = match route(snapshot, listener, request, body, OverloadStep::None) {
            Ok(Routed::By(taken)) => taken,
            Ok(Routed::ToHttps(to)) => return Self { target: to, ..Self::without_route(End::Redirect(308)) },
            Err(denied) => return Self::denied(snapshot, denied),
        };
        // Where dice decide between pools, their weights are the outcome.
        let (end, target) = match act(snapshot, &taken, request, || 0) {
            Err(denied) => return Self::denied(snapshot, denied),
            Ok(Act::Respond(respond)) => (End::Respond(respond.status), String::new()),
            Ok(Act::Redirect { status, location }) => (End::Redirect(status), location),
            Ok(Act::Files { files, path }) => {
                (End::Files(files.root.display().to_string()), path.into_owned())
            }
            Ok(Act::Forward(pool)) => {
                let path = forwarded(taken.route, request.path(), request.unmerged());
                let target = path.map(|path| rewrite(taken.route, &path).into_owned());
                let pools = match snapshot.split_of(taken.position) {
                    Some(shares) => split(shares),
                    None => End::Pool(snapshot.config.pools[pool].name.clone()),
                };
                (pools, target.unwrap_or_default())
            }
        };
        Self { route: Some(taken.route.name.clone()), end, target }
    }

    fn denied(snapshot: &Snapshot, denied: Denied) -> Self {
        let route = denied.route.map(|route| snapshot.routes.route(route).name.clone());
        let end = match denied.why {
            DenyReason::NoRoute => End::NoRoute,
            why => End::Refused(why.status(), why.to_string()),
        };
        Self { route, end, target: String::new() }
    }
}

/// Shares in the form in which equal distributions are equal.
fn split(shares: &[(PoolName, u32)]) -> End {
    let mut shares: Vec<(PoolName, u32)> = shares.iter().filter(|(_, weight)| *weight > 0).cloned().collect();
    let divisor = shares.iter().fold(0, |divisor, (_, weight)| common_divisor(divisor, *weight)).max(1);
    shares.iter_mut().for_each(|(_, weight)| *weight /= divisor);
    shares.sort();
    match <[_; 1]>::try_from(shares) {
        Ok([(pool, _)]) => End::Pool(pool),
        Err(shares) => End::Split(shares),
    }
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
