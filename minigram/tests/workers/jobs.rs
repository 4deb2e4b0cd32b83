//! What each kind of job does, once and twice.

use std::sync::Arc;
use std::time::Duration;

use minigram::domain::feeds::HomeFeeds;
use minigram::domain::jobs::{FanOut, Notify, RemoveFiles, Thumbnails};
use minigram::domain::messages::{photo_topic, user_topic};
use minigram::domain::posting::original;
use minigram::domain::sizes::Size;
use minigram::domain::views::{Views, keys};
use minigram::ids::CommentId;
use minigram::media::MediaType;
use minigram::ports::bus::Event;
use minigram::ports::cache::{Counts, Kind};
use minigram::ports::position::Positions;
use minigram::workers::WorkerSettings;
use serde_json::json;

use crate::world::{CELEBRITY_FOLLOWERS, World, eager, message, png, until};

#[tokio::test]
async fn a_photo_gets_its_sizes_its_followers_and_a_message() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    world.feeds.follow(bob, ada).await.unwrap();
    let photo = world.post(ada, png(1600, 800)).await;
    let bus = &world.engines.bus;
    let mut watching = bus.subscribe(&photo_topic(photo)).await.unwrap();
    let mut author = bus.subscribe(&user_topic(ada)).await.unwrap();
    let mut follower = bus.subscribe(&user_topic(bob)).await.unwrap();
    let _running = world.work(world.engines.clone(), eager());

    let ready = json!({"kind": "ready", "photo": photo.to_string()});
    assert_eq!(message(&mut *watching).await, ready);
    assert_eq!(message(&mut *author).await, ready);
    let posted = json!({"kind": "photo", "photo": photo.to_string(), "author": ada.to_string()});
    assert_eq!(message(&mut *follower).await, posted);
    world.settled().await;
    assert!(world.is_ready(photo).await);
    assert_eq!(world.home(bob).await, [photo]);
    for (size, sides) in [(Size::Thumb, (150, 150)), (Size::Small, (480, 240)), (Size::Large, (1080, 540))] {
        for media in Size::MEDIA {
            let file = world.read(&size.key(ada, photo, media)).await.unwrap();
            assert_eq!(MediaType::of_content(&file), Some(media));
            let picture = image::load_from_memory(&file).unwrap();
            assert_eq!((picture.width(), picture.height()), sides);
        }
    }
}

#[tokio::test]
async fn a_job_that_runs_twice_changes_nothing() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    world.feeds.follow(bob, ada).await.unwrap();
    let photo = world.post(ada, png(40, 30)).await;
    let _running = world.work(world.engines.clone(), eager());
    world.settled().await;
    let key = Size::Small.key(ada, photo, MediaType::Webp);
    let (files, small) = (world.blob_files(), world.read(&key).await);
    assert_eq!(files, 7);

    // With other keys, because the queue would not take the same job again.
    for mut job in [FanOut { photo, author: ada }.job(), Thumbnails { photo, author: ada }.job()] {
        job.key = format!("{}-again", job.key);
        world.engines.queue.push(&job).await.unwrap();
    }
    world.settled().await;
    assert_eq!((world.blob_files(), world.read(&key).await), (files, small));
    assert_eq!(world.home(bob).await, [photo]);
    assert!(world.is_ready(photo).await);
    assert_eq!(world.depth(Thumbnails::TOPIC).await.dead, 0);
}

#[tokio::test]
async fn files_go_with_their_photo_and_no_job_brings_them_back() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (kept, gone) = (world.post(ada, png(20, 20)).await, world.post(ada, png(30, 20)).await);
    let never = world.post(ada, png(10, 20)).await;
    let remove = |photo| RemoveFiles { photo, author: ada, media: MediaType::Png }.job();
    // Deleted before its thumbnails were made, and after.
    world.engines.store.delete_photo(never, &[remove(never)]).await.unwrap();
    let _running = world.work(world.engines.clone(), eager());
    world.settled().await;
    world.engines.store.delete_photo(gone, &[remove(gone)]).await.unwrap();
    until("only the files of the photo that is left are there", || async { world.blob_files() == 7 }).await;
    assert!(world.read(&original(ada, kept, MediaType::Png)).await.is_some());
    assert!(world.read(&original(ada, gone, MediaType::Png)).await.is_none());

    let mut again = remove(gone);
    again.key.push_str("-again");
    world.engines.queue.push(&again).await.unwrap();
    world.settled().await;
    assert_eq!(world.depth(RemoveFiles::TOPIC).await.dead, 0);
}

