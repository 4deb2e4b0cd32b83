//! What purges and the sweeper do to what is stored, and to fetches under way.

use super::*;

#[test]
fn what_a_purge_is_about_is_gone_and_nothing_else() {
    let rest = |scope: Scope| {
        let store = store();
        let pages = [
            ("a.test", "/a", "red"),
            ("a.test", "/b", "blue"),
            ("a.test", "/b/c", "red blue"),
            ("b.test", "/a", "x"),
        ];
        for (host, path, of) in pages {
            assert!(put(&store, &format!("{host}{path}"), at(host, path, &tags(of), ""), b"x"));
        }
        store.purge(&scope, Strength::Hard);
        let there = pages.map(|(host, path, _)| is_there(&store, &format!("{host}{path}")));
        assert_eq!(store.figures().objects, there.iter().filter(|&&there| there).count() as u64);
        there
    };
    assert_eq!(rest(Scope::url("a.test", "/b", None)), [true, false, true, true]);
    assert_eq!(rest(Scope::prefix("a.test", "/b")), [true, false, false, true]);
    assert_eq!(rest(Scope::host("a.test").unwrap()), [false, false, false, true]);
    assert_eq!(rest(Scope::tag("red")), [false, true, false, true]);
    assert_eq!(rest(Scope::All), [false; 4]);
    assert_eq!(rest(Scope::tag("green")), [true; 4]);
}

#[test]
fn what_a_purge_is_about_is_counted_before_it() {
    let store = store();
    for (host, path, of) in [
        ("a.test", "/a", "red"),
        ("a.test", "/b", "blue"),
        ("a.test", "/b/c", "red blue"),
        ("b.test", "/a", "x"),
    ] {
        assert!(put(&store, &format!("{host}{path}"), at(host, path, &tags(of), ""), b"x"));
    }
    let count = |scope: Scope| store.count([&[scope]]).unwrap()[0];
    let all = || {
        [
            count(Scope::url("a.test", "/b", None)),
            count(Scope::prefix("a.test", "/b")),
            count(Scope::host("a.test").unwrap()),
            count(Scope::tag("red")),
            count(Scope::All),
            count(Scope::host("c.test").unwrap()),
        ]
    };
    assert_eq!(all(), [1, 2, 3, 2, 4, 0]);
    store.purge(&Scope::tag("blue"), Strength::Hard);
    assert_eq!(all(), [0, 0, 1, 1, 2, 0], "what is purged does not count again");
    store.purge(&Scope::All, Strength::Soft(Wall::from_secs(1)));
    assert_eq!(all(), [0, 0, 1, 1, 2, 0], "what is stale is still there");
    let both = [Scope::url("a.test", "/a", None), Scope::host("a.test").unwrap()];
    assert_eq!(store.count([&both, &[Scope::All]]), Some([1, 2]), "one response counts once");
}

#[test]
fn where_much_is_stored_it_is_not_counted() {
    let store = sized(1 << 30, Policy::Lru);
    let put_one = |n: u32| put(&store, &n.to_string(), at("a.test", &format!("/{n}"), &[], ""), b"x");
    assert!((0..8_192).all(put_one));
    assert_eq!(store.count([&[Scope::All]]), Some([8_192]));
    assert!(put_one(8_192));
    assert_eq!(store.count([&[Scope::All]]), None);
}

#[test]
fn a_soft_purge_makes_stale_until_it_is_revalidated() {
    let store = store();
    assert!(put(&store, "k", new(""), b"x"));
    assert_eq!(object(&store, "k").purged, None);
    let since = Wall::from_secs(1_000);
    store.purge(&Scope::tag("red"), Strength::Soft(since));
    assert_eq!((object(&store, "k").purged, object(&store, "k").purged), (Some(since), Some(since)));
    let Revalidation::Leader(leader) = store.revalidate(&object(&store, "k").object) else { panic!() };
    leader.freshen(new(""), NOW).unwrap();
    assert_eq!(object(&store, "k").purged, None);
    store.purge(&Scope::All, Strength::Hard);
    assert!(!is_there(&store, "k"));
}

