//! Posts that a client repeats under the same key.

use std::time::Duration;

use minigram::ids::UserId;
use minigram::ports::position::Positions;
use minigram::ports::store::{
    CommentText, Earlier, IdempotencyKey, NewComment, NewPhoto, Once, Store, StoreError,
};

use super::fixture::{NOW, add_photo, add_user, ids, job, new_photo};
use crate::subject::Subject;

fn once(key: &str, sent: &str) -> Once {
    Once::new(IdempotencyKey::new(key).unwrap(), &[sent.as_bytes()])
}

/// A photo whose request has this key.
fn keyed(author: UserId, n: u64, once: Once) -> NewPhoto {
    NewPhoto { once: Some(once), ..new_photo(author, n) }
}

#[track_caller]
fn earlier(error: StoreError) -> Earlier {
    match error {
        StoreError::Repeated(earlier) => earlier,
        other => panic!("{other}"),
    }
}

pub async fn a_photo_with_the_key_of_an_earlier_one_is_not_added_again(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let (ada, bob) = (add_user(store, "ada").await, add_user(store, "bob").await);
    let first = keyed(ada, 1, once("k", "x"));
    let written = store.add_photo(&first, &[job("a")]).await.unwrap();
    for n in 2..4 {
        let error = store.add_photo(&keyed(ada, n, once("k", "x")), &[job("b")]).await.unwrap_err();
        let earlier = earlier(error);
        assert_eq!((earlier.id, earlier.created), (first.id.to_sql(), first.created));
        assert!(written.is_within(earlier.position), "{earlier:?} is not behind {written:?}");
        let photos = store.photos_by(&[ada], None, 10, &earlier.position.into()).await.unwrap();
        assert_eq!(photos.iter().map(|photo| photo.id).collect::<Vec<_>>(), [first.id]);
    }
    assert_eq!(store.user(ada, &Positions::none()).await.unwrap().unwrap().photos, 1);
    assert_eq!(store.outbox_len().await.unwrap(), 1);

    let error = store.add_photo(&keyed(ada, 4, once("k", "other")), &[job("c")]).await.unwrap_err();
    assert!(matches!(error, StoreError::KeyReused), "{error}");
    store.add_photo(&keyed(bob, 5, once("k", "x")), &[job("d")]).await.unwrap();
    store.add_photo(&keyed(ada, 6, once("l", "x")), &[job("e")]).await.unwrap();
    let photos = store.photos_by(&[ada, bob], None, 10, &Positions::none()).await.unwrap();
    assert_eq!((photos.len(), store.outbox_len().await.unwrap()), (3, 3));
}

pub async fn a_comment_with_the_key_of_an_earlier_one_is_not_added_again(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let (ada, bob) = (add_user(store, "ada").await, add_user(store, "bob").await);
    let (photo, other) = (add_photo(store, ada, 1).await, add_photo(store, ada, 2).await);
    let comment = |photo, author| NewComment {
        id: ids().comment(photo, NOW),
        photo,
        author,
        text: CommentText::new("what a view").unwrap(),
        created: NOW,
        once: Some(once("k", "what a view")),
    };
    let first = comment(photo, bob);
    let written = store.add_comment(&first, &[job("a")]).await.unwrap();
    let again = earlier(store.add_comment(&comment(photo, bob), &[job("b")]).await.unwrap_err());
    assert_eq!((again.id, again.created), (first.id.to_sql(), first.created));
    assert!(written.is_within(again.position), "{again:?} is not behind {written:?}");

    // Another user, another photo, a photo of one's own: a key of its own.
    store.add_comment(&comment(photo, ada), &[]).await.unwrap();
    store.add_comment(&comment(other, bob), &[]).await.unwrap();
    store.add_photo(&keyed(bob, 3, once("k", "what a view")), &[]).await.unwrap();
    let counts = store.comment_counts(&[photo, other], &Positions::none()).await.unwrap();
    assert_eq!((counts, store.outbox_len().await.unwrap()), (vec![2, 1], 1));
}

pub async fn of_many_posts_with_one_key_at_once_one_is_added(subject: Subject<dyn Store>) {
    let ada = add_user(&*subject.port, "ada").await;
    let posts = (1..=8).map(|n| {
        let (store, photo) = (subject.port.clone(), keyed(ada, n, once("k", "x")));
        tokio::spawn(async move { (photo.id.to_sql(), store.add_photo(&photo, &[job("a")]).await) })
    });
    let (mut added, mut repeated) = (Vec::new(), Vec::new());
    for post in futures_util::future::join_all(posts).await {
        match post.unwrap() {
            (id, Ok(_)) => added.push(id),
            (_, Err(error)) => repeated.push(earlier(error).id),
        }
    }
    assert_eq!((added.len(), repeated.len()), (1, 7));
    assert!(repeated.iter().all(|id| *id == added[0]), "{added:?} {repeated:?}");
    assert_eq!(subject.port.outbox_len().await.unwrap(), 1);
}

pub async fn a_post_that_fails_does_not_use_up_its_key(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let taken = add_photo(store, ada, 1).await;
    let failing = NewPhoto { id: taken, ..keyed(ada, 1, once("k", "x")) };
    let error = store.add_photo(&failing, &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::IdTaken), "{error}");
    store.add_photo(&keyed(ada, 2, once("k", "x")), &[]).await.unwrap();
}

pub async fn a_key_is_forgotten_after_its_time(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let kept = Duration::from_secs(1);
    let short = || Once { kept, ..once("k", "x") };
    let (first, second) = (keyed(ada, 1, short()), keyed(ada, 2, short()));
    store.add_photo(&first, &[]).await.unwrap();
    subject.pass(kept).await;
    store.add_photo(&second, &[]).await.unwrap();
    let again = earlier(store.add_photo(&keyed(ada, 3, once("k", "x")), &[]).await.unwrap_err());
    assert_eq!(again.id, second.id.to_sql());
}
