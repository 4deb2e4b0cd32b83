//! The edge: Evenkeel's cache before the servers. What changes is purged there by tag.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::ids::{PhotoId, UserId};

/// How long one purge may take. The request that causes it waits for it.
const PURGE_MAX: Duration = Duration::from_millis(500);

/// Purges that are tried again in the background. More are given up.
const WAITING_MAX: usize = 1024;

/// How often a purge is tried again, each time after twice the pause.
const TRIES: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// One Evenkeel.
#[derive(Debug, Clone)]
pub struct EdgeNode {
    /// Its admin API, such as `http://127.0.0.1:9900`.
    pub admin: String,
    /// The token of its admin API, if it has one.
    pub token: Option<String>,
}

/// Purges the edge. Copies share their connections.
#[derive(Clone)]
pub struct Edge {
    nodes: Arc<[EdgeNode]>,
    http: reqwest::Client,
    again: mpsc::Sender<Purge>,
    failed: Counter,
}

/// A purge of one node.
struct Purge {
    node: usize,
    tag: String,
}

/// The tag of what shows a user.
#[must_use]
pub fn user_tag(user: UserId) -> String {
    format!("user-{user}")
}

/// The tag of what shows a photo, its files among it.
#[must_use]
pub fn photo_tag(photo: PhotoId) -> String {
    format!("photo-{photo}")
}

/// The tag of what is said of a photo, its files not among it.
#[must_use]
pub fn about_photo_tag(photo: PhotoId) -> String {
    format!("about-photo-{photo}")
}

impl Edge {
    /// Purges these nodes, of which there may be none. What is given up is counted by `failed`. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn start(nodes: &[EdgeNode], failed: Counter) -> Self {
        let (again, purges) = mpsc::channel(WAITING_MAX);
        let edge = Self { nodes: nodes.into(), http: reqwest::Client::new(), again, failed };
        if !nodes.is_empty() {
            // Without the sender, so that the task ends with the last copy.
            tokio::spawn(retry(edge.nodes.clone(), edge.http.clone(), edge.failed.clone(), purges));
        }
        edge
    }

    /// Purges what has any of these tags. A node that does not answer in time is asked again in the background;
    /// what it has cached ends with its lifetime at the latest.
    pub async fn purge(&self, tags: &[String]) {
        let all = tags.iter().flat_map(|tag| (0..self.nodes.len()).map(move |node| (node, tag)));
        let purges = all.map(async |(node, tag)| {
            if let Err(error) = purge(&self.http, &self.nodes[node], tag).await {
                tracing::warn!(%error, tag, node = self.nodes[node].admin, "the edge was not purged at once");
                if self.again.try_send(Purge { node, tag: tag.clone() }).is_err() {
                    self.failed.inc();
                }
            }
        });
        join_all(purges).await;
    }
}

async fn purge(http: &reqwest::Client, node: &EdgeNode, tag: &str) -> reqwest::Result<()> {
    let url = format!("{}/cache/purge", node.admin.trim_end_matches('/'));
    let mut request = http.post(url).timeout(PURGE_MAX).json(&json!({ "tag": tag }));
    if let Some(token) = &node.token {
        request = request.bearer_auth(token);
    }
    request.send().await?.error_for_status().map(drop)
}

async fn retry(
    nodes: Arc<[EdgeNode]>,
    http: reqwest::Client,
    failed: Counter,
    mut purges: mpsc::Receiver<Purge>,
) {
    while let Some(Purge { node, tag }) = purges.recv().await {
        let (node, mut pause, mut result) = (&nodes[node], PAUSE_FIRST, Ok(()));
        for _ in 0..TRIES {
            sleep(pause).await;
            pause *= 2;
            result = purge(&http, node, &tag).await;
            if result.is_ok() {
                break;
            }
        }
        if let Err(error) = result {
            failed.inc();
            tracing::error!(%error, tag, node = node.admin, "the edge was not purged");
        }
    }
}
