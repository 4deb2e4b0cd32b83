//! A system from its start to its end: photos in the feed, pictures from the cache, and no process that stays.

use std::collections::HashSet;
use std::process::Command;

use minigram::up::seed::{PASSWORD, PEOPLE, paint};
use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Client, eventually};
use crate::edge::visitors_see_each_change_at_once;
use crate::world::{self, World, minigram};

/// The part of a URL that follows the host.
fn path(photo: &Value, size: &str) -> String {
    photo["urls"][size].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_system_shows_photos_and_ends_in_order() {
    let mut world = World::up();
    let ada = Client::new(world.running.address).sign_in(PEOPLE[0].name, PASSWORD).await;

    // Photos of others reach the feed, and their sizes are made.
    let photos = eventually("all photos of the feed are ready", || async {
        let feed = ada.json("/api/v1/feed?limit=20").await;
        let photos = feed["photos"].as_array().unwrap().clone();
        let ready = photos.iter().filter(|photo| photo["state"] == "ready").count();
        (ready > 2 && ready == photos.len()).then_some(photos)
    })
    .await;

    // The edge answers the second time.
    let small = path(&photos[0], "small");
    let first = ada.get(&small).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()["content-type"], "image/jpeg");
    let picture = first.bytes().await.unwrap();
    let second = ada.get(&small).await;
    let status = second.headers()["cache-status"].to_str().unwrap();
    assert!(status.contains("hit"), "{status}");
    assert_eq!(second.bytes().await.unwrap(), picture);

    // Every server takes its turn.
    let mut servers = HashSet::new();
    for _ in 0..300 {
        servers.insert(ada.get("/api/v1/me").await.headers()["x-server"].clone());
        if servers.len() == 3 {
            break;
        }
    }
    assert_eq!(servers.len(), 3, "{servers:?}");

    // A photo that is posted is in the own profile at once, and ready soon.
    let picture = paint(7).unwrap();
    let posted =
        ada.send(Method::POST, "/api/v1/photos?caption=New", |request| request.body(picture.jpeg)).await;
    assert_eq!(posted.status(), StatusCode::CREATED);
    let posted: Value = posted.json().await.unwrap();
    let id = posted["id"].as_str().unwrap().to_owned();
    eventually("the posted photo is ready", || async {
        let photo = ada.json(&format!("/api/v1/photos/{id}")).await;
        (photo["state"] == "ready").then_some(())
    })
    .await;
    visitors_see_each_change_at_once(&Client::new(world.running.address), &ada, &posted).await;

    world.signal(Signal::TERM);
    assert!(world.ended().success());
    assert_eq!(world.processes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_posted_is_there_after_a_restart_and_down_ends_it() {
    let mut world = World::up();
    let first =
        Client::new(world.running.address).json(&format!("/api/v1/users/{}/photos", PEOPLE[1].name)).await;
    let second = world::up(world.state()).output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("already runs") && said.contains("minigram down"), "{said}");

    let down = |world: &World| minigram().arg("down").arg("--state").arg(world.state()).output().unwrap();
    let said = down(&world);
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stdout).contains("has ended"));
    assert!(world.ended().success());
    assert_eq!(world.processes(), Vec::<String>::new());
    assert!(String::from_utf8_lossy(&down(&world).stdout).contains("nothing runs"));

    world.restart();
    let again =
        Client::new(world.running.address).json(&format!("/api/v1/users/{}/photos", PEOPLE[1].name)).await;
    let ids = |answer: &Value| -> Vec<Value> {
        answer["photos"].as_array().unwrap().iter().map(|photo| photo["id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&first));
}

#[test]
fn nothing_stays_when_it_is_killed() {
    let mut world = World::up();
    let evenkeel = format!("/proc/{}", world.running.evenkeel);
    assert!(std::path::Path::new(&evenkeel).exists());
    world.signal(Signal::KILL);
    assert!(!world.ended().success());
    world::eventually("evenkeel ends as well", || world.processes().is_empty().then_some(()));
}

#[test]
fn a_balancer_that_dies_ends_the_system_with_an_error() {
    let mut world = World::up();
    let killed = Command::new("kill").args(["-9", &world.running.evenkeel.to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(!world.ended().success());
    assert_eq!(world.processes(), Vec::<String>::new());
}
