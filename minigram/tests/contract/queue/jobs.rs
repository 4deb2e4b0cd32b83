//! The life of a job, case by case.

use std::time::Duration;

use minigram::ports::queue::{Depth, Fate, NewJob, Pushed, Queue, QueueError, Taken};
use minigram::ports::{Retriable, Retry};
use tokio::time::Instant;

use super::policy;
use crate::subject::Subject;

const TOPIC: &str = "thumbnails";

fn job(key: &str) -> NewJob {
    NewJob { topic: TOPIC.into(), key: key.into(), payload: format!("payload of {key}").into() }
}

async fn take(queue: &dyn Queue) -> Option<Taken> {
    queue.take(TOPIC, Duration::ZERO).await.unwrap()
}

pub async fn a_job_is_handed_out_once_and_gone_when_it_is_done(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    assert_eq!(take(queue).await, None);
    assert_eq!(queue.push(&job("a")).await.unwrap(), Pushed::New);
    assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth { ready: 1, ..Depth::default() });
    let taken = take(queue).await.unwrap();
    assert_eq!((&taken.job, taken.attempt), (&job("a"), 1));
    assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth { taken: 1, ..Depth::default() });
    assert_eq!(take(queue).await, None);
    queue.ack(&taken.receipt).await.unwrap();
    subject.pass(policy().visibility).await;
    assert_eq!(take(queue).await, None);
    assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth::default());
}

pub async fn jobs_are_handed_out_in_order_and_by_topic(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    for key in ["a", "b", "c"] {
        queue.push(&job(key)).await.unwrap();
    }
    let other = NewJob { topic: "feeds".into(), ..job("a") };
    assert_eq!(queue.push(&other).await.unwrap(), Pushed::New);
    for key in ["a", "b", "c"] {
        assert_eq!(take(queue).await.unwrap().job, job(key));
    }
    assert_eq!(take(queue).await, None);
    assert_eq!(queue.take("feeds", Duration::ZERO).await.unwrap().unwrap().job, other);
}

pub async fn a_key_is_accepted_once_until_it_is_forgotten(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    assert_eq!(queue.push(&job("a")).await.unwrap(), Pushed::Known);
    let taken = take(queue).await.unwrap();
    assert_eq!(queue.push(&job("a")).await.unwrap(), Pushed::Known);
    queue.ack(&taken.receipt).await.unwrap();
    assert_eq!(queue.push(&job("a")).await.unwrap(), Pushed::Known);
    assert_eq!(take(queue).await, None);
    subject.pass(policy().remembered).await;
    assert_eq!(queue.push(&job("a")).await.unwrap(), Pushed::New);
    assert_eq!(take(queue).await.unwrap().job, job("a"));
}

pub async fn a_job_comes_back_when_its_worker_does_not_answer(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    take(queue).await.unwrap();
    subject.pass(policy().visibility).await;
    assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth { ready: 1, ..Depth::default() });
    let again = take(queue).await.unwrap();
    assert_eq!((again.job, again.attempt), (job("a"), 2));
}

pub async fn a_worker_that_extends_keeps_its_job(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    let taken = take(queue).await.unwrap();
    for _ in 0..4 {
        subject.pass(policy().visibility * 3 / 4).await;
        assert_eq!(take(queue).await, None);
        queue.extend(&taken.receipt).await.unwrap();
    }
    queue.ack(&taken.receipt).await.unwrap();
}

pub async fn a_failed_job_comes_back_after_its_backoff(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    for (attempt, backoff) in [(1, policy().backoff_first), (2, policy().backoff_max)] {
        let taken = take(queue).await.unwrap();
        assert_eq!(taken.attempt, attempt);
        let fate = queue.fail(&taken.receipt, "no disk").await.unwrap();
        assert_eq!(fate, Fate::Again(subject.scaled(backoff)));
        assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth { delayed: 1, ..Depth::default() });
        assert_eq!(take(queue).await, None);
        subject.pass(backoff).await;
    }
    let taken = take(queue).await.unwrap();
    assert_eq!(taken.attempt, 3);
    queue.ack(&taken.receipt).await.unwrap();
}

pub async fn a_job_that_fails_too_often_is_a_dead_letter_until_it_is_replayed(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    for key in ["a", "b"] {
        queue.push(&job(key)).await.unwrap();
        for attempt in 1..=policy().attempts_max {
            let taken = take(queue).await.unwrap();
            let fate = queue.fail(&taken.receipt, &format!("reason {attempt}")).await.unwrap();
            assert_eq!(fate == Fate::Dead, attempt == policy().attempts_max);
            subject.pass(policy().backoff_max).await;
        }
    }
    assert_eq!(take(queue).await, None);
    assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth { dead: 2, ..Depth::default() });
    let dead = queue.dead(TOPIC, 10).await.unwrap();
    assert_eq!(dead.iter().map(|letter| letter.job.clone()).collect::<Vec<_>>(), [job("a"), job("b")]);
    assert_eq!((dead[0].attempts, dead[0].reason.as_str()), (3, "reason 3"));
    assert!(dead[0].died <= dead[1].died && dead[1].died <= subject.now());
    assert_eq!(queue.dead(TOPIC, 1).await.unwrap().len(), 1);
    assert!(queue.dead("feeds", 10).await.unwrap().is_empty());
    assert_eq!(queue.push(&job("a")).await.unwrap(), Pushed::Known);

    let keys = ["a".to_owned(), "absent".to_owned()];
    assert_eq!(queue.replay("feeds", &keys).await.unwrap(), 0);
    assert_eq!(queue.replay(TOPIC, &keys).await.unwrap(), 1);
    let taken = take(queue).await.unwrap();
    assert_eq!((taken.job, taken.attempt), (job("a"), 1));
    queue.ack(&taken.receipt).await.unwrap();
    assert_eq!(queue.dead(TOPIC, 10).await.unwrap().len(), 1);
}

