//! Whatever workers do, and however late: no job is lost, and no two have it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use minigram::ports::queue::{Fate, NewJob, Pushed, Queue, QueueError, Taken};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::policy;
use crate::subject::Subject;

const RUNS: usize = 40;

/// Runs of an engine that a test has to wait for, all at once. A run has 8 jobs at most.
const RUNS_AT_ONCE: usize = 12;

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Take,
    /// The worker with this number among those that have a job.
    Ack(usize),
    Fail(usize),
    Extend(usize),
    /// It forgets its job without a word.
    Crash(usize),
    Pass(u64),
    Replay,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_u8).prop_map(Step::Push),
        6 => Just(Step::Take),
        3 => any::<usize>().prop_map(Step::Ack),
        3 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Extend),
        2 => any::<usize>().prop_map(Step::Crash),
        4 => (1..700_u64).prop_map(Step::Pass),
        1 => Just(Step::Replay),
    ]
}

/// What must be true of one topic.
struct Model<'a> {
    subject: &'a Subject<dyn Queue>,
    topic: String,
    /// Accepted and not acknowledged.
    open: BTreeSet<String>,
    /// Until when a worker has a job to itself.
    held: BTreeMap<String, u64>,
    workers: Vec<Taken>,
}

pub async fn no_job_is_lost_and_none_is_handed_to_two_at_once(subject: Subject<dyn Queue>) {
    let mut runner = TestRunner::default();
    let steps = |_| proptest::collection::vec(step(), 1..60).new_tree(&mut runner).unwrap().current();
    let runs = if subject.waits() { RUNS_AT_ONCE } else { RUNS };
    let runs: Vec<Vec<Step>> = (0..runs).map(steps).collect();
    let runs = runs.iter().enumerate().map(|(number, steps)| run(&subject, number, steps));
    if subject.waits() {
        join_all(runs).await;
    } else {
        for run in runs {
            run.await;
        }
    }
}

async fn run(subject: &Subject<dyn Queue>, number: usize, steps: &[Step]) {
    let mut model = Model {
        subject,
        topic: format!("topic {number}"),
        open: BTreeSet::new(),
        held: BTreeMap::new(),
        workers: Vec::new(),
    };
    for step in steps {
        model.apply(step, steps).await;
    }
    model.finish(steps).await;
}

impl Model<'_> {
    async fn apply(&mut self, step: &Step, steps: &[Step]) {
        let queue = &*self.subject.port;
        match step {
            Step::Push(number) => {
                let key = number.to_string();
                let job = NewJob { topic: self.topic.clone(), key: key.clone(), payload: Bytes::new() };
                let pushed = queue.push(&job).await.unwrap();
                let added = self.open.insert(key);
                assert!(pushed == Pushed::Known || added, "accepted twice after {steps:?}");
                if pushed == Pushed::Known && added {
                    // Done before, and its key is remembered.
                    self.open.remove(&number.to_string());
                }
            }
            Step::Take => drop(self.take(steps).await),
            Step::Pass(ms) => self.subject.pass(Duration::from_millis(*ms)).await,
            Step::Replay => {
                let dead = queue.dead(&self.topic, 100).await.unwrap();
                let keys: Vec<String> = dead.into_iter().map(|letter| letter.job.key).collect();
                let replayed = queue.replay(&self.topic, &keys).await.unwrap();
                assert_eq!(replayed, keys.len() as u64);
            }
            Step::Ack(worker) | Step::Fail(worker) | Step::Extend(worker) | Step::Crash(worker) => {
                if !self.workers.is_empty() {
                    let taken = self.workers.swap_remove(worker % self.workers.len());
                    self.answer(step, taken).await;
                }
            }
        }
    }

    async fn take(&mut self, steps: &[Step]) -> Option<Taken> {
        let asked = self.subject.now().0;
        let taken = self.subject.port.take(&self.topic, Duration::ZERO).await.unwrap()?;
        let key = &taken.job.key;
        assert!(self.open.contains(key), "{key} was handed out although it was done: {steps:?}");
        assert!((1..=policy().attempts_max).contains(&taken.attempt), "{taken:?} after {steps:?}");
        let now = self.subject.now().0;
        let visibility = u64::try_from(self.subject.scaled(policy().visibility).as_millis()).unwrap();
        let until = self.held.insert(key.clone(), asked + visibility).unwrap_or(0);
        assert!(until <= now, "{key} was handed to two at once: {steps:?}");
        self.workers.push(taken.clone());
        Some(taken)
    }

    async fn answer(&mut self, step: &Step, taken: Taken) {
        let queue = &*self.subject.port;
        let key = taken.job.key.clone();
        match step {
            Step::Ack(_) => match queue.ack(&taken.receipt).await {
                Ok(()) => {
                    self.open.remove(&key);
                    self.held.remove(&key);
                }
                Err(QueueError::Late) => {}
                Err(error) => panic!("{error}"),
            },
            Step::Fail(_) => match queue.fail(&taken.receipt, "reason").await {
                Ok(fate) => {
                    assert_eq!(fate == Fate::Dead, taken.attempt == policy().attempts_max);
                    self.held.remove(&key);
                }
                Err(QueueError::Late) => {}
                Err(error) => panic!("{error}"),
            },
            Step::Extend(_) => {
                let asked = self.subject.now().0;
                match queue.extend(&taken.receipt).await {
                    Ok(()) => {
                        let visibility =
                            u64::try_from(self.subject.scaled(policy().visibility).as_millis()).unwrap();
                        self.held.insert(key, asked + visibility);
                    }
                    Err(QueueError::Late) => {}
                    Err(error) => panic!("{error}"),
                }
                self.workers.push(taken);
            }
            _ => {}
        }
    }

    /// Every open job is a dead letter, or comes to a worker that does it.
    async fn finish(mut self, steps: &[Step]) {
        let most = policy().visibility + policy().backoff_max;
        for _ in 0..=policy().attempts_max {
            self.subject.pass(most).await;
            while let Some(taken) = self.take(steps).await {
                self.subject.port.ack(&taken.receipt).await.unwrap();
                self.open.remove(&taken.job.key);
            }
        }
        let dead = self.subject.port.dead(&self.topic, 100).await.unwrap();
        let dead: BTreeSet<String> = dead.into_iter().map(|letter| letter.job.key).collect();
        assert_eq!(self.open, dead, "jobs were lost, or died although they were done: {steps:?}");
    }
}
