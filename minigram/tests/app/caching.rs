//! Caches: what the edge may keep, and what happens when engines fail.

use std::sync::Arc;
use std::time::Duration;

use minigram::app::AppSettings;
use minigram::ids::UserId;
use minigram::ports::position::Position;
use minigram::ports::sessions::RefreshToken;
use reqwest::Method;
use std::sync::atomic::Ordering;

use crate::breakable::Breakable;
use crate::photos::path;
use crate::world::{JPEG, Reply, World, engines};

#[tokio::test]
async fn the_edge_may_keep_what_everyone_sees_and_nothing_else() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let photo = world.upload(&ada, 0, "").await;
    let id = photo["id"].as_str().unwrap();
    for (path, tags) in [
        ("/api/v1/users/ada".to_owned(), format!("user-{}", ada.id)),
        ("/api/v1/users/ada/photos".to_owned(), format!("user-{},about-photo-{id}", ada.id)),
        (path(&photo), format!("photo-{id},about-photo-{id},user-{}", ada.id)),
        (format!("{}/comments", path(&photo)), format!("photo-{id},comments-{id}")),
    ] {
        let reply = world.get(0, &path).await.expect(200);
        assert_eq!(reply.header("cache-control"), "public, max-age=5, s-maxage=600", "{path}");
        assert_eq!(reply.header("cache-tag"), tags, "{path}");
        assert_eq!(reply.header("vary"), "authorization", "{path}");
        let request = world.request(Method::GET, 1, &path).header("if-none-match", reply.header("etag"));
        assert!(Reply::of(request).await.expect(304).body.is_empty());
        let own = world.get_by(&ada, 0, &path).await.expect(200);
        assert_eq!(own.header("cache-control"), "private, no-cache", "{path}");
        assert_eq!(own.header("cache-tag"), "", "{path}");
    }
    let absent = world.get(0, "/api/v1/users/nobody").await.expect(404);
    assert_eq!(absent.header("cache-control"), "no-store");
}

#[tokio::test]
async fn an_engine_that_is_unavailable_is_said_honestly_and_no_write_is_acknowledged_that_may_be_missed() {
    let (mut engines, clock, directory) = engines().await;
    let sessions = Breakable::new(engines.sessions.clone());
    let (broken, notes_broken) = (sessions.broken.clone(), sessions.notes_broken.clone());
    engines.sessions = Arc::new(sessions);
    let world = World::on(engines, clock, directory, |_| {}).await;
    let ada = world.sign_up("ada").await;
    let photo = world.upload(&ada, 0, "").await;
    broken.store(true, Ordering::SeqCst);
    let reply = world.get_by(&ada, 0, "/api/v1/me").await.expect(503);
    assert_eq!(reply.header("retry-after"), "1");
    assert!(!String::from_utf8_lossy(&reply.body).contains("broken by the test"), "reasons are for the log");
    world.get(0, "/api/v1/users/ada").await.expect(200);
    world.get(0, "/readyz").await.expect(200);
    broken.store(false, Ordering::SeqCst);

    notes_broken.store(true, Ordering::SeqCst);
    let like = format!("{}/like", path(&photo));
    world.put_by(&ada, 1, &like).await.expect(503);
    notes_broken.store(false, Ordering::SeqCst);
    world.put_by(&ada, 1, &like).await.expect(204);
    assert_eq!(world.get_by(&ada, 2, &path(&photo)).await.json()["likes"], 1);
}

/// Before Evenkeel gives up and answers 504, which says nothing about when to try again.
#[tokio::test]
async fn a_request_whose_engine_hangs_is_refused_in_time_and_says_when_to_try_again() {
    let (mut engines, clock, directory) = engines().await;
    let sessions = Breakable::new(engines.sessions.clone());
    let (hangs, notes_hang) = (sessions.hangs.clone(), sessions.notes_hang.clone());
    engines.sessions = Arc::new(sessions);
    let limit = |settings: &mut AppSettings| settings.limits.request = Duration::from_millis(200);
    let world = World::on(engines, clock, directory, limit).await;
    let ada = world.sign_up("ada").await;
    hangs.store(true, Ordering::SeqCst);
    let reply = world.get_by(&ada, 0, "/api/v1/me").await.expect(503);
    assert_eq!(
        (reply.header("retry-after"), reply.header("content-type")),
        ("1", "application/problem+json")
    );
    hangs.store(false, Ordering::SeqCst);
    world.get_by(&ada, 0, "/api/v1/me").await.expect(200);

    // An upload may take longer, but not once the server has all of it.
    notes_hang.store(true, Ordering::SeqCst);
    let upload = world.by(&ada, Method::POST, 0, "/api/v1/photos").body(JPEG);
    let reply = Reply::of(upload).await.expect(503);
    assert_eq!(reply.header("retry-after"), "1");
    notes_hang.store(false, Ordering::SeqCst);
    world.upload(&ada, 0, "").await;
}

#[tokio::test]
async fn a_read_that_would_be_behind_the_users_writes_is_refused() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    world.get_by(&ada, 0, "/api/v1/me").await.expect(200);
    // As if a server had noted a write that no database has replayed yet.
    let user = UserId::from_sql(ada.id.parse().unwrap());
    let reached = world.engines.store.reached(user.shard()).await.unwrap();
    let token: RefreshToken = ada.cookie.split_once('=').unwrap().1.parse().unwrap();
    let ahead = Position { lsn: reached.lsn + 1, ..reached };
    world.engines.sessions.note_write(token.session(), ahead).await.unwrap();
    let behind = world.get_by(&ada, 1, "/api/v1/feed").await.expect(503);
    assert_eq!(behind.header("retry-after"), "1");
    world.sign_up("bob").await;
    world.get_by(&ada, 1, "/api/v1/feed").await.expect(200);
}
