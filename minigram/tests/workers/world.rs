//! Embedded engines in a directory of their own, with a clock that tests move, and workers on them.

use std::future::Future;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use minigram::clock::{Clock, Time};
use minigram::domain::feeds::HomeFeeds;
use minigram::domain::posting::Posting;
use minigram::embedded::blobs::ObjectBlobs;
use minigram::embedded::bus::MemoryBus;
use minigram::embedded::cache::MemoryCache;
use minigram::embedded::queue::SqliteQueue;
use minigram::embedded::sessions::MemorySessions;
use minigram::embedded::store::SqliteStore;
use minigram::engines::Engines;
use minigram::ids::{IdMaker, PhotoId, UserId};
use minigram::leave::{Leave, LeaveSender};
use minigram::ports::blobs::{BlobKey, BlobsError, Part};
use minigram::ports::bus::{Event, Subscription};
use minigram::ports::position::Positions;
use minigram::ports::queue::{Depth, Policy};
use minigram::ports::store::{Caption, NewUser, PhotoState, Profile};
use minigram::workers::{self, WorkerSettings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// For a condition to come true, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);
pub const CELEBRITY_FOLLOWERS: u64 = 4;

pub struct World {
    pub clock: Clock,
    pub engines: Engines,
    pub feeds: HomeFeeds,
    pub posting: Posting,
    pub ids: Arc<IdMaker>,
    pub directory: TempDir,
}

/// Workers that run until they are dropped or asked to leave.
pub struct Running {
    pub leave: LeaveSender,
    task: JoinHandle<anyhow::Result<()>>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    pub async fn with(policy: Policy) -> Self {
        let clock = Clock::manual(Time(1_780_000_000_000));
        let directory = TempDir::new().unwrap();
        let file = |name| directory.path().join(name);
        let store = SqliteStore::open(&file("store"), clock.clone(), CELEBRITY_FOLLOWERS).await.unwrap();
        let queue = SqliteQueue::open(&file("queue"), clock.clone(), policy).await.unwrap();
        let engines = Engines {
            store: Arc::new(store),
            sessions: Arc::new(MemorySessions::new(clock.clone(), 10)),
            cache: Arc::new(MemoryCache::new(clock.clone(), 1 << 20)),
            queue: Arc::new(queue),
            bus: Arc::new(MemoryBus::new(100, 64)),
            blobs: Arc::new(ObjectBlobs::local(&file("blobs")).unwrap()),
        };
        let ids = Arc::new(IdMaker::new(0));
        let (store, blobs) = (engines.store.clone(), engines.blobs.clone());
        Self {
            feeds: HomeFeeds::new(store.clone()),
            posting: Posting::new(store, blobs, ids.clone(), clock.clone(), 10 << 20),
            clock,
            engines,
            ids,
            directory,
        }
    }

    pub async fn user(&self, name: &str) -> UserId {
        let name = name.parse().unwrap();
        let id = self.ids.user(&name, self.clock.now());
        let profile = Profile::new("", "").unwrap();
        let created = self.clock.now();
        let user = NewUser { id, name, profile, password_hash: String::new(), created };
        self.engines.store.add_user(&user).await.unwrap();
        id
    }

    pub async fn post(&self, author: UserId, file: Vec<u8>) -> PhotoId {
        self.clock.advance(Duration::from_secs(1));
        let body = stream::iter([Ok(file.into())]).boxed();
        self.posting.post(author, Caption::default(), body, None).await.unwrap().photo
    }

    /// Starts workers on these engines.
    pub fn work(&self, engines: Engines, settings: WorkerSettings) -> Running {
        let (sender, leave) = Leave::pair();
        Running { leave: sender, task: tokio::spawn(workers::run(engines, settings, leave)) }
    }

    pub async fn depth(&self, topic: &str) -> Depth {
        self.engines.queue.depth(topic).await.unwrap()
    }

    pub async fn is_ready(&self, photo: PhotoId) -> bool {
        let photo = self.engines.store.photo(photo, &Positions::none()).await.unwrap();
        photo.is_some_and(|photo| photo.state == PhotoState::Ready)
    }

    /// Waits until neither outbox nor queue has a job.
    pub async fn settled(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let outbox = self.engines.store.outbox_len().await.unwrap();
            let mut depths = Vec::new();
            for topic in minigram::domain::jobs::TOPICS {
                depths.push((topic, self.depth(topic).await));
            }
            let open = |depth: &Depth| depth.ready + depth.delayed + depth.taken;
            if outbox == 0 && depths.iter().all(|(_, depth)| open(depth) == 0) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {DEADLINE:?}: outbox {outbox}, {depths:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn home(&self, user: UserId) -> Vec<PhotoId> {
        let page = self.feeds.home(user, None, 10, &Positions::none()).await.unwrap();
        page.photos.iter().map(|photo| photo.id).collect()
    }

    pub async fn read(&self, key: &BlobKey) -> Option<Vec<u8>> {
        let blob = match self.engines.blobs.get(key, Part::Whole).await {
            Ok(blob) => blob,
            Err(BlobsError::NotFound) => return None,
            Err(error) => panic!("{error}"),
        };
        let chunks: Vec<bytes::Bytes> = blob.body.try_collect().await.unwrap();
        Some(chunks.concat())
    }

    /// The file of the queue.
    pub fn queue_file(&self) -> std::path::PathBuf {
        self.directory.path().join("queue")
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

impl Running {
    /// As if the process were killed: no job is finished, or given back.
    pub async fn kill(mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }

    /// Waits until the workers have left, after they were asked to.
    pub async fn left(mut self) {
        timeout(DEADLINE, &mut self.task).await.expect("the workers leave").unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Settings with which workers look for jobs often.
pub fn eager() -> WorkerSettings {
    WorkerSettings {
        take_wait: Duration::from_millis(50),
        relay_every: Duration::from_millis(20),
        ..WorkerSettings::default()
    }
}

/// Waits until `condition` holds.
pub async fn until<W: Future<Output = bool>>(what: &str, condition: impl Fn() -> W) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The next message, as JSON.
pub async fn message(subscription: &mut dyn Subscription) -> serde_json::Value {
    match timeout(DEADLINE, subscription.next()).await.expect("a message") {
        Some(Event::Message(bytes)) => serde_json::from_slice(&bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A PNG file of this size, with a gradient.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let channel = |part: u32, whole: u32| u8::try_from(part * 255 / whole).unwrap();
    let pixel = |x, y| Rgb([channel(x, width), channel(y, height), 90]);
    let mut file = Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel));
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}
