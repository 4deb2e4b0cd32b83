//! `minigram shards move`, while users write to the shard.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::client::Client;
use crate::world::{minigram, succeed};

/// Comments that are written at least.
const COMMENTS_MIN: usize = 20;
/// Entries of a page.
const PAGE: usize = 100;

/// Moves the shard of a photo to another database while `user` comments on the photo as fast as answers come. Each comment is
/// acknowledged, the next read shows it, and none is lost. Returns their number.
pub async fn no_write_is_lost_while_a_shard_moves(state: &Path, user: &Client, photo: &Value) -> usize {
    let id = photo["id"].as_str().unwrap();
    let shard = (id.parse::<u64>().unwrap() >> 16) & 63;
    let config = state.join("minigram.toml");
    let place =
        || database_of(shard, &succeed(minigram().args(["shards", "--config"]).arg(&config).arg("show")));
    let to = 1 - place();
    let mut moving = Command::from(minigram());
    moving.args(["shards", "--config"]).arg(&config).args([
        "move",
        &shard.to_string(),
        "--to",
        &to.to_string(),
    ]);
    let moving = tokio::spawn(moving.output());

    let comments = format!("/api/v1/photos/{id}/comments");
    let mut written = Vec::new();
    while written.len() < COMMENTS_MIN || !moving.is_finished() {
        written.push(comment(user, &comments, written.len()).await);
    }
    let moved = moving.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&moved.stdout).into_owned();
    assert!(
        moved.status.success() && said.contains(&format!("shard {shard} is in database {to}")),
        "{moved:?}"
    );
    println!("{said}{} comments were written", written.len());
    assert_eq!(place(), to);
    written.push(comment(user, &comments, written.len()).await);
    written.reverse();
    assert_eq!(all(user, &comments).await, written);
    assert_eq!(user.json(&format!("/api/v1/photos/{id}")).await["comments"], written.len());
    written.len()
}

/// Writes a comment that the next read must show; its id.
async fn comment(user: &Client, comments: &str, number: usize) -> Value {
    let text = json!({ "text": format!("number {number}") });
    let made = user.send(Method::POST, comments, |request| request.json(&text)).await;
    assert_eq!(made.status(), StatusCode::CREATED, "comment {number}");
    let made: Value = made.json().await.unwrap();
    let page = user.json(comments).await;
    assert_eq!(page["comments"][0]["id"], made["id"], "comment {number} is not first in {page}");
    made["id"].clone()
}

/// The ids of all comments, from new to old.
async fn all(user: &Client, comments: &str) -> Vec<Value> {
    let (mut ids, mut before) = (Vec::new(), String::new());
    loop {
        let page = user.json(&format!("{comments}?limit={PAGE}{before}")).await;
        ids.extend(page["comments"].as_array().unwrap().iter().map(|comment| comment["id"].clone()));
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return ids,
        }
    }
}

/// The database that has a shard, by what `minigram shards show` prints: `database 1: 32 shards: 1 3 5`.
fn database_of(shard: u64, shown: &str) -> u64 {
    let has = |line: &&str| line.split(' ').skip(4).any(|number| number.parse() == Ok(shard));
    let line = shown.lines().find(has).unwrap_or_else(|| panic!("no database has shard {shard}: {shown}"));
    line.split([' ', ':']).nth(1).unwrap().parse().unwrap()
}
