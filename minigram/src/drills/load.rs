//! Users who write and read at a steady rate, whether or not earlier requests have been answered.

use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::ledger::{Ledger, Unanswered};
use super::session::{Body, Session};
use super::tally::{Outcome, Tally};
use crate::clock::Clock;

/// Actions that are not over, at most. Further ones count as failed.
const OPEN_MAX: usize = 1000;
/// Entries of a first page, which the application keeps in its cache.
const PAGE: usize = 20;

/// Users at work.
#[derive(Debug)]
pub struct Load {
    work: Arc<Work>,
    task: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Work {
    users: Vec<Arc<Session>>,
    ledger: Arc<Ledger>,
    tally: Arc<Tally>,
    picture: Bytes,
    /// Photos that get likes and comments.
    photos: Mutex<Vec<String>>,
    number: AtomicU64,
    /// In every caption, so that photos of an earlier drill are not taken for ones that are there twice.
    mark: u64,
}

impl Load {
    /// Posts a photo, and begins.
    ///
    /// # Errors
    /// The first photo cannot be posted.
    pub async fn start(
        users: &[Arc<Session>],
        rate: u32,
        ledger: Arc<Ledger>,
        tally: Arc<Tally>,
    ) -> anyhow::Result<Self> {
        let (picture, mark) = (picture()?, Clock::System.now().0);
        let path = format!("/photos?caption=Drill%20{mark}");
        let posted = users[0].insist(Method::POST, &path, &Body::file(picture.clone())).await?;
        let first = text(&posted["id"]).context("a photo that was posted has no id")?;
        let (photos, number) = (Mutex::new(vec![first]), AtomicU64::new(0));
        let work = Arc::new(Work { users: users.to_vec(), ledger, tally, picture, photos, number, mark });
        let stop = Arc::<AtomicBool>::default();
        let task = tokio::spawn(work.clone().act_steadily(rate, stop.clone()));
        Ok(Self { work, task, stop })
    }

    /// Posts so many photos at once, beside what goes on.
    pub async fn post(&self, count: usize) {
        let each = (0..count).map(|number| self.work.post(number % self.work.users.len()));
        futures_util::future::join_all(each).await;
    }

    /// Begins nothing more, and waits for the answers to what was begun.
    pub async fn finish(self) {
        self.stop.store(true, Relaxed);
        if let Err(panic) = self.task.await {
            tracing::error!("the load ended early: {panic}");
        }
    }
}

impl Work {
    async fn act_steadily(self: Arc<Self>, rate: u32, stop: Arc<AtomicBool>) {
        let mut tick = interval(Duration::from_secs(1) / rate.max(1));
        // The rate stays what it is, also after a pause of this process.
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut open = JoinSet::new();
        while !stop.load(Relaxed) {
            tick.tick().await;
            while open.try_join_next().is_some() {}
            if open.len() < OPEN_MAX {
                open.spawn(self.clone().act());
            } else {
                self.tally.count(&Outcome::Failed("not sent: too many are open"), Duration::ZERO);
            }
        }
        open.join_all().await;
    }

    /// One action of one user.
    async fn act(self: Arc<Self>) {
        let user = fastrand::usize(..self.users.len());
        match fastrand::u32(..100) {
            0..35 => self.comment(user).await,
            35..60 => self.like(user).await,
            60..66 => self.post(user).await,
            66..75 => self.follow(user).await,
            _ => drop(self.get(user, "/feed?limit=12").await),
        }
    }

    async fn get(&self, user: usize, path: &str) -> Option<Value> {
        self.users[user].measured(&self.tally, Method::GET, path, &Body::None).await
    }

    /// Posts something. What is not acknowledged is noted, to be repeated later.
    async fn made(&self, user: usize, path: &str, body: Body) -> Option<Value> {
        let made = self.users[user].measured(&self.tally, Method::POST, path, &body).await;
        if made.is_none() {
            self.ledger.note().unanswered.push(Unanswered { user, path: path.to_owned(), body });
        }
        made
    }

    fn photo(&self) -> String {
        let photos = self.photos.lock().unwrap_or_else(PoisonError::into_inner);
        photos[fastrand::usize(..photos.len())].clone()
    }

