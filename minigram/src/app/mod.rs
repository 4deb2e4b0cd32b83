//! What clients talk to: the HTTP API and its WebSocket, on axum. A server keeps nothing that another one would miss.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::accounts::Accounts;
use crate::domain::feeds::HomeFeeds;
use crate::domain::likes::LikeBatches;
use crate::domain::posting::Posting;
use crate::domain::tokens::{AccessTokens, TokenError};
use crate::domain::views::Views;
use crate::engines::Engines;
use crate::ids::IdMaker;
use crate::leave::{Leave, LeaveSender};

mod account;
mod auth;
mod bodies;
mod cacheable;
mod comments;
pub mod edge;
mod guard;
mod health;
mod likes;
mod live;
mod media;
mod metrics;
mod notices;
mod observe;
mod people;
mod photos;
mod problem;
mod requests;
mod routes;
mod serve;
mod settings;
mod sign_in_limits;
mod topics;
mod upload;
mod writes;

pub use serve::serve;
pub use settings::{AppSettings, Leaving, Limits};

use edge::Edge;
use metrics::Metrics;
use notices::Notices;
use sign_in_limits::SignInLimits;

/// One server of the application. Copies are the same server.
#[derive(Clone)]
pub struct App(Arc<Server>);

/// What the handlers work with; opaque to all others.
pub struct Server {
    engines: Engines,
    settings: AppSettings,
    accounts: Accounts,
    posting: Posting,
    feeds: Arc<HomeFeeds>,
    views: Views,
    likes: LikeBatches,
    tokens: Arc<AccessTokens>,
    ids: Arc<IdMaker>,
    sign_in_limits: SignInLimits,
    uploads: Semaphore,
    sockets: Arc<Semaphore>,
    notices: Notices,
    edge: Edge,
    metrics: Arc<Metrics>,
    /// When the server is not ready any more.
    leaving: (LeaveSender, Leave),
    /// When connections are to end.
    closing: (LeaveSender, Leave),
}

impl App {
    /// A server that works with these engines. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Key`, if the key for access tokens is too short.
    pub fn new(engines: Engines, settings: AppSettings) -> Result<Self, TokenError> {
        let engines = engines.traced();
        let tokens = AccessTokens::new(&settings.token_key, settings.clock.clone(), settings.access_ttl)?;
        let (tokens, ids) = (Arc::new(tokens), Arc::new(IdMaker::new(fastrand::u16(..))));
        let feeds = Arc::new(HomeFeeds::new(engines.store.clone()));
        let views =
            Views::new(engines.store.clone(), engines.cache.clone(), feeds.clone(), settings.cache_ttl);
        let accounts = Accounts::new(
            engines.store.clone(),
            engines.sessions.clone(),
            settings.passwords.clone(),
            tokens.clone(),
            ids.clone(),
            settings.clock.clone(),
            settings.session_ttl,
        );
        let posting = Posting::new(
            engines.store.clone(),
            engines.blobs.clone(),
            ids.clone(),
            settings.clock.clone(),
            settings.limits.photo_bytes,
        );
        let (limits, closing) = (&settings.limits, Leave::pair());
        let metrics = Arc::new(Metrics::new(&engines));
        Ok(Self(Arc::new(Server {
            likes: LikeBatches::start(engines.store.clone(), settings.likes),
            sign_in_limits: SignInLimits::new(limits.sign_in_burst, limits.sign_in_every),
            uploads: Semaphore::new(limits.uploads),
            leaving: Leave::pair(),
            sockets: Arc::new(Semaphore::new(limits.sockets)),
            notices: Notices::start(&engines, metrics.clone(), closing.1.clone()),
            edge: Edge::start(&settings.edge, metrics.purges_failed.clone()),
            metrics,
            closing,
            engines,
            settings,
            accounts,
            posting,
            feeds,
            views,
            tokens,
            ids,
        })))
    }
}

impl Deref for App {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
