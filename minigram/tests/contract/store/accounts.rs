//! Users and search.

use std::sync::Arc;

use minigram::ids::UserId;
use minigram::ports::position::Positions;
use minigram::ports::store::{Profile, Store, StoreError};
use minigram::ports::{Retriable, Retry};

use super::fixture::{add_user, new_user};
use crate::subject::Subject;

pub async fn a_user_is_found_by_id_and_by_name(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let new = new_user("ada");
    store.add_user(&new).await.unwrap();
    let user = store.user(new.id, &all).await.unwrap().unwrap();
    assert_eq!(
        (user.id, &user.name, &user.profile, user.created),
        (new.id, &new.name, &new.profile, new.created)
    );
    assert_eq!((user.followers, user.following, user.photos, user.celebrity), (0, 0, 0, false));
    assert_eq!(store.user_by_name(&new.name, &all).await.unwrap(), Some(user));
    assert_eq!(store.password_hash(&new.name).await.unwrap(), Some((new.id, new.password_hash)));
    let absent = "grace".parse().unwrap();
    assert_eq!(store.user_by_name(&absent, &all).await.unwrap(), None);
    assert_eq!(store.password_hash(&absent).await.unwrap(), None);
    assert_eq!(store.user(UserId::from_sql(1), &all).await.unwrap(), None);
}

pub async fn a_name_belongs_to_one_user(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let first = new_user("ada");
    store.add_user(&first).await.unwrap();
    let error = store.add_user(&new_user("ADA")).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken), "{error}");
    assert_eq!(error.retry(), Retry::Never);
    let mut same_id = new_user("grace");
    same_id.id = first.id;
    let error = store.add_user(&same_id).await.unwrap_err();
    assert!(matches!(error, StoreError::IdTaken), "{error}");
}

pub async fn of_many_who_want_a_name_at_once_one_gets_it(subject: Subject<dyn Store>) {
    let add = |store: Arc<dyn Store>| tokio::spawn(async move { store.add_user(&new_user("ada")).await });
    let tasks: Vec<_> = (0..8).map(|_| add(subject.port.clone())).collect();
    let mut added = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => added += 1,
            Err(StoreError::NameTaken) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(added, 1);
}

pub async fn a_profile_changes_and_only_that_of_a_user_who_exists(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let profile = Profile::new("Ada Lovelace", "Notes on the engine").unwrap();
    let written = store.set_profile(ada, &profile).await.unwrap();
    let user = store.user(ada, &written.into()).await.unwrap().unwrap();
    assert_eq!(user.profile, profile);
    let error = store.set_profile(UserId::from_sql(1), &profile).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchUser), "{error}");
}

pub async fn a_search_finds_names_by_prefix_in_order(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    for name in ["anna", "ann_b", "anz", "ann", "bob"] {
        add_user(store, name).await;
    }
    assert_eq!(found(store, "ann", 10).await, ["ann", "ann_b", "anna"]);
    assert_eq!(found(store, "AN", 2).await, ["ann", "ann_b"]);
    assert_eq!(found(store, "", 10).await.len(), 5);
    assert!(found(store, "annabel", 10).await.is_empty());
}

pub async fn a_search_takes_no_character_for_a_wildcard(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    for name in ["ann_b", "annab", "zoe"] {
        add_user(store, name).await;
    }
    assert_eq!(found(store, "ann_", 10).await, ["ann_b"]);
    for prefix in ["%", "*", "?", "a%", "'", "zoe\u{10ffff}", "ä", "~", "{"] {
        assert!(found(store, prefix, 10).await.is_empty(), "{prefix}");
    }
}

async fn found(store: &dyn Store, prefix: &str, limit: u32) -> Vec<String> {
    let users = store.search(prefix, limit, &Positions::none()).await.unwrap();
    users.iter().map(|user| user.name.to_string()).collect()
}
