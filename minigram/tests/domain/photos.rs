//! Posting, and what followers see of it.

use std::time::Duration;

use minigram::domain::jobs::{FanOut, Worked, relay, work};
use minigram::domain::posting::{PostError, Posted, original};
use minigram::ids::{PhotoId, UserId};
use minigram::media::MediaType;
use minigram::ports::blobs::{BlobsError, Part};
use minigram::ports::position::Positions;
use minigram::ports::store::{Caption, StoreError};

use crate::world::{CELEBRITY_FOLLOWERS, PHOTO_BYTES_MAX, World, body};

fn png(bytes: usize) -> Vec<u8> {
    let mut content = b"\x89PNG\r\n\x1a\n".to_vec();
    content.resize(bytes, 0);
    content
}

impl World {
    pub async fn post(&self, author: UserId) -> PhotoId {
        self.clock.advance(Duration::from_secs(1));
        self.posting.post(author, Caption::default(), body(&png(100), 7), None).await.unwrap().photo
    }

    /// What relay and workers do until there is nothing to do.
    async fn settle(&self) {
        while relay(&*self.store, &*self.queue).await.unwrap() > 0 {}
        let fan_out = async |job| self.feeds.fan_out(FanOut::read(&job).unwrap()).await;
        loop {
            match work(&*self.queue, FanOut::TOPIC, Duration::ZERO, fan_out).await.unwrap() {
                Worked::Nothing => break,
                worked => assert_eq!(worked, Worked::Done),
            }
        }
    }

    async fn home(&self, user: UserId) -> Vec<PhotoId> {
        let page = self.feeds.home(user, None, 10, &Positions::none()).await.unwrap();
        page.photos.iter().map(|photo| photo.id).collect()
    }
}

#[tokio::test]
async fn a_photo_is_posted_with_its_file_and_its_type() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    for chunk in [1, 7, 5000] {
        let caption = Caption::new("dusk").unwrap();
        let body = body(&png(1000), chunk);
        let Posted { photo: id, written, .. } =
            world.posting.post(ada, caption.clone(), body, None).await.unwrap();
        let photo = world.store.photo(id, &written.into()).await.unwrap().unwrap();
        assert_eq!((photo.author, photo.caption, photo.bytes), (ada, caption, 1000));
        assert_eq!(photo.media, MediaType::Png);
        let blob = world.blobs.get(&original(ada, id, photo.media), Part::Whole).await.unwrap();
        let chunks: Vec<_> = futures_util::TryStreamExt::try_collect(blob.body).await.unwrap();
        let chunks: Vec<bytes::Bytes> = chunks;
        assert_eq!(chunks.concat(), png(1000));
    }
}

#[tokio::test]
async fn what_is_no_picture_or_too_large_leaves_nothing() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let post =
        |author, content: Vec<u8>| world.posting.post(author, Caption::default(), body(&content, 500), None);
    for content in [b"<svg onload=alert(1)>".to_vec(), b"\x89PN".to_vec(), Vec::new()] {
        let error = post(ada, content).await.unwrap_err();
        assert!(matches!(error, PostError::UnknownType), "{error}");
    }
    let error = post(ada, png(10_001)).await.unwrap_err();
    assert!(matches!(error, PostError::Blobs(BlobsError::TooLarge(PHOTO_BYTES_MAX))), "{error}");
    let error = post(UserId::from_sql(1), png(100)).await.unwrap_err();
    assert!(matches!(error, PostError::Store(StoreError::NoSuchUser)), "{error}");
    assert_eq!(world.blob_files(), 0);
    assert_eq!(world.store.outbox_len().await.unwrap(), 0);
}

