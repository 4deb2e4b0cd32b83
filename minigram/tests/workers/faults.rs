//! Pictures that cannot be decoded, workers that die in mid-job, too many at once, and a queue that is full.

use std::sync::Arc;
use std::time::Duration;

use minigram::clock::Clock;
use minigram::domain::jobs::{FanOut, Thumbnails};
use minigram::embedded::queue::SqliteQueue;
use minigram::engines::Engines;
use minigram::ports::queue::{Policy, Queue};
use minigram::workers::{WorkerSettings, dead_letters};

use crate::gate::GatedBlobs;
use crate::world::{World, eager, png, until};

impl World {
    /// Engines whose blobs stop at a gate.
    pub fn gated(&self) -> (Engines, Arc<GatedBlobs>) {
        let gate = GatedBlobs::new(self.engines.blobs.clone());
        (Engines { blobs: gate.clone(), ..self.engines.clone() }, gate)
    }
}

#[tokio::test]
async fn a_broken_picture_and_a_bomb_become_dead_letters_and_the_worker_goes_on() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let whole = png(300, 300);
    let broken = world.post(ada, whole[..whole.len() / 2].to_vec()).await;
    let bomb = world.post(ada, png(1000, 1001)).await;
    let good = world.post(ada, whole).await;
    let settings = WorkerSettings { thumbnails: 1, pixels_max: 1_000_000, ..eager() };
    let running = world.work(world.engines.clone(), settings);
    world.settled().await;

    assert!(world.is_ready(good).await);
    assert!(!world.is_ready(broken).await && !world.is_ready(bomb).await);
    let queue = &*world.engines.queue;
    let letters = dead_letters::list(queue, &[FanOut::TOPIC, Thumbnails::TOPIC], 10).await.unwrap();
    let dead: Vec<_> = letters.iter().map(|letter| (&*letter.job.key, letter.attempts)).collect();
    assert_eq!(dead, [(&*broken.to_string(), 1), (&*bomb.to_string(), 1)], "no attempt in vain");
    assert!(letters[0].reason.contains("the picture cannot be decoded"), "{}", letters[0].reason);
    let reason = "the picture has 1000 x 1001 pixels; at most 1000000 are allowed";
    assert_eq!(letters[1].reason, reason);

    // A worker that allows more, and a letter that it tries again.
    running.leave.request();
    running.left().await;
    let _running = world.work(world.engines.clone(), eager());
    assert_eq!(dead_letters::replay_all(queue, Thumbnails::TOPIC).await.unwrap(), 2);
    world.settled().await;
    assert!(world.is_ready(bomb).await);
    let letters = dead_letters::list(queue, &[Thumbnails::TOPIC], 10).await.unwrap();
    assert_eq!(letters.len(), 1, "the broken one");
    let keys = [broken.to_string(), "unknown".to_owned()];
    assert_eq!(dead_letters::replay(queue, Thumbnails::TOPIC, &keys).await.unwrap(), 1);
}

#[tokio::test]
async fn a_job_of_a_worker_that_is_killed_is_done_by_another() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let photo = world.post(ada, png(100, 100)).await;
    let (engines, gate) = world.gated();
    let first = world.work(engines, eager());
    until("the job is under way", || async { gate.waiting() == 1 }).await;
    first.kill().await;

    let _second = world.work(world.engines.clone(), eager());
    until("all else is done", || async { world.depth(FanOut::TOPIC).await.ready == 0 }).await;
    assert_eq!(world.depth(Thumbnails::TOPIC).await.taken, 1, "still the first one's");
    world.clock.advance(Policy::default().visibility);
    world.settled().await;
    assert!(world.is_ready(photo).await);
    assert_eq!(world.depth(Thumbnails::TOPIC).await.dead, 0);
}

#[tokio::test]
async fn a_worker_that_is_slow_keeps_its_job_as_long_as_it_extends_it() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let photo = world.post(ada, png(100, 100)).await;
    let (engines, gate) = world.gated();
    let settings = WorkerSettings { extend_every: Duration::from_millis(5), ..eager() };
    let _slow = world.work(engines, settings);
    until("the job is under way", || async { gate.waiting() == 1 }).await;
    // The same queue, as it will look after two thirds of the visibility.
    let visibility = Policy::default().visibility;
    let ahead = Clock::manual(world.clock.now().plus(visibility * 2 / 3));
    let later = SqliteQueue::open(&world.queue_file(), ahead.clone(), Policy::default()).await.unwrap();
    // Twice the visibility, in steps; after each one the worker extends the job.
    for _ in 0..4 {
        world.clock.advance(visibility / 2);
        ahead.advance(visibility / 2);
        let extended = || async { later.depth(Thumbnails::TOPIC).await.unwrap().taken == 1 };
        until("the job is extended", extended).await;
        let taken = world.engines.queue.take(Thumbnails::TOPIC, Duration::ZERO).await.unwrap();
        assert_eq!(taken, None, "no other worker gets it");
    }
    gate.open();
    world.settled().await;
    assert!(world.is_ready(photo).await);
    assert_eq!(world.depth(Thumbnails::TOPIC).await.dead, 0);
}

#[tokio::test]
async fn jobs_that_are_done_at_once_are_bounded() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    for _ in 0..6 {
        world.post(ada, png(20, 20)).await;
    }
    let (engines, gate) = world.gated();
    let _running = world.work(engines, WorkerSettings { thumbnails: 2, decoders: 1, ..eager() });
    until("two are under way", || async { gate.waiting() == 2 }).await;
    until("the others are in the queue", || async { world.depth(Thumbnails::TOPIC).await.ready == 4 }).await;
    assert_eq!((gate.waiting(), world.depth(Thumbnails::TOPIC).await.taken), (2, 2));
    gate.open();
    world.settled().await;
    assert_eq!(world.blob_files(), 6 * 7);
}

#[tokio::test]
async fn jobs_wait_in_the_outbox_while_the_queue_is_full() {
    let world = World::with(Policy { jobs_max: 3, ..Policy::default() }).await;
    let ada = world.user("ada").await;
    let mut photos = Vec::new();
    for _ in 0..5 {
        photos.push(world.post(ada, png(20, 20)).await);
    }
    // A relay alone: the queue fills up, and what does not fit stays.
    let idle = WorkerSettings { fan_out: 0, thumbnails: 0, notify: 0, remove_files: 0, ..eager() };
    let relay = world.work(world.engines.clone(), idle);
    let outbox = || async { world.engines.store.outbox_len().await.unwrap() };
    until("the queue is full", || async { outbox().await == 7 }).await;
    relay.leave.request();
    relay.left().await;
    let _running = world.work(world.engines.clone(), eager());
    until("all photos are ready", || async {
        // Leases of jobs that were refused end, as pauses before further attempts do; visibility should not.
        if world.depth(Thumbnails::TOPIC).await.taken + world.depth(FanOut::TOPIC).await.taken == 0 {
            world.clock.advance(Duration::from_secs(1));
        }
        let mut ready = true;
        for photo in &photos {
            ready &= world.is_ready(*photo).await;
        }
        ready && outbox().await == 0
    })
    .await;
}
