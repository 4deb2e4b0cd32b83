//! Workers that are asked to leave: they finish what they can, and give the rest back.

use std::time::Duration;

use minigram::domain::jobs::Thumbnails;
use minigram::workers::WorkerSettings;

use crate::world::{World, eager, png, until};

#[tokio::test]
async fn a_worker_that_leaves_takes_no_job_and_finishes_the_one_it_has() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let first = world.post(ada, png(20, 20)).await;
    let (engines, gate) = world.gated();
    let running = world.work(engines, WorkerSettings { thumbnails: 1, ..eager() });
    until("the job is under way", || async { gate.waiting() == 1 }).await;
    let second = world.post(ada, png(20, 20)).await;
    until("the other one is in the queue", || async { world.depth(Thumbnails::TOPIC).await.ready == 1 })
        .await;
    running.leave.request();
    gate.open();
    running.left().await;
    assert!(world.is_ready(first).await);
    assert!(!world.is_ready(second).await);
    assert_eq!(world.depth(Thumbnails::TOPIC).await.ready, 1);
}

#[tokio::test]
async fn a_job_that_does_not_finish_in_time_is_given_back_with_the_reason() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let photo = world.post(ada, png(20, 20)).await;
    let (engines, gate) = world.gated();
    let settings = WorkerSettings { finish_within: Duration::from_millis(100), ..eager() };
    let running = world.work(engines, settings);
    until("the job is under way", || async { gate.waiting() == 1 }).await;
    running.leave.request();
    running.left().await;
    let depth = world.depth(Thumbnails::TOPIC).await;
    assert_eq!((depth.delayed, depth.taken), (1, 0), "others need not wait for the visibility");

    world.clock.advance(Duration::from_secs(1));
    let _other = world.work(world.engines.clone(), eager());
    world.settled().await;
    assert!(world.is_ready(photo).await);
}
