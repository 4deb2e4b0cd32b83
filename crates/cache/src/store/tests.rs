//! What requests find in the store, in the order in which they come.

use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::cache::{HostId, TagId, UrlId};

use super::*;
use crate::head::NewHead;
use crate::leader::Refused;
use crate::reader::{Joined, Piece, Why};

mod coded;
mod purges;

type Stored = Arc<Store<u32>>;

const NOW: Time = Time::from_millis(1_000);

fn store() -> Stored {
    sized(1 << 20, Policy::S3Fifo)
}

fn sized(capacity: u64, policy: Policy) -> Stored {
    Store::new(Limits { capacity, policy })
}

fn tags(tags: &str) -> Vec<TagId> {
    tags.split(' ').map(|tag| TagId::of(tag.as_bytes())).collect()
}

fn new(vary: &str) -> NewHead<'_, u32> {
    static TAGS: LazyLock<Vec<TagId>> = LazyLock::new(|| tags("red blue"));
    at("a.test", "/p/x", &TAGS, vary)
}

fn at<'a>(authority: &str, path: &'a str, tags: &'a [TagId], vary: &'a str) -> NewHead<'a, u32> {
    let (url, host) = (UrlId::whole(authority, path, None), HostId::of(authority));
    NewHead { url, host, path, tags, vary: vary.as_bytes(), response: b"200 OK", meta: 7 }
}

fn find(store: &Stored, key: &str) -> Found<u32> {
    store.lookup(key.as_bytes(), NOW, |_| true)
}

fn leader(store: &Stored, key: &str) -> Leader<u32> {
    match find(store, key) {
        Found::Nothing(leader) => leader,
        other => panic!("{key}: {other:?}"),
    }
}

fn follower(store: &Stored, key: &str) -> Reader<u32> {
    match find(store, key) {
        Found::Filling(reader) => reader,
        other => panic!("{key}: {other:?}"),
    }
}

fn object(store: &Stored, key: &str) -> Hit<u32> {
    match find(store, key) {
        Found::Object(hit) => hit,
        other => panic!("{key}: {other:?}"),
    }
}

fn is_there(store: &Stored, key: &str) -> bool {
    matches!(find(store, key), Found::Object(_))
}

/// Stores a body. Returns whether it was stored.
fn put(store: &Stored, key: &str, head: NewHead<'_, u32>, body: &[u8]) -> bool {
    let mut writer = leader(store, key).publish(head, u64::MAX).unwrap();
    writer.push(Bytes::copy_from_slice(body), NOW).is_ok() && writer.finish(Bytes::new(), NOW).is_some()
}

fn head_of(reader: &mut Reader<u32>) -> Poll<Joined<u32>> {
    reader.poll_head(&mut Context::from_waker(Waker::noop()))
}

fn why(reader: &mut Reader<u32>) -> Option<Why> {
    match head_of(reader) {
        Poll::Ready(Joined::Alone(why)) => Some(why),
        _ => None,
    }
}

fn read(reader: &mut Reader<u32>) -> (Vec<u8>, Poll<Piece>) {
    let mut whole = Vec::new();
    loop {
        match reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Piece::Chunk(bytes)) => whole.extend_from_slice(&bytes),
            other => return (whole, other),
        }
    }
}

#[test]
fn what_was_fetched_is_found_with_all_that_it_came_with() {
    let store = store();
    let mut writer = leader(&store, "http://a.test/p/x").publish(new("de"), 1_000).unwrap();
    writer.push(Bytes::from_static(b"one"), NOW).unwrap();
    writer.push(Bytes::from_static(b"two"), NOW).unwrap();
    writer.finish(Bytes::from_static(b"x: y"), NOW).unwrap();
    let hit = object(&store, "http://a.test/p/x");
    let head = hit.object.head();
    let expected = (UrlId::whole("a.test", "/p/x", None), HostId::of("a.test"), "/p/x", &b"de"[..]);
    assert_eq!((head.url(), head.host(), head.path(), head.vary()), expected);
    assert_eq!((head.response(), *head.meta(), head.key()), (&b"200 OK"[..], 7, &b"http://a.test/p/x"[..]));
    assert_eq!(head.tags().collect::<Vec<_>>(), tags("red blue"));
    assert_eq!((hit.object.body_len(), hit.object.trailers()), (6, &b"x: y"[..]));
    assert_eq!(hit.object.chunk_at(0).unwrap(), "onetwo", "small pieces became one");
    assert_eq!(hit.object.chunk_at(4).unwrap(), "wo");
    assert_eq!((hit.object.chunk_at(6), hit.object.chunk_at(u64::MAX)), (None, None));
    let figures = store.figures();
    assert_eq!((figures.objects, figures.filling, figures.bytes), (1, 0, hit.object.bytes()));
}

