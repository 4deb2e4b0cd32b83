//! Follows, likes, and feeds.

use minigram::ids::{PhotoId, UserId};
use minigram::ports::position::Positions;
use minigram::ports::store::{FEED_ENTRIES_MAX, FeedEntry, NewLike, PAGE_MAX, Store, StoreError};

use super::CELEBRITY_FOLLOWERS;
use super::fixture::{NOW, add_photo, add_user, new_photo};
use crate::subject::Subject;

pub async fn a_follow_counts_once(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, bob) = (add_user(store, "ada").await, add_user(store, "bob").await);
    for _ in 0..2 {
        let written = store.follow(bob, ada).await.unwrap();
        assert!(store.follows(bob, ada, &written.into()).await.unwrap());
    }
    store.follow(ada, ada).await.unwrap();
    assert!(!store.follows(ada, bob, &all).await.unwrap());
    assert_eq!(counts(store, ada).await, (1, 0));
    assert_eq!(counts(store, bob).await, (0, 1));

    for _ in 0..2 {
        let written = store.unfollow(bob, ada).await.unwrap();
        assert!(!store.follows(bob, ada, &written.into()).await.unwrap());
    }
    assert_eq!(counts(store, ada).await, (0, 0));
    assert_eq!(counts(store, bob).await, (0, 0));

    for (follower, followee) in [(bob, UserId::from_sql(1)), (UserId::from_sql(1), ada)] {
        let error = store.follow(follower, followee).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchUser), "{error}");
    }
    assert_eq!(counts(store, ada).await, (0, 0));
    assert_eq!(counts(store, bob).await, (0, 0));
}

pub async fn follows_are_listed_page_by_page(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let ada = add_user(store, "ada").await;
    let mut others = Vec::new();
    for n in 0..5 {
        let other = add_user(store, &format!("fan{n}")).await;
        store.follow(other, ada).await.unwrap();
        store.follow(ada, other).await.unwrap();
        others.push(other);
    }
    others.sort();
    let (mut followers, mut following) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        followers.extend(store.followers(ada, followers.last().copied(), 2, &all).await.unwrap());
        following.extend(store.following(ada, following.last().copied(), 2, &all).await.unwrap());
    }
    assert_eq!(followers, others);
    assert_eq!(following, others);
}

pub async fn a_celebrity_stays_one(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let ada = add_user(store, "ada").await;
    let mut fans = Vec::new();
    for n in 0..CELEBRITY_FOLLOWERS {
        assert!(!store.user(ada, &all).await.unwrap().unwrap().celebrity);
        let fan = add_user(store, &format!("fan{n}")).await;
        store.follow(fan, ada).await.unwrap();
        fans.push(fan);
    }
    assert!(store.user(ada, &all).await.unwrap().unwrap().celebrity);
    assert_eq!(store.celebrities_followed(fans[0], &all).await.unwrap(), [ada]);
    store.unfollow(fans[0], ada).await.unwrap();
    assert!(store.user(ada, &all).await.unwrap().unwrap().celebrity);
    assert!(store.celebrities_followed(fans[0], &all).await.unwrap().is_empty());
    assert_eq!(store.celebrities_followed(fans[1], &all).await.unwrap(), [ada]);
}

pub async fn a_like_counts_once_and_can_be_taken_back(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, bob) = (add_user(store, "ada").await, add_user(store, "bob").await);
    let (photo, other) = (add_photo(store, ada, 1).await, add_photo(store, ada, 2).await);
    assert!(store.like(ada, photo, NOW).await.unwrap().changed);
    assert!(!store.like(ada, photo, NOW).await.unwrap().changed);
    let liked = store.like(bob, photo, NOW).await.unwrap();
    let counts = store.like_counts(&[other, photo], &liked.position.into()).await.unwrap();
    assert_eq!(counts, [0, 2]);
    assert_eq!(store.likes(ada, &[photo, other], &all).await.unwrap(), [true, false]);

    assert!(store.unlike(ada, photo).await.unwrap().changed);
    assert!(!store.unlike(ada, photo).await.unwrap().changed);
    assert!(!store.unlike(ada, other).await.unwrap().changed);
    assert_eq!(store.like_counts(&[photo, other], &all).await.unwrap(), [1, 0]);
    assert_eq!(store.likes(ada, &[photo], &all).await.unwrap(), [false]);

    let error = store.like(ada, PhotoId::from_sql(1), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchPhoto), "{error}");
}

