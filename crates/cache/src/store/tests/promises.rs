//! What holds of the store whatever happens to it.

use proptest::prelude::*;

use super::*;

/// What may happen to a store.
#[derive(Debug, Clone)]
enum Step {
    Ask(u8, u16),
    Purge(u8, bool),
    Invalidate(u8),
    Sweep(u8),
    Limit(u16, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..60_u8, 0..2_000_u16).prop_map(|(key, length)| Step::Ask(key, length)),
        1 => (0..6_u8, any::<bool>()).prop_map(|(tag, soft)| Step::Purge(tag, soft)),
        1 => (0..60_u8).prop_map(Step::Invalidate),
        2 => (0..20_u8).prop_map(Step::Sweep),
        1 => (0..60_000_u16, 0..4_u8).prop_map(|(capacity, policy)| Step::Limit(capacity, policy)),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever happens: no more bytes than allowed, nothing that was purged, and each body under its own key.
    #[test]
    fn the_store_keeps_its_promises(steps in steps()) {
        let store = sized(30_000, Policy::S3Fifo);
        let mut capacity = 30_000;
        // Of each key: the version that may be found, and whether it was purged softly.
        let mut live = std::collections::HashMap::new();
        let mut version = 0_u32;
        for step in steps {
            match step {
                Step::Ask(key, length) => match find(&store, &format!("k{key}")) {
                    Found::Object(hit) => {
                        prop_assert_eq!(live.get(&key), Some(&(*hit.object.head().meta(), hit.purged.is_some())));
                        let body = (0..).map_while({
                            let mut at = 0;
                            move |_: u8| hit.object.chunk_at(at).inspect(|chunk| at += chunk.len() as u64)
                        });
                        prop_assert!(body.flatten().all(|byte| byte == key));
                    }
                    Found::Nothing(leader) => {
                        version += 1;
                        let of = tags(&format!("t{}", key % 6));
                        let head = NewHead { tags: &of, meta: version, ..new("") };
                        let mut writer = leader.publish(head, u64::MAX).unwrap();
                        for _ in 0..3 {
                            // A body that passes by without readers is abandoned.
                            let _ = writer.push(vec![key; usize::from(length)].into(), NOW);
                        }
                        if writer.finish(Bytes::new(), NOW).is_some() {
                            live.insert(key, (version, false));
                        }
                    }
                    // A body that had no room marks its key.
                    Found::Marked(_) => {}
                    Found::Filling(_) | Found::Loading(_) => prop_assert!(false, "nothing is being fetched"),
                },
                Step::Purge(tag, soft) => {
                    let strength = if soft { Strength::Soft(Wall::from_secs(1)) } else { Strength::Hard };
                    store.purge(&Scope::tag(&format!("t{tag}")), strength);
                    if soft {
                        live.iter_mut().filter(|(key, _)| *key % 6 == tag).for_each(|(_, live)| live.1 = true);
                    } else {
                        live.retain(|key, _| key % 6 != tag);
                    }
                }
                Step::Invalidate(key) => {
                    store.invalidate(format!("k{key}").as_bytes());
                    live.remove(&key);
                }
                Step::Sweep(count) => {
                    store.sweep(usize::from(count) + 1, |_| false);
                }
                Step::Limit(new, policy) => {
                    capacity = u64::from(new);
                    store.set_limits(Limits { capacity, policy: Policy::ALL[usize::from(policy)] });
                }
            }
            let figures = store.figures();
            prop_assert!(figures.bytes + figures.filling <= capacity);
            prop_assert_eq!(figures.filling, 0);
        }
        store.set_limits(Limits { capacity: 0, policy: Policy::Fifo });
        let left = (0..60).any(|key| is_there(&store, &format!("k{key}")));
        prop_assert!(!left);
    }
}
