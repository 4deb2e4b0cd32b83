//! The edge: Evenkeel's cache before the servers. What changes is purged there by tag.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::ids::{PhotoId, UserId};

mod gathered;
mod node;

pub use gathered::GatheredPurges;
pub use node::{EdgeNode, Names, PurgeError, system_names};

use node::{Left, Mode, Node};

/// Purges that wait to be tried again. More are given up.
const WAITING_MAX: usize = 1024;

/// Purges that are tried again at the same time, so that an edge that is down does not delay those of the others.
const AT_ONCE: usize = 64;

/// How often a purge is tried again, each time after twice the pause.
const TRIES: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// Purges the edge. Copies share their connections.
#[derive(Clone)]
pub struct Edge {
    nodes: Arc<[Node]>,
    again: mpsc::Sender<Purge>,
    failed: Counter,
}

/// A purge that is left to do.
struct Purge {
    node: usize,
    address: Option<SocketAddr>,
    tag: String,
    mode: Mode,
}

/// The tag of what shows a user.
#[must_use]
pub fn user_tag(user: UserId) -> String {
    format!("user-{user}")
}

/// The tag of what is no more when a photo is deleted, its files among it.
#[must_use]
pub fn photo_tag(photo: PhotoId) -> String {
    format!("photo-{photo}")
}

/// The tag of what shows a photo's numbers and its text; its files and its comments not among it.
#[must_use]
pub fn about_photo_tag(photo: PhotoId) -> String {
    format!("about-photo-{photo}")
}

/// The tag of what is written below a photo. Likes are many more than comments, and change nothing of that.
#[must_use]
pub fn comments_tag(photo: PhotoId) -> String {
    format!("comments-{photo}")
}

impl Edge {
    /// Purges these nodes, of which there may be none. What is given up is counted by `failed`. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn start(nodes: &[EdgeNode], failed: Counter) -> Self {
        Self::start_with(nodes, failed, &system_names())
    }

    /// The same with other names than the system's.
    #[must_use]
    pub fn start_with(nodes: &[EdgeNode], failed: Counter, names: &Names) -> Self {
        let (again, purges) = mpsc::channel(WAITING_MAX);
        let nodes: Arc<[Node]> = nodes.iter().map(|node| Node::new(node.clone(), names.clone())).collect();
        if !nodes.is_empty() {
            // Without the sender, so that the task ends with the last copy.
            tokio::spawn(repeat(nodes.clone(), failed.clone(), purges));
        }
        Self { nodes, again, failed }
    }

    /// Whether there is anything to purge.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Purges what has any of these tags. An address that does not answer in time is asked again in the background;
    /// what it has cached ends with its lifetime at the latest.
    pub async fn purge(&self, tags: &[String]) {
        self.send(tags, Mode::Hard).await;
    }

    /// Makes what has this tag stale: the next visitor may still be shown it, while the edge asks for what is new.
    pub async fn outdate(&self, tag: String) {
        self.send(&[tag], Mode::Soft).await;
    }

    async fn send(&self, tags: &[String], mode: Mode) {
        let all = tags.iter().flat_map(|tag| self.nodes.iter().enumerate().map(move |node| (node, tag)));
        let purges = all.map(async |((number, node), tag)| {
            for Left { address, error } in node.purge(tag, mode).await {
                tracing::warn!(%error, tag, edge = node.admin(), ?address, "the edge was not purged at once");
                let purge = Purge { node: number, address, tag: tag.clone(), mode };
                if self.again.try_send(purge).is_err() {
                    self.failed.inc();
                }
            }
        });
        join_all(purges).await;
    }
}

async fn repeat(nodes: Arc<[Node]>, failed: Counter, purges: mpsc::Receiver<Purge>) {
    let purges = stream::unfold(purges, async |mut purges| Some((purges.recv().await?, purges)));
    let again = purges.for_each_concurrent(AT_ONCE, async |Purge { node, address, tag, mode }| {
        let node = &nodes[node];
        for Left { address, error } in until_done(node, address, &tag, mode).await {
            failed.inc();
            tracing::error!(%error, tag, edge = node.admin(), ?address, "the edge was not purged");
        }
    });
    again.await;
}

/// Tries again; what is given up.
async fn until_done(node: &Node, address: Option<SocketAddr>, tag: &str, mode: Mode) -> Vec<Left> {
    let (mut pause, mut open, mut left) = (PAUSE_FIRST, vec![address], Vec::new());
    for _ in 0..TRIES {
        sleep(pause).await;
        pause *= 2;
        left.clear();
        for address in open {
            match address {
                Some(address) => left.extend(node.purge_at(address, tag, mode).await),
                None => left.extend(node.purge(tag, mode).await),
            }
        }
        open = left.iter().map(|left| left.address).collect();
        if open.is_empty() {
            break;
        }
    }
    left
}