pub async fn likes_of_many_at_once_are_all_counted(subject: Subject<dyn Store>) {
    let ada = add_user(&*subject.port, "ada").await;
    let photo = add_photo(&*subject.port, ada, 1).await;
    let mut tasks = Vec::new();
    for fan in 0..40 {
        let store = subject.port.clone();
        tasks.push(tokio::spawn(async move {
            // Half of them change their mind and come back.
            let fan = UserId::from_sql(1000 + fan);
            store.like(fan, photo, NOW).await.unwrap();
            if fan.to_sql() % 2 == 0 {
                store.unlike(fan, photo).await.unwrap();
                store.like(fan, photo, NOW).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let all = Positions::none();
    assert_eq!(subject.port.like_counts(&[photo], &all).await.unwrap(), [40]);
}

pub async fn likes_are_added_many_at_a_time_and_each_has_its_own_result(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, bob) = (add_user(store, "ada").await, add_user(store, "bob").await);
    let (photo, other) = (add_photo(store, ada, 1).await, add_photo(store, bob, 2).await);
    store.like(ada, photo, NOW).await.unwrap();
    let like = |user, photo| NewLike { user, photo, created: NOW };
    let absent = PhotoId::from_sql(1);
    let likes = [like(ada, photo), like(bob, photo), like(bob, absent), like(bob, photo), like(ada, other)];
    let added = store.like_many(&likes).await;
    let changed: Vec<Option<bool>> =
        added.iter().map(|one| one.as_ref().ok().map(|liked| liked.changed)).collect();
    assert_eq!(changed, [Some(false), Some(true), None, Some(false), Some(true)]);
    assert!(matches!(added[2], Err(StoreError::NoSuchPhoto)), "{:?}", added[2]);
    let mut after = Positions::none();
    for liked in added.into_iter().flatten() {
        after.note(liked.position);
    }
    assert_eq!(store.like_counts(&[photo, other, absent], &after).await.unwrap(), [2, 1, 0]);
    assert_eq!(store.likes(bob, &[photo, other, absent], &all).await.unwrap(), [true, false, false]);
    assert!(store.like_many(&[]).await.is_empty());
}

pub async fn a_feed_has_each_photo_once_and_only_of_those_whom_the_user_follows(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, bob, eve) =
        (add_user(store, "ada").await, add_user(store, "bob").await, add_user(store, "eve").await);
    store.follow(eve, ada).await.unwrap();
    store.follow(eve, bob).await.unwrap();
    let mut entries = Vec::new();
    for n in 0..4 {
        let author = if n % 2 == 0 { ada } else { bob };
        entries.push(FeedEntry { photo: add_photo(store, author, n).await, author });
    }
    for _ in 0..2 {
        store.push_to_feeds(&entries, &[eve, ada]).await.unwrap();
    }
    entries.reverse();
    assert_eq!(store.feed(eve, None, 10, &all).await.unwrap(), entries);
    assert_eq!(store.feed(eve, Some(entries[1].photo), 10, &all).await.unwrap(), entries[2..]);
    assert_eq!(store.feed(eve, None, 1, &all).await.unwrap(), entries[..1]);
    assert!(store.feed(ada, None, 10, &all).await.unwrap().is_empty());

    store.unfollow(eve, bob).await.unwrap();
    let feed = store.feed(eve, None, 10, &all).await.unwrap();
    assert_eq!(feed, entries.iter().filter(|entry| entry.author == ada).copied().collect::<Vec<_>>());
}

pub async fn a_feed_keeps_the_newest_photos(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, eve) = (add_user(store, "ada").await, add_user(store, "eve").await);
    store.follow(eve, ada).await.unwrap();
    let entry = |n: u32| FeedEntry { photo: new_photo(ada, n.into()).id, author: ada };
    let entries: Vec<FeedEntry> = (0..FEED_ENTRIES_MAX + 50).map(entry).collect();
    for page in entries.chunks(PAGE_MAX as usize) {
        store.push_to_feeds(page, &[eve]).await.unwrap();
    }
    let mut feed: Vec<FeedEntry> = Vec::new();
    loop {
        let page = store.feed(eve, feed.last().map(|e| e.photo), PAGE_MAX, &all).await.unwrap();
        if page.is_empty() {
            break;
        }
        feed.extend(page);
    }
    assert_eq!(feed, entries[50..].iter().rev().copied().collect::<Vec<_>>());
}

async fn counts(store: &dyn Store, user: UserId) -> (u64, u64) {
    let user = store.user(user, &Positions::none()).await.unwrap().unwrap();
    (user.followers, user.following)
}
