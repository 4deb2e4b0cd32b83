//! Likes in batches.

use std::time::Duration;

use futures_util::future::join_all;
use minigram::domain::likes::{BatchSettings, LikeBatches};
use minigram::ids::{PhotoId, UserId};
use minigram::ports::position::Positions;
use minigram::ports::store::{NewLike, StoreError};

use crate::world::World;

#[tokio::test]
async fn likes_that_come_together_are_committed_together_and_each_has_its_own_answer() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let photo = world.post(ada).await;
    let settings = BatchSettings { gather: Duration::from_millis(200), ..BatchSettings::default() };
    let batches = LikeBatches::start(world.store.clone(), settings);
    let like = |user, photo| NewLike { user: UserId::from_sql(user), photo, created: world.clock.now() };
    let absent = PhotoId::from_sql(1);
    let likes = [like(1, photo), like(2, photo), like(3, absent), like(2, photo)];
    let answers = join_all(likes.map(|like| batches.like(like))).await;
    let first = answers[0].as_ref().unwrap();
    assert!(first.changed && answers[1].as_ref().unwrap().changed);
    assert!(matches!(answers[2], Err(StoreError::NoSuchPhoto)), "{:?}", answers[2]);
    assert!(!answers[3].as_ref().unwrap().changed);
    assert!(
        answers.iter().flatten().all(|liked| liked.position == first.position),
        "one commit: {answers:?}"
    );
    assert_eq!(world.store.like_counts(&[photo], &Positions::from(first.position)).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_batch_does_not_wait_when_it_is_full_and_likes_beyond_the_bound_are_refused() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let photo = world.post(ada).await;
    let settings =
        BatchSettings { gather: Duration::from_secs(600), batch_max: 2, commits_max: 1, waiting_max: 4 };
    let batches = LikeBatches::start(world.store.clone(), settings);
    let like = |user| NewLike { user: UserId::from_sql(user), photo, created: world.clock.now() };
    // All are sent before the task that makes batches runs: it shares the test's thread.
    let answers = join_all((1..=6).map(|user| batches.like(like(user)))).await;
    let refused: Vec<bool> = answers.iter().map(|answer| answer.is_err()).collect();
    assert_eq!(refused, [false, false, false, false, true, true]);
    assert!(matches!(answers[5], Err(StoreError::Unavailable(_))), "{:?}", answers[5]);
    assert_eq!(world.store.like_counts(&[photo], &Positions::none()).await.unwrap(), [4]);
}