    fn stale(&self, user: usize, what: &str) {
        self.ledger.note().stale.push(format!("{}: {what}", self.users[user].name));
    }

    async fn comment(&self, user: usize) {
        let photo = self.photo();
        let path = format!("/photos/{photo}/comments");
        let said = format!("comment {} of {}", self.number.fetch_add(1, Relaxed), self.users[user].name);
        let Some(made) = self.made(user, &path, Body::json(json!({ "text": said }))).await else { return };
        let Some(id) = text(&made["id"]) else { return };
        {
            let mut written = self.ledger.note();
            written.acknowledged += 1;
            written.comments.entry(photo).or_default().insert(id.clone(), said);
        }
        if self.is_listed(user, &path, "comments", &id).await == Some(false) {
            self.stale(user, &format!("comment {id} is not in {path}"));
        }
    }

    async fn post(&self, user: usize) {
        let number = self.number.fetch_add(1, Relaxed);
        let path = format!("/photos?caption=Drill%20{}%20{number}", self.mark);
        let Some(made) = self.made(user, &path, Body::file(self.picture.clone())).await else { return };
        let Some(id) = text(&made["id"]) else { return };
        {
            let mut written = self.ledger.note();
            written.acknowledged += 1;
            written.photos.insert(id.clone(), user);
        }
        let path = format!("/users/{}/photos", self.users[user].name);
        if self.is_listed(user, &path, "photos", &id).await == Some(false) {
            self.stale(user, &format!("photo {id} is not in {path}"));
        }
        self.photos.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    /// Whether a list that goes from new to old has this id. `None` if it cannot be read.
    async fn is_listed(&self, user: usize, path: &str, name: &str, id: &str) -> Option<bool> {
        let page = self.get(user, &format!("{path}?limit={PAGE}")).await?;
        if has(&page[name], id) {
            return Some(true);
        }
        if page["next"].is_null() {
            return Some(false);
        }
        // Others have written so much since that it is on a later page.
        let after: i64 = id.parse().ok()?;
        let page = self.get(user, &format!("{path}?limit=1&before={}", after + 1)).await?;
        Some(has(&page[name], id))
    }

    async fn like(&self, user: usize) {
        let photo = self.photo();
        self.ledger.note().likes_sent.entry(photo.clone()).or_default().insert(user);
        let path = format!("/photos/{photo}");
        let like = format!("{path}/like");
        if self.users[user].measured(&self.tally, Method::PUT, &like, &Body::None).await.is_none() {
            return;
        }
        {
            let mut written = self.ledger.note();
            written.acknowledged += 1;
            written.likes.entry(photo).or_default().insert(user);
        }
        if self.get(user, &path).await.is_some_and(|seen| seen["liked"] != true) {
            self.stale(user, &format!("the like is not in {path}"));
        }
    }

    async fn follow(&self, user: usize) {
        let followee = (user + fastrand::usize(1..self.users.len())) % self.users.len();
        let path = format!("/users/{}", self.users[followee].name);
        let follow = format!("{path}/follow");
        if self.users[user].measured(&self.tally, Method::PUT, &follow, &Body::None).await.is_none() {
            return;
        }
        {
            let mut written = self.ledger.note();
            written.acknowledged += 1;
            written.follows.insert((user, followee));
        }
        if self.get(user, &path).await.is_some_and(|seen| seen["followed"] != true) {
            self.stale(user, &format!("{path} is not followed"));
        }
    }
}

/// Whether a list of objects has one with this id.
fn has(list: &Value, id: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|entry| entry["id"] == id))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A small picture, so that workers have many jobs rather than long ones.
fn picture() -> anyhow::Result<Bytes> {
    let painted = RgbImage::from_fn(320, 240, |x, y| {
        let part = |value: u32| u8::try_from(value % 256).unwrap_or(0);
        Rgb([part(x), part(y), part(x + y)])
    });
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(painted)
        .write_to(&mut file, ImageFormat::Jpeg)
        .context("a picture cannot be encoded")?;
    Ok(file.into_inner().into())
}