#[test]
fn one_request_fetches_and_the_others_read_along() {
    let store = store();
    let leader = leader(&store, "k");
    let mut own = leader.reader().unwrap();
    let mut early = follower(&store, "k");
    assert!(head_of(&mut early).is_pending());
    let mut writer = leader.publish(new(""), 1_000).unwrap();
    assert!(matches!(head_of(&mut early), Poll::Ready(Joined::Head(head)) if *head.meta() == 7));
    writer.push(Bytes::from_static(b"one"), NOW).unwrap();
    let mut late = follower(&store, "k");
    assert!(matches!(head_of(&mut late), Poll::Ready(Joined::Head(_))));
    writer.push(Bytes::from_static(b"two"), NOW).unwrap();
    writer.finish(Bytes::new(), NOW).unwrap();
    for reader in [&mut own, &mut early, &mut late] {
        assert_eq!(read(reader), (b"onetwo".to_vec(), Poll::Ready(Piece::End(Bytes::new()))));
    }
    assert!(is_there(&store, "k"));
    assert_eq!(store.figures().coalesced, 2);
}

#[test]
fn a_leader_that_fails_or_vanishes_releases_all_and_the_next_one_leads() {
    let store = store();
    for vanish in [true, false] {
        let leader = leader(&store, "k");
        let mut waiting = [follower(&store, "k"), follower(&store, "k")];
        if vanish {
            drop(leader)
        } else {
            leader.fail()
        }
        assert!(waiting.iter_mut().all(|reader| why(reader) == Some(Why::Failed)));
    }
    drop(leader(&store, "k"));
}

#[test]
fn what_may_not_be_shared_releases_all_and_for_a_while_no_request_waits() {
    let store = store();
    let leader = leader(&store, "k");
    let mut waiting = follower(&store, "k");
    leader.private(NOW, Duration::from_secs(5));
    assert_eq!(why(&mut waiting), Some(Why::Private));
    let (one, two) = (find(&store, "k"), find(&store, "k"));
    assert!(matches!((one, two), (Found::Marked(_), Found::Marked(_))));
    assert!(matches!(find(&store, "other"), Found::Nothing(_)));
    let later = NOW + Duration::from_secs(5);
    assert!(matches!(store.lookup(b"k", later, |_| true), Found::Nothing(_)));
}

#[test]
fn a_marked_key_whose_response_may_be_stored_after_all_is_stored() {
    let store = store();
    leader(&store, "k").private(NOW, Duration::from_secs(5));
    let Found::Marked(ticket) = find(&store, "k") else { panic!("it is marked") };
    let mut writer = ticket.publish(new(""), 1_000).unwrap();
    writer.push(Bytes::from_static(b"body"), NOW).unwrap();
    let mut reader = follower(&store, "k");
    assert!(writer.finish(Bytes::new(), NOW).is_some());
    assert_eq!(read(&mut reader).0, b"body");
    assert!(is_there(&store, "k"));
}

#[test]
fn variants_live_side_by_side_and_each_is_fetched_once() {
    let store = store();
    let want = |vary: &'static str| store.lookup(b"k", NOW, move |head| head.vary() == vary.as_bytes());
    let Found::Nothing(de) = want("de") else { panic!("nothing is there") };
    let Found::Filling(mut en) = want("en") else { panic!("nothing is known of it yet") };
    let mut de = de.publish(new("de"), 1_000).unwrap();
    assert!(matches!(head_of(&mut en), Poll::Ready(Joined::Head(head)) if head.vary() == b"de"));
    let Found::Nothing(en) = want("en") else { panic!("the other does not fit") };
    assert!(matches!(want("en"), Found::Filling(_)));
    assert!(matches!(want("de"), Found::Filling(_)));
    let mut en = en.publish(new("en"), 1_000).unwrap();
    de.push(Bytes::from_static(b"hallo"), NOW).unwrap();
    en.push(Bytes::from_static(b"hello"), NOW).unwrap();
    assert!(de.finish(Bytes::new(), NOW).is_some() && en.finish(Bytes::new(), NOW).is_some());
    for (vary, body) in [("de", "hallo"), ("en", "hello")] {
        assert!(matches!(want(vary), Found::Object(hit) if hit.object.chunk_at(0).unwrap() == body));
    }
    assert!(matches!(want("fr"), Found::Nothing(_)));
    assert_eq!(store.figures().objects, 2);
}

