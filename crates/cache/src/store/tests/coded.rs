//! Compressed forms of a body: they are found with their object alone, are counted with it, and leave with it.

use evenkeel_core::encoding::Encoding;
use proptest::prelude::*;

use super::*;

/// What stands for a body in a coding: shorter, and different for each body and each coding.
fn form(body: &[u8], encoding: Encoding) -> Vec<u8> {
    let start = (encoding as u8 + 1, body.first().copied().unwrap_or_default());
    [start.0, start.1].into_iter().cycle().take(body.len() / 3).collect()
}

fn whole(chunk_at: impl Fn(u64) -> Option<Bytes>) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(chunk) = chunk_at(whole.len() as u64) {
        whole.extend_from_slice(&chunk);
    }
    whole
}

fn body_of(object: &Object<u32>) -> Vec<u8> {
    whole(|at| object.chunk_at(at))
}

fn coded_of(object: &Object<u32>, encoding: Encoding) -> Option<Vec<u8>> {
    object.coded(encoding).map(|coded| whole(|at| coded.chunk_at(at)))
}

/// Records the form of an object's body in pieces of this many bytes.
fn record(store: &Stored, object: &Arc<Object<u32>>, encoding: Encoding, piece: usize) -> bool {
    let Some(mut recorder) = store.record(object, encoding, 4) else { return false };
    form(&body_of(object), encoding).chunks(piece).for_each(|piece| recorder.push(piece));
    recorder.finish()
}

fn freshen(store: &Stored, object: &Arc<Object<u32>>, meta: u32) -> Arc<Object<u32>> {
    let Revalidation::Leader(leader) = store.revalidate(object) else { panic!("none does") };
    leader.freshen(NewHead { meta, ..new("") }, NOW).unwrap()
}

/// What the objects in the order of eviction occupy, in bytes.
fn sum(store: &Stored) -> u64 {
    let order = store.order();
    let (objects, _) = order.eviction.scan(0, usize::MAX);
    objects.map(|object| object.bytes()).sum()
}

#[test]
fn a_form_is_kept_once_for_each_coding_and_counted() {
    let store = store();
    let body = [9; 3_000];
    assert!(put(&store, "k", new(""), &body));
    let object = object(&store, "k").object;
    let before = store.figures().bytes;
    for encoding in Encoding::ALL {
        assert_eq!(coded_of(&object, encoding), None);
        assert!(store.keep_coded(&object, encoding, 4, form(&body, encoding).into()));
        assert!(!store.keep_coded(&object, encoding, 4, Bytes::from_static(b"another")));
        assert!(store.record(&object, encoding, 4).is_none(), "it is there");
        assert_eq!(coded_of(&object, encoding), Some(form(&body, encoding)));
        assert_eq!(object.coded(encoding).unwrap().body_len(), 1_000);
    }
    let grown = store.figures().bytes - before;
    assert!((3_000..4_000).contains(&grown), "{grown}");
    assert_eq!(sum(&store), store.figures().bytes);
    drop(object);
    store.invalidate(b"k");
    assert_eq!((store.figures().bytes, store.figures().filling), (0, 0));
}

#[test]
fn one_request_records_and_only_what_is_whole_is_kept() {
    let store = store();
    assert!(put(&store, "k", new(""), &[9; 300_000]));
    let object = object(&store, "k").object;
    let mut first = store.record(&object, Encoding::Br, 4).unwrap();
    assert!(store.record(&object, Encoding::Br, 4).is_none());
    assert!(store.record(&object, Encoding::Gzip, 4).is_some(), "another coding");
    first.push(&[1; 50_000]);
    assert!(store.figures().filling >= 50_000);
    drop(first);
    assert_eq!((coded_of(&object, Encoding::Br), store.figures().filling), (None, 0), "it broke off");
    let mut longer = store.record(&object, Encoding::Br, 4).unwrap();
    (0..7).for_each(|_| longer.push(&[1; 50_000]));
    assert_eq!(store.figures().filling, 0, "it is no shorter than the body");
    assert!(!longer.finish());
    assert!(record(&store, &object, Encoding::Br, 16_000));
    assert_eq!(coded_of(&object, Encoding::Br), Some(form(&body_of(&object), Encoding::Br)));
    assert_eq!((sum(&store), store.figures().filling), (store.figures().bytes, 0));
}

