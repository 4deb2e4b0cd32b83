//! What purges and the sweeper do to a fetch under way.

use super::*;

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