#[test]
fn what_left_for_the_server_before_a_purge_is_purged() {
    let store = store();
    let mut writer = leader(&store, "k").publish(new(""), 1_000).unwrap();
    let mut before = follower(&store, "k");
    store.purge(&Scope::tag("blue"), Strength::Hard);
    let after = leader(&store, "k");
    writer.push(Bytes::from_static(b"old"), NOW).unwrap();
    assert!(writer.finish(Bytes::new(), NOW).is_none(), "it is not stored");
    assert!(matches!(head_of(&mut before), Poll::Ready(Joined::Head(_))), "it was asked for before");
    let mut writer = after.publish(new(""), 1_000).unwrap();
    writer.push(Bytes::from_static(b"new"), NOW).unwrap();
    assert!(writer.finish(Bytes::new(), NOW).is_some());
    assert!(is_there(&store, "k"));
}

#[test]
fn a_request_after_a_purge_does_not_get_what_was_fetched_before_it() {
    let store = store();
    let leader = leader(&store, "k");
    store.purge(&Scope::host("a.test").unwrap(), Strength::Hard);
    let mut after = follower(&store, "k");
    let _writer = leader.publish(new(""), 1_000).unwrap();
    assert!(matches!(head_of(&mut after), Poll::Ready(Joined::Again)));
    assert!(matches!(find(&store, "k"), Found::Nothing(_)));
}

#[test]
fn the_sweeper_frees_what_is_purged_or_dead_and_forgets_old_purges() {
    let store = store();
    for n in 0..100 {
        let of = tags(if n % 2 == 0 { "even" } else { "odd" });
        assert!(put(&store, &n.to_string(), NewHead { tags: &of, meta: n, ..new("") }, b"x"));
    }
    let before = leader(&store, "asked before the purge");
    store.purge(&Scope::tag("even"), Strength::Hard);
    let mut calls = 1;
    while !store.sweep(7, |&meta| meta < 10) {
        calls += 1;
    }
    assert_eq!((calls, store.figures().objects, store.figures().purged), (15, 45, 50));
    // What the purge was about does not come in behind its back.
    let mut writer = before.publish(NewHead { tags: &tags("even"), ..new("") }, 1_000).unwrap();
    writer.push(Bytes::from_static(b"x"), NOW).unwrap();
    assert!(writer.finish(Bytes::new(), NOW).is_none());
    store.purge(&Scope::tag("nothing"), Strength::Hard);
    assert!(is_there(&store, "51"), "what was stored before is held against new purges alone");
}

#[test]
fn a_purge_of_something_else_changes_nothing_for_a_fetch_under_way() {
    let store = store();
    let leader = leader(&store, "k");
    let mut follower = follower(&store, "k");
    for n in 0..3 {
        store.purge(&Scope::url("a.test", &format!("/other/{n}"), None), Strength::Hard);
        while !store.sweep(7, |_| false) {}
    }
    let mut own = leader.reader().unwrap();
    let mut writer = leader.publish(new(""), 1_000).unwrap();
    assert!(matches!(head_of(&mut own), Poll::Ready(Joined::Head(_))));
    assert!(matches!(head_of(&mut follower), Poll::Ready(Joined::Head(_))));
    writer.push(Bytes::from_static(b"x"), NOW).unwrap();
    while !store.sweep(7, |_| false) {}
    assert!(writer.finish(Bytes::new(), NOW).is_some());
    assert!(is_there(&store, "k"));
}

#[test]
fn a_purge_does_not_take_the_response_from_the_request_that_fetched_it() {
    let store = store();
    let leader = leader(&store, "k");
    store.purge(&Scope::host("a.test").unwrap(), Strength::Hard);
    while !store.sweep(7, |_| false) {}
    let mut own = leader.reader().unwrap();
    let writer = leader.publish(new(""), 1_000).unwrap();
    assert!(matches!(head_of(&mut own), Poll::Ready(Joined::Head(_))));
    assert!(writer.finish(Bytes::new(), NOW).is_none(), "it is not stored");
}