#[test]
fn a_form_of_a_higher_level_takes_the_place_of_another() {
    let store = store();
    assert!(put(&store, "k", new(""), &[9; 3_000]));
    let object = object(&store, "k").object;
    assert!(store.keep_coded(&object, Encoding::Gzip, 1, vec![1; 900].into()));
    let quick = object.coded(Encoding::Gzip).unwrap();
    let before = store.figures().bytes;
    assert!(!store.keep_coded(&object, Encoding::Gzip, 1, vec![2; 900].into()));
    assert!(store.keep_coded(&object, Encoding::Gzip, 4, vec![4; 800].into()));
    assert!(store.record(&object, Encoding::Gzip, 2).is_none());
    assert_eq!((object.coded(Encoding::Gzip).unwrap().level(), quick.chunk_at(0).unwrap()[0]), (4, 1));
    assert_eq!((store.figures().bytes, sum(&store)), (before - 100, before - 100));
    assert!(store.figures().filling >= 900, "a client is still sent it");
    drop(quick);
    assert_eq!(store.figures().filling, 0);
}

#[test]
fn what_has_left_the_store_keeps_no_form() {
    let store = store();
    assert!(put(&store, "k", new(""), &[9; 300_000]));
    let old = object(&store, "k").object;
    let mut recorder = store.record(&old, Encoding::Gzip, 4).unwrap();
    recorder.push(&[1; 1_000]);
    store.invalidate(b"k");
    recorder.push(&[1; 1_000]);
    assert!(!recorder.finish());
    assert!(!store.keep_coded(&old, Encoding::Br, 4, Bytes::from_static(b"br")));
    assert!(store.record(&old, Encoding::Br, 4).is_none());
    assert_eq!(store.figures().bytes, 0);
}

#[test]
fn a_form_that_is_sent_after_its_object_has_left_still_counts() {
    let store = store();
    assert!(put(&store, "k", new(""), &[9; 30_000]));
    let held = object(&store, "k").object;
    assert!(record(&store, &held, Encoding::Gzip, 10_000));
    store.invalidate(b"k");
    assert!(store.figures().filling >= 10_000);
    drop(held);
    assert_eq!(store.figures().filling, 0);
}

#[test]
fn what_a_304_renews_keeps_its_forms_and_a_new_body_has_none() {
    let store = store();
    assert!(put(&store, "k", new(""), &[9; 3_000]));
    let old = object(&store, "k").object;
    assert!(record(&store, &old, Encoding::Gzip, 400));
    let fresh = freshen(&store, &old, 8);
    assert_eq!(coded_of(&fresh, Encoding::Gzip), Some(form(&[9; 3_000], Encoding::Gzip)));
    assert!(record(&store, &fresh, Encoding::Br, 400));
    assert_eq!(coded_of(&old, Encoding::Br), None);
    drop(old);
    assert_eq!((sum(&store), store.figures().filling), (store.figures().bytes, 0));
    let Revalidation::Leader(leader) = store.revalidate(&fresh) else { panic!("none does") };
    let mut writer = leader.publish(new(""), u64::MAX).unwrap();
    writer.push(Bytes::from(vec![7; 3_000]), NOW).unwrap();
    let newer = writer.finish(Bytes::new(), NOW).unwrap();
    assert!(Encoding::ALL.into_iter().all(|encoding| coded_of(&newer, encoding).is_none()));
    drop(fresh);
    assert_eq!(store.figures().bytes, newer.bytes());
}