#[test]
fn the_variants_of_a_key_and_its_fetches_are_bounded() {
    let store = store();
    for n in 0..100 {
        let Found::Nothing(leader) = store.lookup(b"k", NOW, |_| false) else { panic!("none fits") };
        let mut writer = leader.publish(new(&n.to_string()), 1_000).unwrap();
        writer.push(Bytes::from_static(b"x"), NOW).unwrap();
        assert!(writer.finish(Bytes::new(), NOW).is_some());
    }
    assert_eq!(store.figures().objects, 32);
    let writers: Vec<_> = std::iter::from_fn(|| match store.lookup(b"k", NOW, |_| false) {
        Found::Nothing(leader) => leader.publish(new("x"), 1_000).ok(),
        _ => None,
    })
    .collect();
    assert_eq!(writers.len(), 16);
    drop(writers);
    assert!(matches!(store.lookup(b"k", NOW, |_| false), Found::Nothing(_)));
}

#[test]
fn a_newer_response_replaces_the_older_one() {
    let store = store();
    assert!(put(&store, "k", new(""), b"old"));
    let old = object(&store, "k").object;
    let Found::Nothing(leader) = store.lookup(b"k", NOW, |_| false) else { panic!("it does not fit") };
    let mut writer = leader.publish(new(""), 1_000).unwrap();
    writer.push(Bytes::from_static(b"new!"), NOW).unwrap();
    writer.finish(Bytes::new(), NOW);
    assert_eq!(object(&store, "k").object.chunk_at(0).unwrap(), "new!");
    assert_eq!(store.figures().objects, 1);
    assert_eq!(old.chunk_at(0).unwrap(), "old", "it lives while it is sent");
}

#[test]
fn one_request_revalidates_and_the_others_may_wait_for_it() {
    let store = store();
    assert!(put(&store, "k", new(""), b"body"));
    let old = object(&store, "k").object;
    let Revalidation::Leader(leader) = store.revalidate(&old) else { panic!("none does") };
    let Revalidation::Running(mut waiting) = store.revalidate(&old) else { panic!("one does") };
    assert!(is_there(&store, "k"), "the stale one may still be used");
    let fresh = leader.freshen(NewHead { meta: 8, ..new("") }, NOW).unwrap();
    assert!(
        matches!(head_of(&mut waiting), Poll::Ready(Joined::Object(object)) if Arc::ptr_eq(&object, &fresh))
    );
    let hit = object(&store, "k");
    assert_eq!(
        (*hit.object.head().meta(), hit.object.chunk_at(0).unwrap()),
        (8, Bytes::from_static(b"body"))
    );
    assert_eq!(store.figures().objects, 1);
    assert!(matches!(store.revalidate(&fresh), Revalidation::Leader(_)));
    let refused = leader_without_object(&store).freshen(new(""), NOW);
    assert_eq!(refused.unwrap_err(), Refused::NothingToFreshen);
}

fn leader_without_object(store: &Stored) -> Leader<u32> {
    leader(store, "other")
}

#[test]
fn a_revalidation_that_brings_a_new_response_is_read_along_and_replaces_the_old_one() {
    let store = store();
    assert!(put(&store, "k", new(""), b"old"));
    let old = object(&store, "k").object;
    let Revalidation::Leader(leader) = store.revalidate(&old) else { panic!("none does") };
    let mut writer = leader.publish(new(""), 1_000).unwrap();
    let Revalidation::Running(mut waiting) = store.revalidate(&old) else { panic!("one does") };
    writer.push(Bytes::from_static(b"new!"), NOW).unwrap();
    writer.finish(Bytes::new(), NOW);
    assert_eq!(read(&mut waiting).0, b"new!");
    assert_eq!(object(&store, "k").object.chunk_at(0).unwrap(), "new!");
}

