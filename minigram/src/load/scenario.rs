//! The mix of requests, as `evenkeel bench` reads it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::browsers::{Network, Page, browse};
use super::prepare::{BROWSER_ENCODINGS, FEED_PHOTOS, Prepared, Shell};

/// Values of one name, at most.
const VALUES_MAX: u64 = 4000;

/// How often to refine how many pages a user opens.
const ROUNDS: usize = 6;

/// A load that is about to be put on.
#[derive(Debug)]
pub struct Plan {
    /// Requests that reach the network, by the model of the browsers.
    pub network: Network,
    /// How long a user looks at a page before the next one, so that all users together send at the rate.
    pub think: Duration,
    /// Pages that each user opens.
    pub pages_each: u32,
    /// Requests of the pages' own files.
    pub shell_files: u64,
}

/// Plans the pages of all users for a run of this length, so that `rate` requests a second reach the network.
#[must_use]
pub fn plan(prepared: &Prepared, rate: u32, length: Duration) -> Plan {
    let (users, shell_files) = (prepared.users.len(), prepared.shell.files.len() as u64);
    let mut pages_each = 8;
    let mut plan = None;
    // The more pages a user opens, the more a browser has, the shorter the pause for the same rate: this settles.
    for _ in 0..ROUNDS {
        let network = browse(&prepared.users, prepared.photos.len(), pages_each, shell_files);
        let per_page =
            network.requests(shell_files) as f64 / (users as u64 * u64::from(pages_each)).max(1) as f64;
        let think = Duration::from_secs_f64(users as f64 * per_page / f64::from(rate.max(1)));
        plan = Some(Plan { network, think, pages_each, shell_files });
        pages_each = (length.as_secs_f64() / think.as_secs_f64()).round().clamp(1.0, 10_000.0) as u32;
    }
    plan.unwrap_or_else(|| Plan {
        network: Network::default(),
        think: Duration::ZERO,
        pages_each,
        shell_files,
    })
}

#[derive(Serialize)]
struct File<'a> {
    values: BTreeMap<&'a str, Vec<&'a str>>,
    request: Vec<Request>,
}

#[derive(Debug, Serialize)]
struct Request {
    name: &'static str,
    weight: u64,
    method: &'static str,
    path: String,
    headers: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_file: Option<String>,
}

impl Request {
    fn new(name: &'static str, weight: u64, method: &'static str, path: impl Into<String>) -> Self {
        let headers = BTreeMap::from([("accept-encoding", BROWSER_ENCODINGS.to_owned())]);
        Self { name, weight, method, path: path.into(), headers, body_file: None }
    }

    fn signed_in(mut self) -> Self {
        self.headers.insert("authorization", "Bearer {token}".to_owned());
        self
    }
}

/// Writes the scenario, and beside it the picture that is uploaded.
///
/// # Errors
/// A file cannot be written.
pub fn write(file: &Path, picture: &[u8], prepared: &Prepared, plan: &Plan) -> anyhow::Result<()> {
    let photos = &prepared.photos;
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    values.insert("token", prepared.tokens.iter().map(String::as_str).collect());
    values.insert("photo", repeated(&plan.network.opened, |number| &*photos[number].id));
    values.insert("picture", repeated(&plan.network.pictures, |number| below(photos[number].picture())));
    values.insert("shell", prepared.shell.files.iter().map(|path| below(path)).collect());
    values.retain(|_, values| !values.is_empty());
    let mut requests = requests(plan, &prepared.shell);
    requests
        .retain(|request| request.weight > 0 && names(&request.path).all(|name| values.contains_key(name)));
    let text = toml::to_string(&File { values, request: requests })?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    let upload = file.with_file_name(PICTURE);
    std::fs::write(&upload, picture).with_context(|| format!("{} cannot be written", upload.display()))
}

const PICTURE: &str = "upload.jpg";

fn requests(plan: &Plan, shell: &Shell) -> Vec<Request> {
    let network = &plan.network;
    let pages = |page| network.pages.get(&page).copied().unwrap_or(0);
    let photo = pages(Page::Photo);
    let mut upload =
        Request::new("upload", pages(Page::Upload), "POST", "/api/v1/photos?caption=Load").signed_in();
    upload.headers.insert("content-type", "image/jpeg".to_owned());
    upload.body_file = Some(PICTURE.to_owned());
    let mut again = Request::new("page, revalidated", network.later_visits, "GET", "/");
    again.headers.insert("if-none-match", shell.etag.clone());
    vec![
        Request::new("feed", pages(Page::Feed), "GET", format!("/api/v1/feed?limit={FEED_PHOTOS}"))
            .signed_in(),
        // Half of those who open a photo came by a link, and have not signed in.
        Request::new(BY_USERS[0], photo / 2, "GET", "/api/v1/photos/{photo}").signed_in(),
        Request::new(BY_USERS[1], photo / 2, "GET", COMMENTS).signed_in(),
        Request::new(BY_VISITORS[0], photo - photo / 2, "GET", "/api/v1/photos/{photo}"),
        Request::new(BY_VISITORS[1], photo - photo / 2, "GET", COMMENTS),
        Request::new("like", pages(Page::Like), "PUT", "/api/v1/photos/{photo}/like").signed_in(),
        upload,
        Request::new("picture", network.pictures.values().sum(), "GET", "/{picture}"),
        Request::new("pages and files", network.first_visits * plan.shell_files, "GET", "/{shell}"),
        again,
    ]
}

/// Requests for photos and comments by users who are signed in.
pub const BY_USERS: [&str; 2] = ["photo", "comments"];

/// The same by visitors, who are all shown the same.
pub const BY_VISITORS: [&str; 2] = ["photo, signed out", "comments, signed out"];

/// As the page of a photo asks for them.
const COMMENTS: &str = "/api/v1/photos/{photo}/comments?limit=20";

/// A path without its first `/`, which a scenario must have outside of its values.
fn below(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

/// Names in braces.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name)
}

/// Each value as often as it is asked for, in proportion, and at least once.
fn repeated<'a>(counts: &BTreeMap<usize, u64>, value: impl Fn(usize) -> &'a str) -> Vec<&'a str> {
    let all: u64 = counts.values().sum();
    let mut values = Vec::new();
    for (number, count) in counts {
        let times = if all <= VALUES_MAX { *count } else { (count * VALUES_MAX / all).max(1) };
        values.extend((0..times).map(|_| value(*number)));
    }
    values
}
