//! Who is right when several servers say that they are the primary, and which replicas are fresh enough.

use evenkeel_config::{DatabaseRole, RoleRule, WhenAllLag};

use super::*;

const PRIMARY: RoleRule =
    RoleRule { role: Some(DatabaseRole::Primary), lag_max: None, when_all_lag: WhenAllLag::Least };

fn replicas(lag_max: u64, when_all_lag: WhenAllLag) -> RoleRule {
    RoleRule { role: Some(DatabaseRole::Replica), lag_max: Some(lag_max), when_all_lag }
}

fn postgres(role: DatabaseRole, timeline: u32, position: u64) -> Claim {
    Claim { role, lineage: Lineage::Timeline { system: 7, timeline }, position, unsynced: None }
}

fn primary(timeline: u32) -> Claim {
    postgres(DatabaseRole::Primary, timeline, 1000)
}

fn replica(timeline: u32, position: u64) -> Claim {
    postgres(DatabaseRole::Replica, timeline, position)
}

fn redis(role: DatabaseRole, id: &str, before: Option<&str>) -> Claim {
    let lineage = Lineage::Replication { id: id.into(), before: before.map(Into::into) };
    Claim { role, lineage, position: 0, unsynced: None }
}

fn live(claim: &Claim) -> Known<'_> {
    Known { claim: Some(claim), lag: None, is_checked: true, is_live: true, may_serve: true }
}

fn dead(claim: &Claim) -> Known<'_> {
    Known { is_live: false, may_serve: false, ..live(claim) }
}

const UNKNOWN: Known<'_> =
    Known { claim: None, lag: None, is_checked: false, is_live: false, may_serve: false };
/// Its checks have failed from the first.
const SILENT: Known<'_> = Known { is_checked: true, ..UNKNOWN };

fn unfit(why: Unfit) -> Verdict {
    Verdict::Unfit(why)
}

