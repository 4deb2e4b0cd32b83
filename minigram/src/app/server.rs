//! One server of the application: what its handlers work with.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::edge::{Edge, GatheredPurges};
use super::metrics::Metrics;
use super::notices::Notices;
use super::settings::AppSettings;
use super::sign_in_limits::SignInLimits;
use crate::domain::accounts::Accounts;
use crate::domain::feeds::HomeFeeds;
use crate::domain::likes::LikeBatches;
use crate::domain::posting::Posting;
use crate::domain::tokens::{AccessTokens, TokenError};
use crate::domain::views::Views;
use crate::engines::Engines;
use crate::ids::IdMaker;
use crate::leave::{Leave, LeaveSender};

/// One server of the application. Copies are the same server.
#[derive(Clone)]
pub struct App(Arc<Server>);

/// What the handlers work with; opaque to all others.
pub struct Server {
    pub(super) engines: Engines,
    pub(super) settings: AppSettings,
    pub(super) accounts: Accounts,
    pub(super) posting: Posting,
    pub(super) feeds: Arc<HomeFeeds>,
    pub(super) views: Views,
    pub(super) likes: LikeBatches,
    pub(super) tokens: Arc<AccessTokens>,
    pub(super) ids: Arc<IdMaker>,
    pub(super) sign_in_limits: SignInLimits,
    pub(super) uploads: Semaphore,
    pub(super) sockets: Arc<Semaphore>,
    pub(super) notices: Notices,
    pub(super) edge: Edge,
    pub(super) like_purges: GatheredPurges,
    pub(super) metrics: Arc<Metrics>,
    /// When the server is not ready any more.
    pub(super) leaving: (LeaveSender, Leave),
    /// When connections are to end.
    pub(super) closing: (LeaveSender, Leave),
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
        let edge = Edge::start(&settings.edge, metrics.purges_failed.clone());
        Ok(Self(Arc::new(Server {
            likes: LikeBatches::start(engines.store.clone(), settings.likes),
            sign_in_limits: SignInLimits::new(limits.sign_in_burst, limits.sign_in_every),
            uploads: Semaphore::new(limits.uploads),
            leaving: Leave::pair(),
            sockets: Arc::new(Semaphore::new(limits.sockets)),
            notices: Notices::start(&engines, metrics.clone(), closing.1.clone()),
            like_purges: GatheredPurges::start(edge.clone(), settings.likes_purged_every),
            edge,
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
