//! What the edge keeps of a photo is purged when its sizes are there.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use minigram::app::edge::{EdgeNode, about_photo_tag, user_tag};
use minigram::workers::WorkerSettings;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::world::{World, eager, png};

type Purged = Arc<Mutex<Vec<String>>>;

/// An admin API that notes purges.
async fn edge() -> (EdgeNode, Purged) {
    let purged = Purged::default();
    let purge = async |State(purged): State<Purged>, Json(sent): Json<Value>| {
        purged.lock().unwrap().push(sent["tag"].as_str().unwrap().to_owned());
    };
    let router = Router::new().route("/cache/purge", post(purge)).with_state(purged.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (EdgeNode { admin, token: None }, purged)
}

#[tokio::test]
async fn the_edge_is_purged_of_what_it_keeps_about_a_photo_that_became_ready() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let photo = world.post(ada, png(20, 20)).await;
    let (node, purged) = edge().await;
    let _running = world.work(world.engines.clone(), WorkerSettings { edge: vec![node], ..eager() });
    world.settled().await;
    let mut purged = purged.lock().unwrap().clone();
    purged.sort_unstable();
    assert_eq!(purged, [about_photo_tag(photo), user_tag(ada)]);
}