#[test]
fn a_form_makes_room_for_itself_but_for_no_more_than_half_of_the_store() {
    for policy in Policy::ALL {
        let store = sized(40_000, policy);
        for key in 0..9_u8 {
            assert!(put(&store, &format!("k{key}"), new(""), &[key; 4_000]));
        }
        let last = object(&store, "k8").object;
        assert!(record(&store, &last, Encoding::Zstd, 500), "{policy:?}");
        assert!(!store.keep_coded(&last, Encoding::Br, 4, vec![1; 20_000].into()), "{policy:?}");
        assert!(store.figures().bytes <= 40_000 && sum(&store) == store.figures().bytes, "{policy:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u8, u16),
    Keep(u8, usize, u32),
    Record(u8, usize, bool),
    Freshen(u8),
    Invalidate(u8),
    Purge(u8, bool),
    Sweep,
    Limit(u16, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (key, encoding) = (|| 0..8_u8, || 0..3_usize);
    let step = prop_oneof![
        8 => (key(), 10..3_000_u16).prop_map(|(key, length)| Step::Ask(key, length)),
        4 => (key(), encoding(), 1..6_u32).prop_map(|(key, e, level)| Step::Keep(key, e, level)),
        4 => (key(), encoding(), any::<bool>()).prop_map(|(key, e, whole)| Step::Record(key, e, whole)),
        2 => key().prop_map(Step::Freshen),
        1 => key().prop_map(Step::Invalidate),
        1 => (key(), any::<bool>()).prop_map(|(key, soft)| Step::Purge(key, soft)),
        1 => Just(Step::Sweep),
        1 => (5_000..40_000_u16, 0..4_u8).prop_map(|(capacity, policy)| Step::Limit(capacity, policy)),
    ];
    prop::collection::vec(step, 1..200)
}

fn found(store: &Stored, key: u8) -> Option<Arc<Object<u32>>> {
    match find(store, &format!("k{key}")) {
        Found::Object(hit) => Some(hit.object),
        _ => None,
    }
}

fn carry_out(store: &Stored, step: &Step, version: u8) {
    match *step {
        Step::Ask(key, length) => {
            if let Found::Nothing(leader) = find(store, &format!("k{key}")) {
                let of = tags(&format!("t{key}"));
                let mut writer = leader.publish(NewHead { tags: &of, ..new("") }, u64::MAX).unwrap();
                let _ = writer.push(vec![version; usize::from(length)].into(), NOW);
                writer.finish(Bytes::new(), NOW);
            }
        }
        Step::Keep(key, encoding, level) => {
            let encoding = Encoding::ALL[encoding];
            if let Some(object) = found(store, key) {
                store.keep_coded(&object, encoding, level, form(&body_of(&object), encoding).into());
            }
        }
        Step::Record(key, encoding, is_whole) => {
            let encoding = Encoding::ALL[encoding];
            let Some(object) = found(store, key) else { return };
            if is_whole {
                record(store, &object, encoding, 100);
            } else if let Some(mut recorder) = store.record(&object, encoding, 4) {
                recorder.push(b"cut");
            }
        }
        Step::Freshen(key) => {
            if let Some(object) = found(store, key) {
                let Revalidation::Leader(leader) = store.revalidate(&object) else { return };
                let of: Vec<_> = object.head().tags().collect();
                leader.freshen(NewHead { tags: &of, ..new("") }, NOW).unwrap();
            }
        }
        Step::Invalidate(key) => store.invalidate(format!("k{key}").as_bytes()),
        Step::Purge(key, soft) => {
            let strength = if soft { Strength::Soft(Wall::from_secs(1)) } else { Strength::Hard };
            store.purge(&Scope::Tag(TagId::of(format!("t{key}").as_bytes())), strength);
        }
        Step::Sweep => {
            store.sweep(100, |_| false);
        }
        Step::Limit(capacity, policy) => {
            let policy = Policy::ALL[usize::from(policy)];
            store.set_limits(Limits { capacity: capacity.into(), policy });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever happens, a form is that of the body beside it, what is counted is what is there, and nothing is left.
    #[test]
    fn forms_belong_to_their_bodies_and_all_bytes_are_counted(steps in steps()) {
        let store = sized(30_000, Policy::S3Fifo);
        for (version, step) in steps.iter().enumerate() {
            carry_out(&store, step, version as u8);
            for object in (0..8).filter_map(|key| found(&store, key)) {
                let body = body_of(&object);
                for encoding in Encoding::ALL {
                    let coded = coded_of(&object, encoding);
                    prop_assert!(coded.is_none_or(|coded| coded == form(&body, encoding)));
                }
            }
            let figures = store.figures();
            prop_assert_eq!(figures.bytes, sum(&store));
            prop_assert_eq!(figures.filling, 0);
            prop_assert!(figures.bytes <= figures.capacity);
        }
        (0..8).for_each(|key| store.invalidate(format!("k{key}").as_bytes()));
        prop_assert_eq!(store.figures().bytes, 0);
    }
}
