//! The roles of a pool's servers: what each has said last, and what follows from it for all of them.

use std::time::Duration;

use evenkeel_config::{DatabaseRole, RoleRule};
use evenkeel_types::{BackendId, Time};

use super::pool::PoolHealth;
use super::role::{self, Claim, Known, Unfit, Verdict, bytes_in_words};
use super::state::State;

/// For how long a pool without a usable server is checked more often: longer than a promotion takes, so that a pool that
/// stays without a server does not burden the others for ever.
const SEARCH_FOR: Duration = Duration::from_secs(60);

/// What is remembered of a pool whose servers must have a role.
#[derive(Debug, Clone)]
pub(super) struct Roles {
    rule: RoleRule,
    /// The server that is the primary.
    holder: Option<BackendId>,
    /// Since when no server may be used.
    searching: Option<Time>,
}

/// What a server has said of its role.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub claim: Option<Claim>,
    /// By how many bytes it lagged then; `None` if no primary was known.
    lag: Option<u64>,
    /// True once a check of it has ended.
    pub is_checked: bool,
    /// How many of its terms have ended.
    pub terms: u64,
}

/// What a database server is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleFacts {
    /// Its role.
    pub role: DatabaseRole,
    /// The timeline of PostgreSQL, or `None`.
    pub timeline: Option<u32>,
    /// By how many bytes a replica lags.
    pub lag: Option<u64>,
}

impl Roles {
    pub(super) fn new(rule: Option<&RoleRule>) -> Option<Self> {
        Some(Self { rule: *rule?, holder: None, searching: None })
    }
}

impl Standing {
    /// Another server has come to the same id, or it is checked in another way.
    pub(super) fn forget(&mut self) {
        (self.claim, self.is_checked) = (None, false);
    }
}

impl PoolHealth {
    /// Takes over the rule of a new configuration.
    pub(super) fn reconfigure_roles(&mut self, rule: Option<&RoleRule>) {
        let holder = self.roles.take().and_then(|roles| roles.holder);
        self.roles = Roles::new(rule).map(|roles| Roles { holder, ..roles });
    }

