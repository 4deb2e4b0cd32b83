//! Which servers of a pool may be used by their roles: a pure decision about what the checks of all of them have found.
//!
//! Several servers may say at once that they are the primary: one that was stopped and wakes up does not know that another
//! has taken its place. The data say which one is right. PostgreSQL counts timelines, and each promotion begins a higher
//! one. Redis names its history, and a promoted replica also names the history that it continues. A primary that another
//! server of the pool has replaced stays out, even while that other server is down, because its writes would be lost.

use std::fmt;

use evenkeel_config::{DatabaseRole, RoleRule, WhenAllLag};

/// What a check that passed has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The server is well.
    Well,
    /// The server is well, and says this of itself.
    Database(Claim),
}

/// What a database server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its role.
    pub role: DatabaseRole,
    /// To which history its data belong.
    pub lineage: Lineage,
    /// How far it is in the log of writes, in bytes: what a primary has written, what a replica has applied.
    pub position: u64,
    /// The state of a replica's connection to its primary, if that keeps it from being in step; at most 32 bytes.
    pub unsynced: Option<String>,
}

/// To which history the data of a server belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lineage {
    /// PostgreSQL.
    Timeline {
        /// Which cluster it is; all copies of a cluster share this number.
        system: u64,
        /// Each promotion begins a higher one.
        timeline: u32,
    },
    /// Redis.
    Replication {
        /// The replication id of its data.
        id: String,
        /// The replication id that this one continues, if it was promoted.
        before: Option<String>,
    },
}

/// What the decision goes by for one server.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// What it said last; `None` if it has never answered.
    pub claim: Option<&'k Claim>,
    /// By how many bytes it lagged when it said so; `None` if no primary was known then.
    pub lag: Option<u64>,
    /// True if a check of it has ended, whichever way.
    pub is_checked: bool,
    /// True if its checks pass.
    pub is_live: bool,
    /// True if it would get requests: its checks pass, it has a weight, and no operator drains it.
    pub may_serve: bool,
}

/// Whether a server may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has the role.
    Fit,
    /// It does not have the role, or lags, and is used because no other is left.
    StandsIn,
    /// It may not be used.
    Unfit(Unfit),
}

/// Why a server may not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It has not said what it is.
    Unknown,
    /// It is a replica, and a primary is wanted.
    Replica,
    /// It is a primary, and a replica is wanted.
    Primary,
    /// It says that it is the primary, and this server (by its position), which may have taken its place, has not been checked yet.
    Early(usize),
    /// It says that it is the primary, and this server (by its position) has taken its place.
    Replaced(usize),
    /// It says that it is the primary, and so does this server (by its position); nothing shows which of them is newer.
    Disputed(usize),
    /// It is a replica that is not in step with its primary, in this state.
    Unsynced(String),
    /// It is a replica that lags by so many bytes.
    Lags(u64),
}

/// What is decided about a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Of each server.
    pub verdicts: Vec<Verdict>,
    /// The position of the server that is the primary.
    pub holder: Option<usize>,
}

impl Lineage {
    /// True if this history continues the `other` one, which has therefore ended.
    pub fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Timeline { system, timeline },
                Self::Timeline { system: other_system, timeline: other_timeline },
            ) => system == other_system && timeline > other_timeline,
            (Self::Replication { id, before }, Self::Replication { id: other, .. }) => {
                id != other && before.as_ref() == Some(other)
            }
            _ => false,
        }
    }

    /// True if a server that does not answer may still be the only one that has the newest data: a promotion of another one
    /// would show.
    fn binds_the_dead(&self) -> bool {
        matches!(self, Self::Timeline { .. })
    }
}

impl Verdict {
    /// True if the server may be used.
    pub fn is_fit(&self) -> bool {
        !matches!(self, Self::Unfit(_))
    }

    /// True if the sessions on a server must end, whose verdict was `self` and is `now`: it had the role and has lost it. A
    /// replica that lags keeps its sessions, and so does a server that only stood in for others.
    pub fn ends_sessions(&self, now: &Self) -> bool {
        *self == Self::Fit
            && matches!(
                now,
                Self::Unfit(Unfit::Replica | Unfit::Primary | Unfit::Replaced(_) | Unfit::Disputed(_))
            )
    }
}

