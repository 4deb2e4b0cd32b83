//! The queue on NATS.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use minigram::clock::Clock;
use minigram::ports::queue::{Depth, NewJob, Policy, Pushed, Queue};
use minigram::real::nats::NatsQueue;
use tokio::time::{Instant, sleep};

use super::prefix;
use crate::subject::Subject;
use crate::support::Shared;
use crate::support::nats::Nats;

queue_contract!(queue, crate::real::nats::start_queue);

/// By how much all spans are longer, so that a machine that is slow for a moment does not change what happens.
const PACE: u32 = 4;

const DEADLINE: Duration = Duration::from_secs(20);

fn policy() -> Policy {
    let policy = crate::queue::policy();
    Policy {
        visibility: policy.visibility * PACE,
        backoff_first: policy.backoff_first * PACE,
        backoff_max: policy.backoff_max * PACE,
        remembered: policy.remembered * PACE,
        ..policy
    }
}

async fn start_queue() -> Subject<dyn Queue> {
    static NATS: Shared<Nats> = Shared::new();
    let nats = NATS.get(Nats::start);
    let queue = NatsQueue::connect(&nats.settings(&prefix()), policy()).await.unwrap();
    let subject: Subject<dyn Queue> = Subject::new(Arc::new(queue), Clock::System, nats);
    subject.at_pace(PACE)
}

fn job(key: &str) -> NewJob {
    NewJob { topic: "t".into(), key: key.into(), payload: "p".into() }
}

/// Repeats a call until NATS answers.
async fn eventually<T, E: std::fmt::Display>(call: impl AsyncFn() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(result) => return result,
            Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_all_jobs_are_there_and_each_is_as_it_was() {
    let mut nats = Nats::start();
    let mut settings = nats.settings(&prefix());
    settings.response_timeout = Duration::from_secs(1);
    let policy = Policy { visibility: Duration::from_secs(5), attempts_max: 1, ..policy() };
    let queue = NatsQueue::connect(&settings, policy).await.unwrap();
    for key in ["done", "dead", "taken", "waiting"] {
        assert_eq!(queue.push(&job(key)).await.unwrap(), Pushed::New);
    }
    let take = async || eventually(async || queue.take("t", Duration::ZERO).await).await;
    queue.ack(&take().await.unwrap().receipt).await.unwrap();
    queue.fail(&take().await.unwrap().receipt, "no disk").await.unwrap();
    let taken = take().await.unwrap();

    nats.kill();
    assert!(queue.push(&job("more")).await.is_err());
    nats.resume();

    let depth = eventually(async || queue.depth("t").await).await;
    assert_eq!(depth, Depth { ready: 1, delayed: 0, taken: 1, dead: 1 });
    for key in ["done", "dead", "taken", "waiting"] {
        assert_eq!(queue.push(&job(key)).await.unwrap(), Pushed::Known, "{key}");
    }
    // Whatever NATS delivers again, its worker alone has the job that it took.
    assert_eq!(take().await.unwrap().job, job("waiting"));
    assert_eq!(take().await, None);
    queue.ack(&taken.receipt).await.unwrap();
    assert_eq!(queue.dead("t", 10).await.unwrap()[0].reason, "no disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_lost_while_the_server_crashes_again_and_again() {
    let mut nats = Nats::start();
    let mut settings = nats.settings(&prefix());
    settings.response_timeout = Duration::from_millis(500);
    let policy = Policy { visibility: Duration::from_secs(1), attempts_max: 100, jobs_max: 1000, ..policy() };
    let queue = Arc::new(NatsQueue::connect(&settings, policy).await.unwrap());
    let pusher = tokio::spawn({
        let queue = queue.clone();
        async move {
            for number in 0..200 {
                // A push whose answer was lost is repeated, as the relay does.
                while queue.push(&job(&number.to_string())).await.is_err() {
                    sleep(Duration::from_millis(10)).await;
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut done = BTreeSet::new();
            let begun = Instant::now();
            while done.len() < 200 {
                assert!(begun.elapsed() < 3 * DEADLINE, "{} of 200 jobs arrived", done.len());
                if let Ok(Some(taken)) = queue.take("t", Duration::from_millis(200)).await {
                    drop(queue.ack(&taken.receipt).await);
                    done.insert(taken.job.key);
                }
            }
        }
    });
    for _ in 0..3 {
        sleep(Duration::from_millis(300)).await;
        nats.kill();
        nats.resume();
    }
    pusher.await.unwrap();
    worker.await.unwrap();
}
