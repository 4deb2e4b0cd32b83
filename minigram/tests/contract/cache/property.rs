//! Whatever the order of looks, fills and invalidations: nothing old is served.

use std::time::Duration;

use bytes::Bytes;
use minigram::ports::cache::{Cache, Fill, Found, Key, Kind};
use minigram::ports::position::Position;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::subject::Subject;

const RUNS: usize = 200;

#[derive(Debug, Clone)]
enum Step {
    /// A caller looks, and reads the store's version at once if asked to.
    Look,
    /// The reader with this number among those that are under way stores what it has read.
    Fill(usize),
    Release(usize),
    /// The store's version changes, and the value is invalidated.
    Write,
    Get,
    Set,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Look),
        4 => any::<usize>().prop_map(Step::Fill),
        1 => any::<usize>().prop_map(Step::Release),
        2 => Just(Step::Write),
        4 => Just(Step::Get),
        1 => Just(Step::Set),
        2 => (1..200_u64).prop_map(Step::Pass),
    ]
}

/// A value is its version, and when it was stored.
struct Model {
    version: u64,
    /// When the cached version was last stored.
    stored: Option<u64>,
    reading: Vec<(Fill, u64)>,
}

const TTL_MS: u64 = 300;

pub async fn nothing_is_served_beyond_its_lifetime_or_after_an_invalidation(subject: Subject<dyn Cache>) {
    let mut runner = TestRunner::default();
    for run in 0..RUNS {
        let steps = proptest::collection::vec(step(), 1..40).new_tree(&mut runner).unwrap().current();
        let key = Key::new(Kind::Photo, run);
        let mut model = Model { version: 1, stored: None, reading: Vec::new() };
        for step in &steps {
            apply(&subject, &key, &mut model, step, &steps).await;
        }
    }
}

async fn apply(subject: &Subject<dyn Cache>, key: &Key, model: &mut Model, step: &Step, steps: &[Step]) {
    let (cache, ttl) = (&*subject.port, Duration::from_millis(TTL_MS));
    let text = |version: u64| Bytes::from(version.to_string());
    let now = subject.now().0;
    let mut served = None;
    match step {
        Step::Look => match cache.look(key).await.unwrap() {
            Found::Fresh(value) => served = Some(value),
            Found::Aging(value, fill) => {
                served = Some(value);
                model.reading.push((fill, model.version));
            }
            Found::Missing(fill) => model.reading.push((fill, model.version)),
            Found::Fetching(_) => {}
        },
        Step::Fill(which) if !model.reading.is_empty() => {
            let (fill, version) = model.reading.swap_remove(which % model.reading.len());
            if cache.fill(&fill, text(version), ttl).await.unwrap() {
                model.stored = Some(now);
            }
        }
        Step::Release(which) if !model.reading.is_empty() => {
            let (fill, _) = model.reading.swap_remove(which % model.reading.len());
            cache.release(&fill).await.unwrap();
        }
        Step::Fill(_) | Step::Release(_) => {}
        Step::Write => {
            model.version += 1;
            let written = Position { database: 0, timeline: 1, lsn: model.version };
            cache.invalidate(key, written).await.unwrap();
            model.stored = None;
        }
        Step::Get => served = cache.get(key).await.unwrap(),
        Step::Set => {
            cache.set(key, text(model.version), ttl).await.unwrap();
            model.stored = Some(now);
        }
        Step::Pass(ms) => subject.pass(Duration::from_millis(*ms)).await,
    }
    if let Some(value) = served {
        assert_eq!(value, text(model.version), "an old version was served after {steps:?}");
        let stored = model.stored.unwrap_or_else(|| panic!("served from nowhere after {steps:?}"));
        assert!(now < stored + TTL_MS, "served beyond its lifetime after {steps:?}");
    }
}