#[test]
fn a_body_longer_than_may_be_stored_passes_by() {
    let store = store();
    let leader = leader(&store, "k");
    let mut own = leader.reader().unwrap();
    let mut writer = leader.publish(new(""), 10).unwrap();
    writer.push(Bytes::from_static(b"0123456789"), NOW).unwrap();
    let mut other = follower(&store, "k");
    writer.push(Bytes::from_static(b"more"), NOW).unwrap();
    assert!(matches!(find(&store, "k"), Found::Marked(_)), "it is too late to read along");
    drop(own.poll_next(&mut Context::from_waker(Waker::noop())));
    assert_eq!(read(&mut other).0, b"0123456789more");
    assert_eq!(read(&mut own).0, b"more");
    assert!(writer.finish(Bytes::new(), NOW).is_none());
    assert_eq!(read(&mut own).1, Poll::Ready(Piece::End(Bytes::new())));
    assert_eq!(store.figures().objects, 0);
    drop((own, other));
    assert_eq!(store.figures().filling, 0);
}

#[test]
fn a_body_that_breaks_off_is_not_stored() {
    let store = store();
    let mut writer = leader(&store, "k").publish(new(""), 1_000).unwrap();
    let mut reader = follower(&store, "k");
    writer.push(Bytes::from_static(b"half"), NOW).unwrap();
    drop(writer);
    assert_eq!(read(&mut reader).1, Poll::Ready(Piece::Failed));
    drop(leader(&store, "k"));
    assert_eq!((store.figures().objects, store.figures().filling), (0, 0));
}

#[test]
fn an_invalidation_takes_all_variants_and_what_is_being_fetched() {
    let store = store();
    assert!(put(&store, "k", new("a"), b"x"));
    let Found::Nothing(leader) = store.lookup(b"k", NOW, |_| false) else { panic!("none fits") };
    let mut writer = leader.publish(new("b"), 1_000).unwrap();
    store.invalidate(b"k");
    writer.push(Bytes::from_static(b"x"), NOW).unwrap();
    assert!(writer.finish(Bytes::new(), NOW).is_none());
    assert!(matches!(find(&store, "k"), Found::Nothing(_)));
    assert_eq!(store.figures().objects, 0);
}

#[test]
fn texts_that_are_too_long_are_refused_and_release_all() {
    let store = store();
    let long = "x".repeat(70_000);
    let leader = leader(&store, "k");
    let mut waiting = follower(&store, "k");
    assert_eq!(leader.publish(NewHead { path: &long, ..new("") }, 1).unwrap_err(), Refused::TooLong);
    assert_eq!(why(&mut waiting), Some(Why::Failed));
}

#[test]
fn the_limits_change_while_it_is_in_use() {
    let store = sized(1 << 20, Policy::Lru);
    let key = |n: usize| format!("http://a.test/{n}");
    (0..1_500).for_each(|n| assert!(put(&store, &key(n), new(""), &[0; 100])));
    assert_eq!(store.figures().objects, 1_500);
    for policy in Policy::ALL {
        store.set_limits(Limits { capacity: 1 << 20, policy });
        assert_eq!(store.figures().objects, 1_500);
        assert!(is_there(&store, &key(1_499)));
    }
    store.set_limits(Limits { capacity: 100_000, policy: Policy::Fifo });
    let figures = store.figures();
    assert!(figures.bytes <= 100_000 && figures.bytes > 90_000, "{figures:?}");
    assert_eq!(figures.evictions[Policy::Fifo.index()], 1_500 - figures.objects);
    assert_eq!((0..1_500).filter(|&n| is_there(&store, &key(n))).count() as u64, figures.objects);
    store.set_limits(Limits { capacity: 0, policy: Policy::Lfu });
    assert_eq!((store.figures().objects, store.figures().bytes), (0, 0));
    assert!(!put(&store, &key(0), new(""), b"x"), "a store without room passes all by");
    store.set_limits(Limits { capacity: 1 << 20, policy: Policy::Lfu });
    assert!(put(&store, &key(1), new(""), b"x"));
}

mod promises;