/// Decides about all servers of a pool; `holder` is the position of the server that was the primary at the last decision.
pub fn judge(rule: &RoleRule, servers: &[Known<'_>], holder: Option<usize>) -> Judgement {
    let contenders = contenders(servers);
    // Of a pool that has had no primary yet, the first server to answer need not be the right one.
    let unchecked = servers.iter().position(|known| !known.is_checked).filter(|_| holder.is_none());
    let holder = match *contenders {
        [only] => Some(only).filter(|_| unchecked.is_none()),
        // It does not answer, and no other has taken its place.
        [] => holder.filter(|holder| reigns(servers, *holder)),
        _ => holder.filter(|holder| contenders.contains(holder)),
    };
    let verdicts = match rule.role {
        None => vec![Verdict::Fit; servers.len()],
        Some(DatabaseRole::Primary) => {
            (0..servers.len()).map(|at| as_primary(servers, at, (holder, unchecked), &contenders)).collect()
        }
        Some(DatabaseRole::Replica) => as_replicas(rule, servers, holder),
    };
    Judgement { verdicts, holder }
}

/// By how many bytes a replica lags: behind the primary as far as that is known, else behind the replica that is furthest.
pub fn lag(servers: &[Known<'_>], holder: Option<usize>, position: u64) -> u64 {
    let of = |at: usize| servers[at].claim.map(|claim| claim.position);
    let furthest = || servers.iter().filter_map(|known| Some(known.claim?.position)).max();
    holder.and_then(of).or_else(furthest).unwrap_or(0).saturating_sub(position)
}

/// The server that has taken the place of the one at `at`, if one has.
fn replaced_by(servers: &[Known<'_>], at: usize) -> Option<usize> {
    let claim = servers[at].claim?;
    servers.iter().position(|other| other.claim.is_some_and(|o| o.lineage.replaces(&claim.lineage)))
}

/// True if a server said last that it is the primary, and no other has replaced it.
fn reigns(servers: &[Known<'_>], at: usize) -> bool {
    servers[at].claim.is_some_and(|claim| claim.role == DatabaseRole::Primary)
        && replaced_by(servers, at).is_none()
}

/// The servers that may be the primary.
fn contenders(servers: &[Known<'_>]) -> Vec<usize> {
    let binds_the_dead = |known: &Known<'_>| known.claim.is_some_and(|claim| claim.lineage.binds_the_dead());
    let contends =
        |at: &usize| reigns(servers, *at) && (servers[*at].is_live || binds_the_dead(&servers[*at]));
    (0..servers.len()).filter(contends).collect()
}

fn as_primary(
    servers: &[Known<'_>],
    at: usize,
    (holder, unchecked): (Option<usize>, Option<usize>),
    contenders: &[usize],
) -> Verdict {
    let Some(claim) = servers[at].claim else { return Verdict::Unfit(Unfit::Unknown) };
    if claim.role == DatabaseRole::Replica {
        return Verdict::Unfit(Unfit::Replica);
    }
    if let Some(by) = replaced_by(servers, at) {
        return Verdict::Unfit(Unfit::Replaced(by));
    }
    let rival = holder.or_else(|| contenders.iter().copied().find(|other| *other != at));
    match (rival.filter(|rival| *rival != at), unchecked) {
        (Some(rival), _) => Verdict::Unfit(Unfit::Disputed(rival)),
        (None, Some(other)) => Verdict::Unfit(Unfit::Early(other)),
        (None, None) => Verdict::Fit,
    }
}

fn as_replicas(rule: &RoleRule, servers: &[Known<'_>], holder: Option<usize>) -> Vec<Verdict> {
    let verdict = |known: &Known<'_>| {
        let Some(claim) = known.claim else { return Verdict::Unfit(Unfit::Unknown) };
        if claim.role == DatabaseRole::Primary {
            return Verdict::Unfit(Unfit::Primary);
        }
        if let Some(state) = &claim.unsynced {
            return Verdict::Unfit(Unfit::Unsynced(state.clone()));
        }
        let lag = known.lag.unwrap_or_else(|| lag(servers, holder, claim.position));
        match rule.lag_max {
            Some(max) if lag > max => Verdict::Unfit(Unfit::Lags(lag)),
            _ => Verdict::Fit,
        }
    };
    let mut verdicts: Vec<Verdict> = servers.iter().map(verdict).collect();
    let is_any_left =
        verdicts.iter().zip(servers).any(|(verdict, known)| verdict.is_fit() && known.may_serve);
    if rule.lag_max.is_none() || is_any_left {
        return verdicts;
    }
    let stand_in = match rule.when_all_lag {
        WhenAllLag::Refuse => None,
        WhenAllLag::Primary => holder.filter(|holder| servers[*holder].may_serve),
        WhenAllLag::Least => {
            let lags = |at: usize| match verdicts[at] {
                Verdict::Unfit(Unfit::Lags(lag)) if servers[at].may_serve => Some(lag),
                _ => None,
            };
            (0..servers.len()).filter(|at| lags(*at).is_some()).min_by_key(|at| lags(*at))
        }
    };
    if let Some(stand_in) = stand_in {
        verdicts[stand_in] = Verdict::StandsIn;
    }
    verdicts
}

/// So many bytes, for people: `512 B`, `3.1 MiB`.
pub fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut amount, mut unit) = (bytes as f64 / 1024.0, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024.0, unit + 1);
    }
    format!("{amount:.1} {}", UNITS[unit])
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.role.word())?;
        match (&self.lineage, self.role) {
            (Lineage::Timeline { timeline, .. }, DatabaseRole::Primary) => write!(f, ", timeline {timeline}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