pub async fn a_job_whose_workers_all_vanish_is_a_dead_letter(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    for _ in 0..policy().attempts_max {
        take(queue).await.unwrap();
        subject.pass(policy().visibility).await;
    }
    assert_eq!(take(queue).await, None);
    let dead = queue.dead(TOPIC, 10).await.unwrap();
    assert_eq!((dead[0].job.clone(), dead[0].attempts), (job("a"), policy().attempts_max));
    assert!(!dead[0].reason.is_empty());
}

pub async fn an_answer_that_is_late_changes_nothing_for_the_next_worker(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    let late = take(queue).await.unwrap();
    subject.pass(policy().visibility).await;
    let next = take(queue).await.unwrap();
    let error = queue.fail(&late.receipt, "late").await.unwrap_err();
    assert!(matches!(error, QueueError::Late), "{error}");
    assert_eq!(error.retry(), Retry::Never);
    assert!(matches!(queue.extend(&late.receipt).await, Err(QueueError::Late)));
    assert!(matches!(queue.ack(&late.receipt).await, Err(QueueError::Late)));
    assert_eq!(take(queue).await, None);
    queue.ack(&next.receipt).await.unwrap();
    assert!(matches!(queue.ack(&next.receipt).await, Err(QueueError::Late)));
}

pub async fn a_full_queue_refuses_and_takes_jobs_again_when_one_is_done(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    let max = policy().jobs_max;
    for number in 0..max {
        queue.push(&job(&number.to_string())).await.unwrap();
    }
    let error = queue.push(&job("more")).await.unwrap_err();
    assert!(matches!(error, QueueError::Full(jobs) if jobs == max), "{error}");
    assert_eq!(error.retry(), Retry::Soon);
    assert_eq!(queue.push(&job("0")).await.unwrap(), Pushed::Known);
    let taken = take(queue).await.unwrap();
    assert!(queue.push(&job("more")).await.is_err(), "a job that is being done counts");
    queue.ack(&taken.receipt).await.unwrap();
    assert_eq!(queue.push(&job("more")).await.unwrap(), Pushed::New);
}

pub async fn a_worker_that_waits_gets_the_job_that_is_pushed(subject: Subject<dyn Queue>) {
    let queue = subject.port.clone();
    let started = Instant::now();
    assert_eq!(queue.take(TOPIC, Duration::from_millis(50)).await.unwrap(), None);
    assert!(started.elapsed() >= Duration::from_millis(50));
    let worker = tokio::spawn(async move { queue.take(TOPIC, Duration::from_secs(60)).await.unwrap() });
    subject.port.push(&job("a")).await.unwrap();
    assert_eq!(worker.await.unwrap().unwrap().job, job("a"));
    assert!(started.elapsed() < Duration::from_secs(30));
}

pub async fn workers_share_the_jobs(subject: Subject<dyn Queue>) {
    let jobs: Vec<NewJob> = (0..20).map(|number| job(&format!("{number:02}"))).collect();
    for job in &jobs {
        subject.port.push(job).await.unwrap();
    }
    let mut workers = Vec::new();
    for _ in 0..4 {
        let queue = subject.port.clone();
        workers.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            while let Some(taken) = take(&*queue).await {
                queue.ack(&taken.receipt).await.unwrap();
                keys.push(taken.job.key);
            }
            keys
        }));
    }
    let mut keys = Vec::new();
    for worker in workers {
        keys.extend(worker.await.unwrap());
    }
    keys.sort();
    assert_eq!(keys, jobs.into_iter().map(|job| job.key).collect::<Vec<_>>());
}

pub async fn a_job_that_cannot_be_done_is_a_dead_letter_at_once(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    queue.push(&job("a")).await.unwrap();
    let taken = take(queue).await.unwrap();
    assert_eq!(queue.bury(&taken.receipt, "no such photo").await.unwrap(), Fate::Dead);
    assert!(matches!(queue.ack(&taken.receipt).await, Err(QueueError::Late)));
    assert_eq!(queue.depth(TOPIC).await.unwrap(), Depth { dead: 1, ..Depth::default() });
    let dead = queue.dead(TOPIC, 10).await.unwrap();
    assert_eq!((dead[0].attempts, dead[0].reason.as_str()), (1, "no such photo"));
}

pub async fn the_time_of_the_oldest_job_is_known_until_it_is_done(subject: Subject<dyn Queue>) {
    let queue = &*subject.port;
    assert_eq!(queue.oldest(TOPIC).await.unwrap(), None);
    let begun = subject.now();
    queue.push(&job("a")).await.unwrap();
    let first = queue.oldest(TOPIC).await.unwrap().unwrap();
    // An engine may cut a time to milliseconds where the test's clock rounds up.
    assert!(begun.0 <= first.0 + 1 && first.0 <= subject.now().0, "{begun:?} {first:?}");
    subject.pass(policy().backoff_first).await;
    queue.push(&job("b")).await.unwrap();
    assert_eq!(queue.oldest(TOPIC).await.unwrap(), Some(first));
    queue.ack(&take(queue).await.unwrap().receipt).await.unwrap();
    let second = queue.oldest(TOPIC).await.unwrap().unwrap();
    assert!(second > first && queue.oldest("feeds").await.unwrap().is_none());
}
