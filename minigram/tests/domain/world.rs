//! The domain on embedded engines, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use minigram::clock::{Clock, Time};
use minigram::domain::accounts::Accounts;
use minigram::domain::feeds::HomeFeeds;
use minigram::domain::passwords::{Password, Passwords};
use minigram::domain::posting::Posting;
use minigram::domain::tokens::AccessTokens;
use minigram::embedded::blobs::ObjectBlobs;
use minigram::embedded::queue::SqliteQueue;
use minigram::embedded::sessions::MemorySessions;
use minigram::embedded::store::SqliteStore;
use minigram::ids::{IdMaker, UserId};
use minigram::ports::blobs::{Blobs, Body};
use minigram::ports::queue::{Policy, Queue};
use minigram::ports::sessions::Sessions;
use minigram::ports::store::{Profile, Store};
use tempfile::TempDir;

pub const SESSION_TTL: Duration = Duration::from_secs(3600);
pub const ACCESS_TTL: Duration = Duration::from_secs(300);
pub const PHOTO_BYTES_MAX: u64 = 10_000;
pub const CELEBRITY_FOLLOWERS: u64 = 3;

pub struct World {
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub sessions: Arc<dyn Sessions>,
    pub queue: Arc<dyn Queue>,
    pub blobs: Arc<dyn Blobs>,
    pub tokens: Arc<AccessTokens>,
    pub accounts: Accounts,
    pub feeds: HomeFeeds,
    pub posting: Posting,
    directory: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let clock = Clock::manual(Time(1_780_000_000_000));
        let directory = TempDir::new().unwrap();
        let file = |name| directory.path().join(name);
        let store = SqliteStore::open(&file("store"), clock.clone(), CELEBRITY_FOLLOWERS).await.unwrap();
        let queue = SqliteQueue::open(&file("queue"), clock.clone(), Policy::default()).await.unwrap();
        let (store, queue): (Arc<dyn Store>, Arc<dyn Queue>) = (Arc::new(store), Arc::new(queue));
        let blobs: Arc<dyn Blobs> = Arc::new(ObjectBlobs::local(&file("blobs")).unwrap());
        let sessions: Arc<dyn Sessions> = Arc::new(MemorySessions::new(clock.clone(), 100));
        let tokens = Arc::new(AccessTokens::new(&[7; 32], clock.clone(), ACCESS_TTL).unwrap());
        let ids = Arc::new(IdMaker::new(0));
        let accounts = Accounts::new(
            store.clone(),
            sessions.clone(),
            Passwords::weak(2),
            tokens.clone(),
            ids.clone(),
            clock.clone(),
            SESSION_TTL,
        );
        Self {
            feeds: HomeFeeds::new(store.clone()),
            posting: Posting::new(store.clone(), blobs.clone(), ids, clock.clone(), PHOTO_BYTES_MAX),
            clock,
            store,
            sessions,
            queue,
            blobs,
            tokens,
            accounts,
            directory,
        }
    }

    pub async fn sign_up(&self, name: &str) -> UserId {
        let profile = Profile::new(name, "").unwrap();
        let signed_in = self.accounts.sign_up(name.parse().unwrap(), profile, password("right")).await;
        signed_in.unwrap().session.user
    }

    /// How many files there are below the blobs.
    pub fn blob_files(&self) -> usize {
        fn count(directory: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(&self.directory.path().join("blobs"))
    }
}

pub fn password(text: &str) -> Password {
    Password::new(&format!("{text} password")).unwrap()
}

/// A body that arrives in chunks of so many bytes.
pub fn body(content: &[u8], chunk: usize) -> Body {
    let chunks: Vec<_> = content.chunks(chunk).map(|c| Ok(c.to_vec().into())).collect();
    stream::iter(chunks).boxed()
}
