//! After a drill: everything that was acknowledged is read back, and every job must have been done.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::ledger::{Ledger, Written};
use super::scene::Scene;
use super::session::{Body, Session};

/// How long replicas may take to show what others wrote.
const SHOWN_BOUND: Duration = Duration::from_secs(20);
/// How long workers may take to do what was left behind. A job whose worker died comes back after 30 s.
const DONE_BOUND: Duration = Duration::from_secs(150);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Entries of a page.
const PAGE: usize = 100;
/// Pages of a list, at most.
const PAGES_MAX: usize = 1000;

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Checked {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Those of them that are not there, and sessions that have ended.
    pub lost: Vec<String>,
    /// Comments and photos that are there twice, after those that were not acknowledged were sent again.
    pub twice: Vec<String>,
    /// Photos that did not come into the feed of a follower, and jobs that are not done or dead letters.
    pub jobs_lost: Vec<String>,
    /// Photos without all of their pictures.
    pub thumbnails_missing: Vec<String>,
    /// Seconds from the end of the load until every job was done.
    pub settled_s: f64,
}

/// Reads everything back.
///
/// # Errors
/// The system does not answer.
pub async fn check(scene: &Scene, users: &[Arc<Session>], ledger: &Ledger) -> anyhow::Result<Checked> {
    let (written, begun) = (ledger.written(), Instant::now());
    let mut checked = Checked { acknowledged: written.acknowledged, ..Checked::default() };
    for user in users {
        if let Err(error) = user.refresh().await {
            checked.lost.push(format!("{error:#}"));
        }
    }
    for post in &written.unanswered {
        users[post.user].insist(Method::POST, &post.path, &post.body).await?;
    }
    let reader = &users[0];
    let not_done = until_empty(DONE_BOUND, || unready(reader, &written)).await?;
    checked.thumbnails_missing.extend(not_done);
    checked.thumbnails_missing.extend(pictures_missing(reader, &written).await?);
    checked.jobs_lost.extend(until_empty(DONE_BOUND, || not_in_feed(reader, &written)).await?);
    checked.jobs_lost.extend(until_empty(DONE_BOUND, || jobs_left(scene)).await?);
    checked.settled_s = begun.elapsed().as_secs_f64();
    for (photo, comments) in &written.comments {
        checked.lost.extend(until_empty(SHOWN_BOUND, || comments_lost(reader, photo, comments)).await?);
    }
    checked.lost.extend(until_empty(SHOWN_BOUND, || photos_lost(users, &written)).await?);
    checked.lost.extend(until_empty(SHOWN_BOUND, || likes_lost(users, &written)).await?);
    checked.lost.extend(until_empty(SHOWN_BOUND, || follows_lost(users, &written)).await?);
    checked.twice = twice(users, &written).await?;
    Ok(checked)
}