    /// Notes what a server says of itself.
    pub(super) fn note_claim(&mut self, server: &BackendId, claim: Claim) {
        let holder = self.holder();
        let lag = match (claim.role, holder) {
            (DatabaseRole::Replica, Some(holder)) => {
                Some(role::lag(&self.known(), Some(holder), claim.position))
            }
            _ => None,
        };
        if let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server) {
            (member.standing.claim, member.standing.lag) = (Some(claim), lag);
        }
    }

    /// Decides anew about the roles of all servers.
    pub(super) fn judge_roles(&mut self, now: Time) {
        let Some(rule) = self.roles.as_ref().map(|roles| roles.rule) else { return };
        let judgement = role::judge(&rule, &self.known(), self.holder());
        let ids: Vec<BackendId> = self.members.iter().map(|member| member.backend.id.clone()).collect();
        let mut version = 0;
        for (member, verdict) in self.members.iter_mut().zip(judgement.verdicts) {
            let reason = reason(&verdict, &member.standing, &ids);
            let before = member.health.judge(Some((verdict.clone(), reason)));
            let Some(before) = before.filter(|before| *before != verdict) else { continue };
            if before.ends_sessions(&verdict) {
                member.standing.terms += 1;
                version += 1;
            }
            // By how much a server lags changes all the time.
            let is_same = matches!(
                (&before, &verdict),
                (Verdict::Unfit(Unfit::Lags(_)), Verdict::Unfit(Unfit::Lags(_)))
            );
            version += u64::from(!is_same);
        }
        self.version += version;
        if let Some(roles) = &mut self.roles {
            roles.holder = judgement.holder.map(|holder| ids[holder].clone());
        }
        self.note_search(now);
    }

    /// Notes whether the pool looks for a server that may be used. A server whose last check failed does not count.
    pub(super) fn note_search(&mut self, now: Time) {
        let is_served = self.members.iter().any(|member| member.is_usable() && !member.health.is_in_doubt());
        if let Some(roles) = &mut self.roles {
            roles.searching = if is_served { None } else { roles.searching.or(Some(now)) };
        }
    }

    /// True while the servers are checked more often, because none of them may be used.
    pub fn is_searching(&self, now: Time) -> bool {
        let since = self.roles.as_ref().and_then(|roles| roles.searching);
        since.is_some_and(|since| now.since(since) < SEARCH_FOR)
    }

    /// When a server is probed next, the last probe having begun at `began`.
    pub fn next_probe(&self, server: &BackendId, began: Time, rng: &mut fastrand::Rng) -> Option<Time> {
        self.server(server)?.next_probe(began, self.is_searching(began), rng)
    }

    /// What a server is, if it is a database whose role matters.
    pub fn role(&self, server: &BackendId) -> Option<RoleFacts> {
        let at = self.members.iter().position(|member| member.backend.id == *server)?;
        let standing = &self.members[at].standing;
        let claim = standing.claim.as_ref()?;
        let lag = || standing.lag.unwrap_or_else(|| role::lag(&self.known(), self.holder(), claim.position));
        Some(RoleFacts {
            role: claim.role,
            timeline: match claim.lineage {
                role::Lineage::Timeline { timeline, .. } => Some(timeline),
                role::Lineage::Replication { .. } => None,
            },
            lag: (claim.role == DatabaseRole::Replica).then(lag),
        })
    }

    /// The present term of each server, in the order of the configuration.
    pub fn terms(&self) -> impl ExactSizeIterator<Item = u64> {
        self.members.iter().map(|member| member.standing.terms)
    }

    fn holder(&self) -> Option<usize> {
        let holder = self.roles.as_ref()?.holder.as_ref()?;
        self.members.iter().position(|member| member.backend.id == *holder)
    }

    fn known(&self) -> Vec<Known<'_>> {
        let known = self.members.iter().map(|member| {
            let is_live = member.health.passes_checks();
            let is_drained = matches!(member.health.state(), State::Draining | State::Disabled);
            Known {
                claim: member.standing.claim.as_ref(),
                lag: member.standing.lag,
                is_checked: member.standing.is_checked,
                is_live,
                may_serve: is_live && !is_drained && member.backend.weight > 0,
            }
        });
        known.collect()
    }
}

/// Why a server may be used or not, for people.
fn reason(verdict: &Verdict, standing: &Standing, ids: &[BackendId]) -> String {
    let timeline = standing.claim.as_ref().map(|claim| format!("it says {claim}")).unwrap_or_default();
    match verdict {
        Verdict::Fit => standing.claim.as_ref().map(ToString::to_string).unwrap_or_default(),
        Verdict::StandsIn => match standing.claim.as_ref().map(|claim| claim.role) {
            Some(DatabaseRole::Primary) => "primary, used because no replica is fresh".into(),
            _ => "replica that lags least, used because all lag".into(),
        },
        Verdict::Unfit(Unfit::Unknown) => "role not known yet".into(),
        Verdict::Unfit(Unfit::Replica) => "replica".into(),
        Verdict::Unfit(Unfit::Primary) => "primary".into(),
        Verdict::Unfit(Unfit::Early(other)) => {
            format!("{timeline}, but the first check of {} has not ended", ids[*other])
        }
        Verdict::Unfit(Unfit::Replaced(by)) => {
            format!("{timeline}, but {} has replaced it", ids[*by])
        }
        Verdict::Unfit(Unfit::Disputed(with)) => {
            format!("{timeline}, and so does {}: nothing shows which one is newer", ids[*with])
        }
        Verdict::Unfit(Unfit::Unsynced(state)) => format!("replica without its primary: {state}"),
        Verdict::Unfit(Unfit::Lags(lag)) => format!("lags by {}", bytes_in_words(*lag)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
