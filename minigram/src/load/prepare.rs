//! What a load needs before it begins: access tokens of the users, their feeds, and the photos that they open.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{ACCEPT_ENCODING, ETAG};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::browsers::User;
use crate::domain::views::PAGE;
use crate::up::running::Running;
use crate::up::seed::{PASSWORD, PEOPLE, crowd_name};

/// What browsers accept.
pub const BROWSER_ENCODINGS: &str = "br, gzip";

/// Requests of the preparation at once.
const AT_ONCE: usize = 16;

/// Photos that a page of the feed shows (`PAGE` in `web/js/views/feed.js`).
pub const FEED_PHOTOS: usize = 10;

/// So many photos of a feed are read from the store, and are not kept by the application's cache: the first users of the load must
/// find it empty.
const UNCACHED_LIMIT: u32 = PAGE + 1;

/// Photos that are considered, at most.
const PHOTOS_MAX: usize = 2000;

/// How long to wait until every photo has its thumbnails.
const READY_MAX: Duration = Duration::from_secs(180);

/// How often to look whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long one request of the preparation may take.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Everything that the scenario is made of.
#[derive(Debug)]
pub struct Prepared {
    /// Access tokens, one for each user.
    pub tokens: Vec<String>,
    /// The users, in the same order.
    pub users: Vec<User>,
    /// Photos by their numbers in the feeds.
    pub photos: Vec<Photo>,
    /// The document of the pages and its files.
    pub shell: Shell,
}

/// The document that all pages are.
#[derive(Debug, Default)]
pub struct Shell {
    /// Paths of the document and the files that it names; empty if there are no pages.
    pub files: Vec<String>,
    /// The document's entity tag, by which a browser that has it asks for it again.
    pub etag: String,
}

/// A photo.
#[derive(Debug, Clone, Deserialize)]
pub struct Photo {
    /// Its id, as paths have it.
    pub id: String,
    /// `processing`, or `ready`.
    state: String,
    /// Paths of its pictures.
    urls: Urls,
}

impl Photo {
    fn is_ready(&self) -> bool {
        self.state == "ready"
    }

    /// The path of the picture that browsers show in a feed and on the photo's page: both are wider than the small size.
    #[must_use]
    pub fn picture(&self) -> &str {
        self.urls.webp.as_ref().map_or(&self.urls.large, |webp| &webp.large)
    }
}

/// Paths of pictures.
#[derive(Debug, Clone, Deserialize)]
struct Urls {
    large: String,
    webp: Option<WebpUrls>,
}

#[derive(Debug, Clone, Deserialize)]
struct WebpUrls {
    large: String,
}

#[derive(Deserialize)]
struct SignedIn {
    access_token: String,
}

#[derive(Deserialize)]
struct Page {
    photos: Vec<Photo>,
}

/// Talks to a system.
struct Client<'a> {
    http: reqwest::Client,
    running: &'a Running,
}

/// Signs `users` users of the crowd in, and finds out what they see.
///
/// # Errors
/// The system has fewer users, no photos, or does not answer.
pub async fn prepare(running: &Running, users: usize) -> anyhow::Result<Prepared> {
    let http = reqwest::Client::builder().no_proxy().timeout(REQUEST_MAX).build()?;
    let client = Client { http, running };
    let tokens: Vec<String> =
        stream::iter(0..users).map(|number| client.sign_in(number)).buffered(AT_ONCE).try_collect().await?;
    // With a token, because the edge may keep what strangers saw while a photo was processed.
    let reader = tokens.first().context("a load needs users")?;
    let mut photos = client.photos(reader).await?;
    let begun = Instant::now();
    while !photos.iter().all(Photo::is_ready) {
        ensure!(begun.elapsed() < READY_MAX, "not all photos have thumbnails after {READY_MAX:?}");
        sleep(LOOK_EVERY).await;
        photos = client.photos(reader).await?;
    }
    ensure!(!photos.is_empty(), "the system has no photos: start it with `minigram up --photos 60`");
    let mut numbers: HashMap<String, usize> =
        photos.iter().enumerate().map(|(number, photo)| (photo.id.clone(), number)).collect();
    let feeds: Vec<Page> =
        stream::iter(&tokens).map(|token| client.feed(token)).buffered(AT_ONCE).try_collect().await?;
    let mut seen = Vec::with_capacity(users);
    for page in feeds {
        let mut feed = Vec::new();
        for photo in page.photos.into_iter().take(FEED_PHOTOS) {
            let number = *numbers.entry(photo.id.clone()).or_insert_with(|| {
                photos.push(photo);
                photos.len() - 1
            });
            feed.push(number);
        }
        seen.push(User { feed });
    }
    let shell = client.shell().await?;
    Ok(Prepared { tokens, users: seen, photos, shell })
}

impl Client<'_> {
    /// At a server itself, because Evenkeel limits how often one address may sign in.
    async fn sign_in(&self, number: usize) -> anyhow::Result<String> {
        let name = crowd_name(number + 1);
        let server = &self.running.servers[number % self.running.servers.len()];
        let body = serde_json::json!({ "name": name, "password": PASSWORD });
        let url = format!("http://{}/api/v1/session", server.address);
        let response = self.http.post(url).json(&body).send().await?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            bail!("there is no user {name}: start a new system with `minigram up --crowd NUMBER`");
        }
        let signed_in: SignedIn = response.error_for_status()?.json().await?;
        Ok(signed_in.access_token)
    }

    async fn photos(&self, token: &str) -> anyhow::Result<Vec<Photo>> {
        let mut photos: Vec<Photo> = Vec::new();
        for person in PEOPLE {
            let page: Page =
                self.get(&format!("/api/v1/users/{}/photos?limit=100", person.name), token).await?;
            photos.extend(page.photos);
        }
        // Ids sort by time: the newest are the most popular.
        photos.sort_by(|one, other| other.id.cmp(&one.id));
        photos.truncate(PHOTOS_MAX);
        Ok(photos)
    }

    async fn feed(&self, token: &str) -> anyhow::Result<Page> {
        self.get(&format!("/api/v1/feed?limit={UNCACHED_LIMIT}"), token).await
    }

    /// The document, and the files that it names.
    async fn shell(&self) -> anyhow::Result<Shell> {
        let url = format!("http://{}/", self.running.address);
        let response = self.http.get(&url).send().await?;
        if !response.status().is_success() {
            return Ok(Shell::default());
        }
        let page = response.text().await?;
        let mut files = vec!["/".to_owned()];
        for part in page.split(['"', '\'']).filter(|part| part.starts_with("/assets/")) {
            if !files.iter().any(|file| file == part) {
                files.push(part.to_owned());
            }
        }
        // The tag of the form that browsers have.
        let compressed = self.http.get(&url).header(ACCEPT_ENCODING, BROWSER_ENCODINGS).send().await?;
        let etag = compressed.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.context("the document of the pages has no entity tag")?.to_owned();
        Ok(Shell { files, etag })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> anyhow::Result<T> {
        let url = format!("http://{}{path}", self.running.address);
        let response = self.http.get(url).bearer_auth(token).send().await?.error_for_status()?;
        response.json().await.with_context(|| format!("the answer to {path} is not as expected"))
    }
}