#[tokio::test]
async fn followers_see_a_photo_once_the_jobs_are_done_and_once_only() {
    let world = World::new().await;
    let (ada, bob, eve) =
        (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    world.feeds.follow(bob, ada).await.unwrap();
    let photo = world.post(ada).await;
    assert_eq!(world.store.outbox_len().await.unwrap(), 2);
    assert!(world.home(bob).await.is_empty());
    world.settle().await;
    assert_eq!(world.store.outbox_len().await.unwrap(), 0);
    world.feeds.fan_out(FanOut { photo, author: ada }).await.unwrap();
    assert_eq!(world.home(bob).await, [photo]);
    assert!(world.home(eve).await.is_empty());

    world.feeds.follow(eve, ada).await.unwrap();
    assert_eq!(world.home(eve).await, [photo], "a new follower finds what was posted before");
    world.store.delete_photo(photo, &[]).await.unwrap();
    assert!(world.home(bob).await.is_empty());
}

#[tokio::test]
async fn a_celebritys_photos_are_pulled_and_merged_with_those_pushed() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let mut fans = Vec::new();
    for n in 0..CELEBRITY_FOLLOWERS {
        fans.push(world.sign_up(&format!("fan{n}")).await);
    }
    let reader = fans[0];
    world.feeds.follow(reader, ada).await.unwrap();
    world.feeds.follow(reader, bob).await.unwrap();
    let pushed = world.post(ada).await;
    world.settle().await;
    for fan in &fans[1..] {
        world.feeds.follow(*fan, ada).await.unwrap();
    }
    let mut expected = vec![pushed];
    for author in [ada, bob, ada] {
        expected.push(world.post(author).await);
    }
    world.settle().await;
    expected.reverse();
    assert_eq!(world.home(reader).await, expected);
    assert_eq!(world.store.feed(reader, None, 10, &Positions::none()).await.unwrap().len(), 2, "not pushed");
}

#[tokio::test]
async fn a_feed_is_read_page_by_page_and_deleted_photos_hide_no_others() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let reader = world.sign_up("reader").await;
    for (fan, n) in [(reader, 0), (bob, 1), (world.sign_up("eve").await, 2)] {
        assert!(n < CELEBRITY_FOLLOWERS);
        world.feeds.follow(fan, ada).await.unwrap();
    }
    world.feeds.follow(reader, bob).await.unwrap();
    let mut photos = Vec::new();
    for n in 0..20 {
        photos.push(world.post(if n % 3 == 0 { ada } else { bob }).await);
    }
    world.settle().await;
    // All of bob's latest photos go: several pages of what was pushed.
    for photo in photos.iter().enumerate().filter(|(n, _)| n % 3 != 0 && *n > 6).map(|(_, photo)| photo) {
        world.store.delete_photo(*photo, &[]).await.unwrap();
    }
    let kept = photos.iter().enumerate().filter(|(n, _)| n % 3 == 0 || *n <= 6);
    let mut expected: Vec<PhotoId> = kept.map(|(_, photo)| *photo).collect();
    expected.reverse();
    for limit in 1..5 {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = world.feeds.home(reader, before, limit, &Positions::none()).await.unwrap();
            assert!(page.photos.len() <= limit as usize);
            seen.extend(page.photos.iter().map(|photo| photo.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_relay_that_dies_before_it_removes_a_job_loses_and_doubles_nothing() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    world.post(ada).await;
    let taken = world.store.take_outbox(10, Duration::from_secs(5)).await.unwrap();
    world.queue.push(&taken[0].job).await.unwrap();
    // It dies here. Another one takes over when the lease is over.
    assert_eq!(relay(&*world.store, &*world.queue).await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(relay(&*world.store, &*world.queue).await.unwrap(), 2);
    assert_eq!(world.store.outbox_len().await.unwrap(), 0);
    assert_eq!(world.queue.depth(FanOut::TOPIC).await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    world.post(ada).await;
    relay(&*world.store, &*world.queue).await.unwrap();
    let failing = async |_| Err("no disk");
    let worked = work(&*world.queue, FanOut::TOPIC, Duration::ZERO, failing).await.unwrap();
    assert!(matches!(worked, Worked::Failed(_)), "{worked:?}");
    world.clock.advance(Duration::from_secs(60));
    let working = async |_| Ok::<(), &str>(());
    let worked = work(&*world.queue, FanOut::TOPIC, Duration::ZERO, working).await.unwrap();
    assert_eq!(worked, Worked::Done);
}