#[track_caller]
fn check(
    rule: &RoleRule,
    servers: &[Known<'_>],
    before: Option<usize>,
    verdicts: &[Verdict],
    holder: Option<usize>,
) {
    let expected = Judgement { verdicts: verdicts.to_vec(), holder };
    assert_eq!(judge(rule, servers, before), expected);
}

#[test]
fn the_primary_serves_and_its_replicas_do_not() {
    let (a, b) = (primary(1), replica(1, 900));
    let replica = unfit(Unfit::Replica);
    check(&PRIMARY, &[live(&a), live(&b)], None, &[Verdict::Fit, replica.clone()], Some(0));
    check(&PRIMARY, &[live(&b), UNKNOWN], None, &[replica, unfit(Unfit::Unknown)], None);
}

#[test]
fn the_highest_timeline_is_right_whichever_was_first() {
    let (old, new) = (primary(1), primary(2));
    for before in [None, Some(0), Some(1)] {
        let verdicts = [unfit(Unfit::Replaced(1)), Verdict::Fit];
        check(&PRIMARY, &[live(&old), live(&new)], before, &verdicts, Some(1));
    }
}

#[test]
fn the_first_primary_waits_until_every_server_was_checked_once() {
    let (old, new) = (primary(1), primary(2));
    let (early, unknown) = (unfit(Unfit::Early(1)), unfit(Unfit::Unknown));
    check(&PRIMARY, &[live(&old), UNKNOWN], None, &[early, unknown.clone()], None);
    let replaced = unfit(Unfit::Replaced(1));
    check(&PRIMARY, &[live(&old), live(&new)], None, &[replaced, Verdict::Fit], Some(1));
    check(&PRIMARY, &[live(&old), SILENT], None, &[Verdict::Fit, unknown.clone()], Some(0));
    // A server that is added later takes nothing from the one that is the primary.
    check(&PRIMARY, &[live(&old), UNKNOWN], Some(0), &[Verdict::Fit, unknown], Some(0));
}

#[test]
fn a_primary_that_was_replaced_stays_out_while_its_successor_is_down() {
    let (old, new) = (primary(1), primary(2));
    let verdicts = [unfit(Unfit::Replaced(1)), Verdict::Fit];
    check(&PRIMARY, &[live(&old), dead(&new)], Some(1), &verdicts, Some(1));
    // A replica on the newer timeline is proof enough that there was a successor.
    let follower = replica(2, 10);
    check(
        &PRIMARY,
        &[live(&old), live(&follower)],
        Some(0),
        &[unfit(Unfit::Replaced(1)), unfit(Unfit::Replica)],
        None,
    );
}

#[test]
fn a_successor_that_was_built_anew_from_the_old_primary_replaces_it_no_more() {
    let (old, rebuilt) = (primary(1), replica(1, 0));
    check(&PRIMARY, &[live(&old), live(&rebuilt)], None, &[Verdict::Fit, unfit(Unfit::Replica)], Some(0));
}

#[test]
fn of_two_on_one_timeline_the_one_that_served_goes_on_and_without_one_neither_does() {
    let (a, b) = (primary(2), primary(2));
    let both = [unfit(Unfit::Disputed(1)), unfit(Unfit::Disputed(0))];
    check(&PRIMARY, &[live(&a), live(&b)], None, &both, None);
    check(&PRIMARY, &[live(&a), live(&b)], Some(1), &[unfit(Unfit::Disputed(1)), Verdict::Fit], Some(1));
    // Not even when it is down: what it has, the other one lacks.
    check(&PRIMARY, &[live(&a), dead(&b)], Some(1), &[unfit(Unfit::Disputed(1)), Verdict::Fit], Some(1));
}

#[test]
fn timelines_of_different_clusters_say_nothing_about_each_other() {
    let a = primary(1);
    let b = Claim { lineage: Lineage::Timeline { system: 8, timeline: 5 }, ..primary(5) };
    let both = [unfit(Unfit::Disputed(1)), unfit(Unfit::Disputed(0))];
    check(&PRIMARY, &[live(&a), live(&b)], None, &both, None);
}

#[test]
fn the_primary_keeps_its_role_while_its_checks_fail() {
    let (a, b) = (primary(1), replica(1, 0));
    check(&PRIMARY, &[dead(&a), live(&b)], Some(0), &[Verdict::Fit, unfit(Unfit::Replica)], Some(0));
    let (a, b) = (redis(DatabaseRole::Primary, "x", None), redis(DatabaseRole::Replica, "x", None));
    check(&PRIMARY, &[dead(&a), live(&b)], Some(0), &[Verdict::Fit, unfit(Unfit::Replica)], Some(0));
}

#[test]
fn a_promoted_redis_names_the_history_that_it_continues() {
    let old = redis(DatabaseRole::Primary, "a", None);
    let new = redis(DatabaseRole::Primary, "b", Some("a"));
    for (before, known) in [(Some(0), live(&old)), (None, live(&old)), (Some(0), dead(&old))] {
        check(&PRIMARY, &[known, live(&new)], before, &[unfit(Unfit::Replaced(1)), Verdict::Fit], Some(1));
    }
}

#[test]
fn a_redis_that_restarts_empty_does_not_take_over_and_one_that_is_down_blocks_no_other() {
    let (empty, other) = (redis(DatabaseRole::Primary, "c", None), redis(DatabaseRole::Primary, "b", None));
    let kept = [unfit(Unfit::Disputed(1)), Verdict::Fit];
    check(&PRIMARY, &[live(&empty), live(&other)], Some(1), &kept, Some(1));
    check(&PRIMARY, &[dead(&empty), live(&other)], Some(0), &kept, Some(1));
}

#[test]
fn replicas_serve_reads_as_long_as_they_are_fresh() {
    let (a, near, far) = (primary(1), replica(1, 950), replica(1, 800));
    let servers = [live(&a), live(&near), live(&far)];
    let verdicts = [unfit(Unfit::Primary), Verdict::Fit, unfit(Unfit::Lags(200))];
    check(&replicas(100, WhenAllLag::Least), &servers, None, &verdicts, Some(0));
    let any = RoleRule { lag_max: None, ..replicas(0, WhenAllLag::Least) };
    check(&any, &servers, None, &[unfit(Unfit::Primary), Verdict::Fit, Verdict::Fit], Some(0));
}

#[test]
fn the_lag_that_counts_is_that_of_the_moment_when_the_replica_answered() {
    let (a, b) = (primary(1), replica(1, 0));
    let servers = [live(&a), Known { lag: Some(5), ..live(&b) }];
    check(
        &replicas(100, WhenAllLag::Refuse),
        &servers,
        None,
        &[unfit(Unfit::Primary), Verdict::Fit],
        Some(0),
    );
}

#[test]
fn when_all_lag_the_rule_says_who_stands_in() {
    let (a, near, far) = (primary(1), replica(1, 500), replica(1, 100));
    let servers = [live(&a), live(&far), live(&near)];
    let [lags_900, lags_500] = [900, 500].map(|lag| unfit(Unfit::Lags(lag)));
    let primary = unfit(Unfit::Primary);
    for (when_all_lag, verdicts) in [
        (WhenAllLag::Least, [primary.clone(), lags_900.clone(), Verdict::StandsIn]),
        (WhenAllLag::Primary, [Verdict::StandsIn, lags_900.clone(), lags_500.clone()]),
        (WhenAllLag::Refuse, [primary.clone(), lags_900.clone(), lags_500]),
    ] {
        check(&replicas(100, when_all_lag), &servers, None, &verdicts, Some(0));
    }
    // A replica that is down or drained does not stand in.
    let servers = [live(&a), live(&far), Known { may_serve: false, ..live(&near) }];
    let verdicts = [primary, Verdict::StandsIn, unfit(Unfit::Lags(500))];
    check(&replicas(100, WhenAllLag::Least), &servers, None, &verdicts, Some(0));
}

#[test]
fn the_primary_stands_in_for_replicas_that_are_down_but_never_once_it_was_replaced() {
    let (old, new, down) = (primary(1), primary(2), replica(1, 1000));
    let rule = replicas(100, WhenAllLag::Primary);
    let servers = [live(&old), dead(&down)];
    check(&rule, &servers, None, &[Verdict::StandsIn, Verdict::Fit], Some(0));
    let servers = [live(&old), dead(&down), dead(&new)];
    check(&rule, &servers, Some(2), &[unfit(Unfit::Primary), Verdict::Fit, unfit(Unfit::Primary)], Some(2));
}

#[test]
fn a_replica_out_of_step_with_its_primary_is_not_used_and_does_not_stand_in() {
    let (a, b) = (redis(DatabaseRole::Primary, "a", None), redis(DatabaseRole::Replica, "a", None));
    let b = Claim { unsynced: Some("handshake".into()), ..b };
    let verdicts = [unfit(Unfit::Primary), unfit(Unfit::Unsynced("handshake".into()))];
    check(&replicas(100, WhenAllLag::Least), &[live(&a), live(&b)], None, &verdicts, Some(0));
}

#[test]
fn without_a_primary_replicas_are_compared_with_the_one_that_is_furthest() {
    let (near, far) = (replica(1, 1000), replica(1, 100));
    let verdicts = [Verdict::Fit, unfit(Unfit::Lags(900))];
    check(&replicas(100, WhenAllLag::Least), &[live(&near), live(&far)], None, &verdicts, None);
}

/// All claims of a server that a pool may hear, and none.
fn all() -> Vec<Option<Claim>> {
    let claims = [1, 2].into_iter().flat_map(|timeline| [primary(timeline), replica(timeline, 500)]);
    claims.map(Some).chain([None]).collect()
}

#[test]
fn whatever_three_servers_say_one_primary_at_most_serves_and_none_that_was_replaced() {
    let all = all();
    for claims in
        (0..all.len().pow(3)).map(|n| [n % all.len(), n / all.len() % all.len(), n / all.len().pow(2)])
    {
        for (alive, before) in (0..8).flat_map(|alive| [None, Some(0), Some(1), Some(2)].map(|b| (alive, b)))
        {
            let servers = [0, 1, 2].map(|at| {
                let is_live = alive >> at & 1 == 1;
                let claim = all[claims[at]].as_ref();
                let is_checked = is_live || claim.is_some();
                Known { claim, lag: None, is_checked, is_live, may_serve: is_live }
            });
            let judgement = judge(&PRIMARY, &servers, before);
            let fit: Vec<usize> = (0..3).filter(|at| judgement.verdicts[*at].is_fit()).collect();
            assert!(fit.len() <= 1, "{servers:?} {before:?}");
            for at in fit {
                let claim = servers[at].claim.unwrap();
                assert_eq!(claim.role, DatabaseRole::Primary);
                let newest = servers
                    .iter()
                    .filter_map(|known| known.claim)
                    .all(|c| !c.lineage.replaces(&claim.lineage));
                assert!(newest, "{servers:?}");
                assert_eq!(judgement.holder, Some(at));
            }
            for when_all_lag in [WhenAllLag::Least, WhenAllLag::Primary, WhenAllLag::Refuse] {
                let judgement = judge(&replicas(100, when_all_lag), &servers, before);
                let served = (0..3).filter(|at| judgement.verdicts[*at].is_fit() && servers[*at].may_serve);
                let primaries: Vec<usize> =
                    served.filter(|at| servers[*at].claim.unwrap().role == DatabaseRole::Primary).collect();
                assert!(primaries.is_empty() || when_all_lag == WhenAllLag::Primary);
                assert!(primaries.len() <= 1);
            }
        }
    }
}

#[test]
fn sessions_end_when_the_role_is_lost_and_not_when_a_replica_falls_behind() {
    let lost = [Unfit::Replica, Unfit::Primary, Unfit::Replaced(0), Unfit::Disputed(0)];
    assert!(lost.into_iter().all(|why| Verdict::Fit.ends_sessions(&unfit(why))));
    let kept =
        [unfit(Unfit::Lags(1)), unfit(Unfit::Unsynced("sync".into())), Verdict::StandsIn, Verdict::Fit];
    assert!(kept.iter().all(|now| !Verdict::Fit.ends_sessions(now)));
    assert!(!Verdict::StandsIn.ends_sessions(&unfit(Unfit::Primary)), "it only stood in");
    assert!(!unfit(Unfit::Unknown).ends_sessions(&unfit(Unfit::Replica)));
}

#[test]
fn bytes_are_written_for_people() {
    for (bytes, words) in
        [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3_250_586, "3.1 MiB"), (1 << 40, "1.0 TiB")]
    {
        assert_eq!(bytes_in_words(bytes), words);
    }
}
