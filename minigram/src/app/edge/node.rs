//! One edge: an Evenkeel, or all that one name leads to, each with a cache of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use reqwest::{Client, Url};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long one purge may take. The request that causes it waits for it.
const PURGE_MAX: Duration = Duration::from_millis(500);

/// How long the addresses of a name are used before it is looked up again.
const LOOKED_UP_FOR: Duration = Duration::from_secs(1);

/// Addresses of one name, at most.
const ADDRESSES_MAX: usize = 64;

/// An edge to be purged.
#[derive(Debug, Clone)]
pub struct EdgeNode {
    /// Its admin API, such as `http://127.0.0.1:9900`. A name is purged at every address that it has.
    pub admin: String,
    /// The token of its admin API, if it has one.
    pub token: Option<String>,
}

/// Looks up the addresses of `host:port`.
pub type Names = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The names of this machine and its DNS.
#[must_use]
pub fn system_names() -> Names {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) }))
}

/// What becomes of what has a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is not used any more.
    Hard,
    /// It is stale: the next request has it revalidated, and may be answered by it meanwhile (`stale_while_revalidate`).
    Soft,
}

/// Why an edge, or an address of it, was not purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The name was not looked up, and it is not known what it had before.
    #[error("the name cannot be looked up: {0}")]
    Name(#[from] io::Error),
    /// The Evenkeel did not do it.
    #[error(transparent)]
    Refused(#[from] reqwest::Error),
}

/// What is left of a purge.
#[derive(Debug)]
pub(super) struct Left {
    /// At which address; `None`: at all, because it is not known which there are.
    pub address: Option<SocketAddr>,
    pub error: PurgeError,
}

/// An edge and its addresses.
pub(super) struct Node {
    settings: EdgeNode,
    names: Names,
    known: Mutex<Known>,
}

/// What a name leads to. Each address has its own client, so that the URL keeps the name.
#[derive(Default)]
struct Known {
    clients: BTreeMap<SocketAddr, Client>,
    looked_up: Option<Instant>,
}

impl Node {
    pub fn new(settings: EdgeNode, names: Names) -> Self {
        Self { settings, names, known: Mutex::default() }
    }

    pub fn admin(&self) -> &str {
        &self.settings.admin
    }

    /// Purges every address; what is left to do.
    pub async fn purge(&self, tag: &str, mode: Mode) -> Vec<Left> {
        let clients = match self.clients().await {
            Ok(clients) => clients,
            Err(error) => return vec![Left { address: None, error: error.into() }],
        };
        let purges = clients.into_iter().map(async |(address, client)| {
            let purged = self.send(&client, tag, mode).await;
            purged.err().map(|error| Left { address: Some(address), error: error.into() })
        });
        join_all(purges).await.into_iter().flatten().collect()
    }

    /// Purges one address. Nothing is left to do at one that the name no longer has: its cache is gone.
    pub async fn purge_at(&self, address: SocketAddr, tag: &str, mode: Mode) -> Option<Left> {
        let clients = match self.clients().await {
            Ok(clients) => clients,
            Err(error) => return Some(Left { address: Some(address), error: error.into() }),
        };
        let purged = self.send(clients.get(&address)?, tag, mode).await;
        purged.err().map(|error| Left { address: Some(address), error: error.into() })
    }

    async fn send(&self, client: &Client, tag: &str, mode: Mode) -> reqwest::Result<()> {
        let url = format!("{}/cache/purge", self.settings.admin.trim_end_matches('/'));
        let mut request =
            client.post(url).timeout(PURGE_MAX).json(&json!({ "tag": tag, "soft": mode == Mode::Soft }));
        if let Some(token) = &self.settings.token {
            request = request.bearer_auth(token);
        }
        request.send().await?.error_for_status().map(drop)
    }

    /// A client for each address. Those that were found last stay when a lookup fails.
    async fn clients(&self) -> io::Result<BTreeMap<SocketAddr, Client>> {
        let mut known = self.known.lock().await;
        if known.looked_up.is_some_and(|at| at.elapsed() < LOOKED_UP_FOR) {
            return Ok(known.clients.clone());
        }
        let (host, found) = self.look_up().await;
        match found {
            Ok(addresses) => {
                let mut clients = BTreeMap::new();
                for address in addresses.into_iter().take(ADDRESSES_MAX) {
                    let client = match known.clients.remove(&address) {
                        Some(client) => client,
                        None => client(&host, address)?,
                    };
                    clients.insert(address, client);
                }
                known.clients = clients;
            }
            Err(error) if known.clients.is_empty() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, edge = self.settings.admin, "the edge's name cannot be looked up; its last addresses are used");
            }
        }
        known.looked_up = Some(Instant::now());
        Ok(known.clients.clone())
    }

    async fn look_up(&self) -> (String, io::Result<Vec<SocketAddr>>) {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let url = match self.settings.admin.parse::<Url>() {
            Ok(url) => url,
            Err(error) => return (String::new(), Err(invalid(error.to_string()))),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return (String::new(), Err(invalid(format!("{url} has no host or no port"))));
        };
        let looked_up = timeout(PURGE_MAX, (self.names)(format!("{host}:{port}"))).await;
        let found = match looked_up {
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PURGE_MAX:?}"))),
            Ok(Ok(addresses)) if addresses.is_empty() => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))
            }
            Ok(found) => found,
        };
        (host.to_owned(), found)
    }
}

/// A client for which `host` has this address. No proxy stands before an edge.
fn client(host: &str, address: SocketAddr) -> io::Result<Client> {
    Client::builder().no_proxy().resolve(host, address).build().map_err(io::Error::other)
}
