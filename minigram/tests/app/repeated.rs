//! Requests that a client repeats because the answer to the first was a failure, or was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::breakable::Breakable;
use crate::photos::path;
use crate::world::{JPEG, Reply, User, World, engines};

impl World {
    async fn upload_with_key(&self, user: &User, server: usize, key: &str, file: &'static [u8]) -> Reply {
        let request = self.by(user, Method::POST, server, "/api/v1/photos?caption=x");
        Reply::of(request.header("idempotency-key", key).body(file)).await
    }

    async fn comment_with_key(&self, user: &User, server: usize, photo: &Value, key: &str) -> Reply {
        let request = self.by(user, Method::POST, server, &format!("{}/comments", path(photo)));
        Reply::of(request.header("idempotency-key", key).json(&json!({"text": "a view"}))).await
    }
}

/// A world whose sessions can take no notes, so that writes are committed and then refused with 503.
async fn world() -> (World, Arc<AtomicBool>) {
    let (mut engines, clock, directory) = engines().await;
    let sessions = Breakable::new(engines.sessions.clone());
    let notes_broken = sessions.notes_broken.clone();
    engines.sessions = Arc::new(sessions);
    (World::on(engines, clock, directory, |_| {}).await, notes_broken)
}

#[tokio::test]
async fn an_upload_and_a_comment_that_are_repeated_after_a_503_are_there_once() {
    let (world, notes_broken) = world().await;
    let ada = world.sign_up("ada").await;
    notes_broken.store(true, Ordering::SeqCst);
    world.upload_with_key(&ada, 0, "\"k1\"", JPEG).await.expect(503);
    notes_broken.store(false, Ordering::SeqCst);
    let photo = world.upload_with_key(&ada, 1, "\"k1\"", JPEG).await.expect(201).json();
    let again = world.upload_with_key(&ada, 2, "\"k1\"", JPEG).await.expect(201);
    assert_eq!(again.header("location"), path(&photo));
    assert_eq!(again.json(), photo);
    let list = world.get_by(&ada, 1, "/api/v1/users/ada/photos").await.expect(200).json();
    assert_eq!(list["photos"], json!([photo]));
    world.get(0, photo["urls"]["original"].as_str().unwrap()).await.expect(200);

    notes_broken.store(true, Ordering::SeqCst);
    world.comment_with_key(&ada, 0, &photo, "k1").await.expect(503);
    notes_broken.store(false, Ordering::SeqCst);
    let comment = world.comment_with_key(&ada, 1, &photo, "k1").await.expect(201).json();
    assert_eq!(world.comment_with_key(&ada, 2, &photo, "k1").await.expect(201).json(), comment);
    let list = world.get_by(&ada, 1, &format!("{}/comments", path(&photo))).await.json();
    assert_eq!(list["comments"], json!([comment]));
    for (server, photos) in [(0, 1.0), (1, 0.0), (2, 0.0)] {
        assert_eq!(world.metric(server, "minigram_photos_total").await, Some(photos), "counted once");
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_user_and_one_request() {
    let (world, _) = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let photo = world.upload_with_key(&ada, 0, "k", JPEG).await.expect(201).json();
    let other = world.upload_with_key(&bob, 0, "k", JPEG).await.expect(201).json();
    assert_ne!(photo["id"], other["id"]);
    let reused = world.upload_with_key(&ada, 1, "k", b"\xff\xd8\xff\xe0\0\x10JFIF and another").await;
    assert!(reused.expect(422).json()["detail"].as_str().unwrap().contains("idempotency key"));
    let by = |n: u64| world.comment_with_key(if n == 0 { &ada } else { &bob }, 0, &photo, "k");
    assert_ne!(by(0).await.expect(201).json()["id"], by(1).await.expect(201).json()["id"]);

    for malformed in ["", "a b", &"k".repeat(129)] {
        world.comment_with_key(&ada, 0, &photo, malformed).await.expect(400);
    }
    let request = world.by(&ada, Method::POST, 0, "/api/v1/photos").header("idempotency-key", "a");
    Reply::of(request.header("idempotency-key", "b").body(JPEG)).await.expect(400);
    assert_eq!(world.get_by(&ada, 0, "/api/v1/me").await.json()["photos"], 1);
}

#[tokio::test]
async fn the_description_names_the_key() {
    let world = World::new().await;
    let description = world.get(0, "/api/v1/openapi.json").await.expect(200).json();
    for path in ["/api/v1/photos", "/api/v1/photos/{photo}/comments"] {
        let parameters = description["paths"][path]["post"]["parameters"].as_array().unwrap();
        let header = parameters.iter().find(|it| it["name"] == "Idempotency-Key").unwrap();
        assert_eq!((&header["in"], &header["required"]), (&json!("header"), &json!(false)));
    }
}