#[tokio::test]
async fn what_workers_change_is_not_served_from_the_cache_as_it_was() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    world.feeds.follow(bob, ada).await.unwrap();
    let feeds = Arc::new(HomeFeeds::new(world.engines.store.clone()));
    let (store, cache) = (world.engines.store.clone(), world.engines.cache.clone());
    let views = Views::new(store, cache, feeds, Duration::from_secs(300));
    let photo = world.post(ada, png(20, 20)).await;
    let none = Positions::none();
    let looked = async || {
        let ready = views.photos(&[photo], &none).await.unwrap()[0].ready;
        (ready, views.feed(bob, None, 10, &none).await.unwrap().entries.len())
    };
    assert_eq!(looked().await, (false, 0), "from now on this is cached");
    let _running = world.work(world.engines.clone(), eager());
    world.settled().await;
    assert_eq!(looked().await, (true, 1));
}

#[tokio::test]
async fn comments_and_follows_reach_those_whom_they_are_about() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let photo = world.post(ada, png(10, 10)).await;
    let mut author = world.engines.bus.subscribe(&user_topic(ada)).await.unwrap();
    let comment = CommentId::from_sql(77);
    let about = [
        // One's own comment is no news.
        Notify::Commented { photo, comment: CommentId::from_sql(76), by: ada },
        Notify::Commented { photo, comment, by: bob },
        Notify::Followed { followee: ada, by: bob },
    ];
    let settings = WorkerSettings { thumbnails: 0, notify: 1, ..eager() };
    for job in about {
        world.engines.queue.push(&job.job()).await.unwrap();
    }
    let _running = world.work(world.engines.clone(), settings);
    let (photo, bob) = (photo.to_string(), bob.to_string());
    let commented = json!({"kind": "comment", "photo": photo, "comment": "77", "by": bob});
    assert_eq!(message(&mut *author).await, commented);
    assert_eq!(message(&mut *author).await, json!({"kind": "follow", "by": bob}));
}

#[tokio::test]
async fn a_celebritys_photo_is_neither_pushed_nor_announced() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let mut fans = Vec::new();
    for n in 0..CELEBRITY_FOLLOWERS {
        let fan = world.user(&format!("fan{n}")).await;
        world.feeds.follow(fan, ada).await.unwrap();
        fans.push(fan);
    }
    let mut fan = world.engines.bus.subscribe(&user_topic(fans[0])).await.unwrap();
    let photo = world.post(ada, png(10, 10)).await;
    let _running = world.work(world.engines.clone(), eager());
    world.settled().await;
    assert!(world.is_ready(photo).await);
    let pushed = world.engines.store.feed(fans[0], None, 10, &Positions::none()).await.unwrap();
    assert!(pushed.is_empty());
    assert_eq!(world.home(fans[0]).await, [photo], "pulled");
    let own = b"only this".to_vec();
    world.engines.bus.publish(&user_topic(fans[0]), own.clone().into()).await.unwrap();
    let first = fan.next().await;
    assert_eq!(first, Some(Event::Message(own.into())));
}

#[tokio::test]
async fn the_cached_feed_of_a_follower_is_read_anew_before_the_job_is_done() {
    let world = World::new().await;
    let (ada, bob, cleo) = (world.user("ada").await, world.user("bob").await, world.user("cleo").await);
    for follower in [bob, cleo] {
        world.feeds.follow(follower, ada).await.unwrap();
    }
    let feeds = Arc::new(HomeFeeds::new(world.engines.store.clone()));
    let (store, cache) = (world.engines.store.clone(), world.engines.cache.clone());
    let views = Views::new(store, cache.clone(), feeds, Duration::from_secs(300));
    let none = Positions::none();
    assert!(views.feed(bob, None, 10, &none).await.unwrap().entries.is_empty(), "now it is cached");
    let photo = world.post(ada, png(20, 20)).await;
    let _running = world.work(world.engines.clone(), eager());
    world.settled().await;
    let before = cache.counts(Kind::Feed);
    assert_eq!(views.feed(bob, None, 10, &none).await.unwrap().entries, [photo]);
    assert_eq!(cache.counts(Kind::Feed), Counts { hits: before.hits + 1, ..before });
    // Cleo was not about: her feed is read when she looks.
    assert_eq!(views.feed(cleo, None, 10, &none).await.unwrap().entries, [photo]);
    let after = Counts { hits: before.hits + 1, misses: before.misses + 1 };
    assert_eq!(cache.counts(Kind::Feed), after);
    // The new value ends when the old one would have, so that feeds of those who left are not read for ever.
    world.clock.advance(Duration::from_secs(299));
    assert!(cache.get(&keys::feed(bob)).await.unwrap().is_none());
    assert!(cache.get(&keys::feed(cleo)).await.unwrap().is_some());
}
