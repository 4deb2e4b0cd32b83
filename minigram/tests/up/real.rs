//! `minigram up --engines real`: servers and workers as processes of their own, PostgreSQL, Redis and NATS behind them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use minigram::cluster::Running;
use minigram::up::seed::{PASSWORD, PEOPLE, paint};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, eventually};
use crate::collector::Collector;
use crate::edge::visitors_see_each_change_at_once;
use crate::moving::no_write_is_lost_while_a_shard_moves;
use crate::traced;
use crate::world::{World, minigram, succeed};

// The collector takes spans while the test waits for commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_engines_show_photos_and_own_writes_end_in_order_and_come_back_from_a_backup() {
    let collector = Collector::start().await;
    let elsewhere = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let [backup, blobs] = ["backup", "blobs"].map(|name| elsewhere.path().join(name));
    let places = ["--backup", backup.to_str().unwrap(), "--blobs", blobs.to_str().unwrap()];
    let more = ["--engines", "real", "--servers", "2", "--archive-every", "1", "--otlp", &collector.url];
    let mut world = World::up_with(&[&more[..], &places].concat());
    let engines = Running::read(world.state()).unwrap();
    for name in ["app-1", "app-2", "worker-1", "worker-2", "evenkeel"] {
        assert!(engines.process(name).is_some(), "{name} is no process of its own");
    }
    let ada = Client::new(world.running.address).sign_in(PEOPLE[0].name, PASSWORD).await;
    let bob = Client::new(world.running.address).sign_in(PEOPLE[1].name, PASSWORD).await;

    let picture = paint(7).unwrap().jpeg;
    let posted = ada.send(Method::POST, "/api/v1/photos?caption=New", |request| request.body(picture)).await;
    assert_eq!(posted.status(), StatusCode::CREATED);
    let posted: Value = posted.json().await.unwrap();
    let photo = format!("/api/v1/photos/{}", posted["id"].as_str().unwrap());
    // Replicas answer reads; those of the author wait for none.
    let own = ada.json(&format!("/api/v1/users/{}/photos", PEOPLE[0].name)).await;
    assert_eq!(own["photos"][0]["id"], posted["id"], "{own}");

    traced::post(&bob, &photo).await;
    let liked = bob.send(Method::PUT, &format!("{photo}/like"), |request| request).await;
    assert_eq!(liked.status(), StatusCode::NO_CONTENT);
    assert_eq!(bob.json(&photo).await["liked"], true);
    let comments = no_write_is_lost_while_a_shard_moves(world.state(), &bob, &posted).await;
    eventually("the photo is ready, and has bob's like", || async {
        let seen = ada.json(&photo).await;
        (seen["state"] == "ready" && seen["likes"] == 1).then_some(())
    })
    .await;
    let small = posted["urls"]["small"].as_str().unwrap();
    let picture = ada.get(small).await;
    assert_eq!(
        (picture.status(), picture.headers()["content-type"].as_bytes()),
        (StatusCode::OK, &b"image/jpeg"[..])
    );
    // Replicas answer visitors, and do not bring back what was there before.
    let of_bob = bob.json(&format!("/api/v1/users/{}/photos", PEOPLE[1].name)).await;
    let visitor = Client::new(world.running.address);
    visitors_see_each_change_at_once(&visitor, &bob, &of_bob["photos"][0]).await;

    traced::logs_have_it(world.state()).await;
    let letters = eventually("there is a dead letter", || async {
        let config = world.state().join("minigram.toml");
        let said = succeed(minigram().args(["dead-letters", "list", "--config"]).arg(config));
        (said != "there are no dead letters\n").then_some(said)
    })
    .await;
    assert!(letters.contains("the picture cannot be decoded") && letters.lines().count() == 1, "{letters}");

    // Where everything is, the command reads from the state directory.
    let said = succeed(minigram().arg("backup").arg("--state").arg(world.state()));
    // Each photo has its original and three sizes of two types.
    let saved =
        said.lines().find_map(|line| line.strip_prefix("pictures: ")?.split(',').next()?.parse().ok());
    assert!(saved.is_some_and(|files: u64| files >= 7), "{said}");
    down(&mut world);
    traced::collector_has_it(&collector);

    // Everything but the backup is lost.
    for entry in fs::read_dir(world.state()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    fs::remove_dir_all(&blobs).unwrap();
    let mut restore = minigram();
    restore.args(["restore", "--to", "latest", "--state"]).arg(world.state());
    restore.arg("--directory").arg(&backup).arg("--blobs").arg(&blobs);
    succeed(&mut restore);
    world.restart();
    let ada = Client::new(world.running.address).sign_in(PEOPLE[0].name, PASSWORD).await;
    let seen = ada.json(&photo).await;
    assert_eq!(
        (&seen["state"], &seen["likes"], &seen["comments"]),
        (&json!("ready"), &json!(1), &json!(comments))
    );
    assert_eq!(ada.get(seen["urls"]["small"].as_str().unwrap()).await.status(), StatusCode::OK);
    down(&mut world);
}

/// Ends it, and checks that nothing is left.
fn down(world: &mut World) {
    let said = succeed(minigram().arg("down").arg("--state").arg(world.state()));
    assert!(said.contains("has ended"), "{said}");
    assert!(world.ended().success());
    assert_eq!(world.processes(), Vec::<String>::new());
}
