//! Servers, engines, and users who send requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use minigram::app::{App, AppSettings, Leaving};
use minigram::clock::{Clock, Time};
use minigram::domain::passwords::Passwords;
use minigram::embedded::blobs::ObjectBlobs;
use minigram::embedded::bus::MemoryBus;
use minigram::embedded::cache::MemoryCache;
use minigram::embedded::queue::SqliteQueue;
use minigram::embedded::sessions::MemorySessions;
use minigram::embedded::store::SqliteStore;
use minigram::engines::Engines;
use minigram::leave::{Leave, LeaveSender};
use minigram::ports::queue::Policy;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub const PASSWORD: &str = "correct horse";
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A JPEG by its first bytes, which is as far as a server looks.
pub const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF and what follows";

pub struct World {
    pub engines: Engines,
    pub clock: Clock,
    pub servers: Vec<Server>,
    pub http: reqwest::Client,
    _directory: TempDir,
}

pub struct Server {
    pub name: String,
    pub address: String,
    pub leave: LeaveSender,
    pub task: JoinHandle<std::io::Result<()>>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A user who is signed in.
#[derive(Debug, Clone)]
pub struct User {
    pub id: String,
    pub token: String,
    pub cookie: String,
}

impl World {
    /// Three servers.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl Fn(&mut AppSettings)) -> Self {
        let (engines, clock, directory) = engines().await;
        Self::on(engines, clock, directory, change).await
    }

    pub async fn on(
        engines: Engines,
        clock: Clock,
        directory: TempDir,
        change: impl Fn(&mut AppSettings),
    ) -> Self {
        let mut servers = Vec::new();
        for n in 1..=3 {
            let mut settings = AppSettings::new(format!("app-{n}"), [7; 32]);
            settings.clock = clock.clone();
            settings.passwords = Passwords::weak(4);
            settings.leaving = Leaving { not_ready: Duration::ZERO, drain: DEADLINE };
            change(&mut settings);
            servers.push(Server::start(engines.clone(), settings).await);
        }
        Self { engines, clock, servers, http: reqwest::Client::new(), _directory: directory }
    }

    pub fn url(&self, server: usize, path: &str) -> String {
        format!("http://{}{path}", self.servers[server].address)
    }

    pub fn request(&self, method: Method, server: usize, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(server, path)).timeout(DEADLINE)
    }

    pub async fn get(&self, server: usize, path: &str) -> Reply {
        Reply::of(self.request(Method::GET, server, path)).await
    }

    pub async fn post(&self, server: usize, path: &str, json: &Value) -> Reply {
        Reply::of(self.request(Method::POST, server, path).json(json)).await
    }

    pub async fn sign_up(&self, name: &str) -> User {
        let body = json!({"name": name, "password": PASSWORD, "display_name": format!("{name} of tests")});
        let reply = self.post(0, "/api/v1/users", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        User::of(&reply)
    }

    /// A request by a user who is signed in.
    pub fn by(&self, user: &User, method: Method, server: usize, path: &str) -> RequestBuilder {
        self.request(method, server, path).bearer_auth(&user.token)
    }

    pub async fn get_by(&self, user: &User, server: usize, path: &str) -> Reply {
        Reply::of(self.by(user, Method::GET, server, path)).await
    }

    pub async fn put_by(&self, user: &User, server: usize, path: &str) -> Reply {
        Reply::of(self.by(user, Method::PUT, server, path)).await
    }

    pub async fn delete_by(&self, user: &User, server: usize, path: &str) -> Reply {
        Reply::of(self.by(user, Method::DELETE, server, path)).await
    }

    pub async fn post_by(&self, user: &User, server: usize, path: &str, json: &Value) -> Reply {
        Reply::of(self.by(user, Method::POST, server, path).json(json)).await
    }
}

impl Server {
    pub async fn start(engines: Engines, settings: AppSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (name, address) = (settings.name.clone(), listener.local_addr().unwrap().to_string());
        let (leave, leaving) = Leave::pair();
        let app = App::new(engines, settings).unwrap();
        let task = tokio::spawn(minigram::app::serve(app, listener, leaving));
        Self { name, address, leave, task }
    }
}

impl Reply {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The reply, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{} {:?}",
            String::from_utf8_lossy(&self.body),
            self.headers
        );
        self
    }
}

impl User {
    pub fn of(reply: &Reply) -> Self {
        let json = reply.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { id: text(&json["user"]["id"]), token: text(&json["access_token"]), cookie }
    }
}

pub async fn engines() -> (Engines, Clock, TempDir) {
    let clock = Clock::manual(Time(1_780_000_000_000));
    let directory = TempDir::new().unwrap();
    let file = |name| directory.path().join(name);
    let store = SqliteStore::open(&file("store"), clock.clone(), 100).await.unwrap();
    let queue = SqliteQueue::open(&file("queue"), clock.clone(), Policy::default()).await.unwrap();
    let engines = Engines {
        store: Arc::new(store),
        sessions: Arc::new(MemorySessions::new(clock.clone(), 1000)),
        cache: Arc::new(MemoryCache::new(clock.clone(), 1 << 20)),
        queue: Arc::new(queue),
        bus: Arc::new(MemoryBus::new(1000, 64)),
        blobs: Arc::new(ObjectBlobs::local(&file("blobs")).unwrap()),
    };
    (engines, clock, directory)
}

/// Waits until `condition` yields a value.
pub async fn eventually<T, W: Future<Output = Option<T>>>(what: &str, condition: impl Fn() -> W) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The result of `work`, which must not take longer than it may.
pub async fn in_time<W: Future>(what: &str, work: W) -> W::Output {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}