/// Looks until nothing is missing, or time is over; what is missing then.
async fn until_empty<F: Future<Output = anyhow::Result<Vec<String>>>>(
    bound: Duration,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<Vec<String>> {
    let end = Instant::now() + bound;
    loop {
        let missing = look().await?;
        if missing.is_empty() || Instant::now() >= end {
            return Ok(missing);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn get(user: &Session, path: &str) -> anyhow::Result<Value> {
    user.insist(Method::GET, path, &Body::None).await
}

/// A whole list, entry by entry.
async fn all(user: &Session, path: &str, name: &str) -> anyhow::Result<Vec<Value>> {
    let (mut entries, mut before) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let mut page = get(user, &format!("{path}?limit={PAGE}{before}")).await?;
        if let Value::Array(list) = page[name].take() {
            entries.extend(list);
        }
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    Ok(entries)
}

fn ids(entries: &[Value]) -> BTreeSet<&str> {
    entries.iter().filter_map(|entry| entry["id"].as_str()).collect()
}

/// Photos whose thumbnails no worker has made.
async fn unready(reader: &Session, written: &Written) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for photo in written.photos.keys() {
        match get(reader, &format!("/photos/{photo}")).await {
            Ok(seen) if seen["state"] == "ready" => {}
            Ok(_) => missing.push(format!("photo {photo} is not ready")),
            Err(error) => missing.push(format!("photo {photo}: {error:#}")),
        }
        // The first one is waited for.
        if !missing.is_empty() {
            break;
        }
    }
    Ok(missing)
}

async fn pictures_missing(reader: &Session, written: &Written) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for photo in written.photos.keys() {
        let Ok(mut seen) = get(reader, &format!("/photos/{photo}")).await else { continue };
        let webp = seen["urls"]["webp"].take();
        for size in ["thumb", "small", "large"] {
            for urls in [&seen["urls"], &webp] {
                let url = urls[size].as_str().unwrap_or_default();
                if url.is_empty() || !reader.has_picture(url).await {
                    missing.push(format!("photo {photo}: {size} `{url}`"));
                }
            }
        }
    }
    Ok(missing)
}

async fn not_in_feed(reader: &Session, written: &Written) -> anyhow::Result<Vec<String>> {
    let feed = all(reader, "/feed", "photos").await?;
    let there = ids(&feed);
    // The first user follows all others, and not itself.
    let expected = written.photos.iter().filter(|(_, author)| **author != 0);
    let missing = expected.filter(|(photo, _)| !there.contains(photo.as_str()));
    Ok(missing.map(|(photo, _)| format!("photo {photo} is not in the feed of {}", reader.name)).collect())
}

async fn jobs_left(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let depth = scene.depth().await?;
    let is_empty = depth.ready + depth.delayed + depth.taken + depth.dead == 0;
    Ok(if is_empty { Vec::new() } else { vec![format!("the queue still has {depth:?}")] })
}

async fn comments_lost(
    reader: &Session,
    photo: &str,
    comments: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<String>> {
    let Ok(seen) = all(reader, &format!("/photos/{photo}/comments"), "comments").await else {
        return Ok(vec![format!("all {} comments on {photo}", comments.len())]);
    };
    let there: BTreeMap<&str, &str> =
        seen.iter().filter_map(|entry| Some((entry["id"].as_str()?, entry["text"].as_str()?))).collect();
    let lost = comments.iter().filter(|(id, text)| there.get(id.as_str()) != Some(&text.as_str()));
    Ok(lost.map(|(id, text)| format!("comment {id} on {photo}: `{text}`")).collect())
}

async fn photos_lost(users: &[Arc<Session>], written: &Written) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for (number, user) in users.iter().enumerate() {
        let list = all(&users[0], &format!("/users/{}/photos", user.name), "photos").await?;
        let there = ids(&list);
        let own = written.photos.iter().filter(|(_, author)| **author == number);
        lost.extend(own.filter(|(id, _)| !there.contains(id.as_str())).map(|(id, _)| format!("photo {id}")));
    }
    Ok(lost)
}

/// Comments and captions of one author that are there more than once. Each was sent under one key.
async fn twice(users: &[Arc<Session>], written: &Written) -> anyhow::Result<Vec<String>> {
    let mut twice = Vec::new();
    let mut note = |entries: &[Value], name: &str| {
        let mut seen = BTreeSet::new();
        let texts = entries.iter().filter_map(|entry| entry[name].as_str());
        twice.extend(texts.filter(|text| !seen.insert(*text)).map(|text| format!("{name} `{text}`")));
    };
    for photo in written.comments.keys() {
        note(&all(&users[0], &format!("/photos/{photo}/comments"), "comments").await?, "text");
    }
    for user in users {
        note(&all(&users[0], &format!("/users/{}/photos", user.name), "photos").await?, "caption");
    }
    Ok(twice)
}

/// Likes that are gone, and numbers of likes that count one twice or not at all.
async fn likes_lost(users: &[Arc<Session>], written: &Written) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for (photo, sent) in &written.likes_sent {
        let acknowledged = written.likes.get(photo).cloned().unwrap_or_default();
        let mut likes = 0;
        for user in sent {
            let Ok(seen) = get(&users[*user], &format!("/photos/{photo}")).await else {
                lost.push(format!("photo {photo}, which has likes"));
                continue;
            };
            likes = seen["likes"].as_u64().unwrap_or_default();
            if acknowledged.contains(user) && seen["liked"] != true {
                lost.push(format!("the like of {} on {photo}", users[*user].name));
            }
        }
        if !(acknowledged.len() as u64..=sent.len() as u64).contains(&likes) {
            let (least, most) = (acknowledged.len(), sent.len());
            lost.push(format!("{photo} has {likes} likes instead of {least} to {most}"));
        }
    }
    Ok(lost)
}

async fn follows_lost(users: &[Arc<Session>], written: &Written) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for (follower, followee) in &written.follows {
        let (follower, followee) = (&users[*follower], &users[*followee].name);
        if get(follower, &format!("/users/{followee}")).await?["followed"] != true {
            lost.push(format!("{} does not follow {followee}", follower.name));
        }
    }
    Ok(lost)
}
