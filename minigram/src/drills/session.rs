//! A user of a drill, signed in through Evenkeel, as a browser would be.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::tally::{Outcome, Tally};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The cookie with the refresh token.
const COOKIE_NAME: &str = "minigram_refresh=";
/// The header by which a request may be repeated.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// How often a request of the preparation is sent.
const TRIES: u32 = 30;

/// One user with one session.
#[derive(Debug)]
pub struct Session {
    /// The user's name.
    pub name: String,
    http: reqwest::Client,
    base: String,
    tokens: Mutex<Tokens>,
}

#[derive(Debug, Clone)]
struct Tokens {
    access: String,
    cookie: String,
}

/// What goes with a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON, with an idempotency key.
    Json(Value, String),
    /// A file, with an idempotency key.
    File(bytes::Bytes, String),
}

impl Body {
    /// JSON that is posted once, however often it is sent.
    #[must_use]
    pub fn json(json: Value) -> Self {
        Self::Json(json, new_key())
    }

    /// A file that is posted once, however often it is sent.
    #[must_use]
    pub fn file(file: bytes::Bytes) -> Self {
        Self::File(file, new_key())
    }
}

fn new_key() -> String {
    format!("\"{:032x}\"", fastrand::u128(..))
}

impl Session {
    /// A new user with a name that no other one has.
    ///
    /// # Errors
    /// Signing up fails again and again.
    pub async fn sign_up(address: SocketAddr, number: usize) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let (base, name) =
            (format!("http://{address}/api/v1"), format!("drill_{number}_{:08x}", fastrand::u32(..)));
        let body = json!({ "name": name, "password": format!("{:032x}", fastrand::u128(..)) });
        for _ in 0..TRIES {
            let response = http.post(format!("{base}/users")).json(&body).send().await?;
            match response.status() {
                StatusCode::CREATED => {
                    let tokens = Mutex::new(tokens(response).await?);
                    return Ok(Self { name, http, base, tokens });
                }
                // Evenkeel limits how many users sign up from one address.
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    let after =
                        response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
                    sleep(Duration::from_secs(after.unwrap_or(1).clamp(1, 10))).await;
                }
                status => bail!("{name} cannot sign up: {status}"),
            }
        }
        bail!("{name} cannot sign up: refused {TRIES} times")
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New tokens for the session.
    ///
    /// # Errors
    /// The session is lost, or the system does not answer.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let cookie = self.tokens().cookie.clone();
            let request = self.http.post(format!("{}/session/refresh", self.base)).header(COOKIE, cookie);
            match request.send().await {
                Ok(response) if response.status() == StatusCode::OK => {
                    let new = tokens(response).await?;
                    *self.tokens() = new;
                    return Ok(());
                }
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    bail!("the session of {} is lost", self.name);
                }
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
        bail!("the session of {} cannot be refreshed", self.name)
    }

    /// Follows a user.
    ///
    /// # Errors
    /// It fails again and again.
    pub async fn follow(&self, followee: &str) -> anyhow::Result<()> {
        self.insist(Method::PUT, &format!("/users/{followee}/follow"), &Body::None).await.map(drop)
    }

    /// Sends a request until it is done, for what is not measured.
    ///
    /// # Errors
    /// It fails again and again.
    pub async fn insist(&self, method: Method, path: &str, body: &Body) -> anyhow::Result<Value> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.send(method.clone(), path, body).await {
                Ok(response) if response.status().is_success() => return Ok(value(response).await),
                Ok(response) if response.status() == StatusCode::NOT_FOUND => bail!("{path} is not there"),
                Ok(response) => last = response.status().to_string(),
                Err(error) => last = error.to_string(),
            }
            sleep(Duration::from_millis(500)).await;
        }
        bail!("{path}: {last}, {TRIES} times")
    }

    /// Sends a request once, and counts it. `None` unless it was done.
    pub async fn measured(&self, tally: &Tally, method: Method, path: &str, body: &Body) -> Option<Value> {
        let begun = Instant::now();
        let (outcome, answer) = match self.send(method.clone(), path, body).await {
            Ok(response) if response.status().is_success() => match read(response).await {
                Ok(value) => (Ok(true), Some(value)),
                Err(error) => (Err(format!("{method}: {error}")), None),
            },
            Ok(response) => {
                let honest = response.status() == StatusCode::SERVICE_UNAVAILABLE
                    && response.headers().contains_key(RETRY_AFTER);
                let outcome =
                    if honest { Ok(false) } else { Err(format!("{method}: {}", response.status())) };
                (outcome, None)
            }
            Err(error) if error.is_timeout() => (Err(format!("{method}: no answer in time")), None),
            Err(error) if error.is_connect() => (Err(format!("{method}: no connection")), None),
            Err(error) => (Err(format!("{method}: {error}")), None),
        };
        let outcome = match &outcome {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Honest,
            Err(reason) => Outcome::Failed(reason),
        };
        if method == Method::GET {
            tally.count_read(&outcome, begun.elapsed());
        } else {
            tally.count(&outcome, begun.elapsed());
        }
        answer
    }

    async fn send(&self, method: Method, path: &str, body: &Body) -> reqwest::Result<Response> {
        let access = self.tokens().access.clone();
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(access);
        match body {
            Body::None => request.send().await,
            Body::Json(json, key) => request.header(IDEMPOTENCY_KEY, key).json(json).send().await,
            Body::File(file, key) => request.header(IDEMPOTENCY_KEY, key).body(file.clone()).send().await,
        }
    }

    /// True if there is a picture at this path, which begins with `/media`.
    pub async fn has_picture(&self, path: &str) -> bool {
        let base = self.base.trim_end_matches("/api/v1");
        let Ok(response) = self.http.get(format!("{base}{path}")).send().await else { return false };
        response.status() == StatusCode::OK && response.bytes().await.is_ok_and(|bytes| !bytes.is_empty())
    }
}

/// The JSON of a response; null if it has none.
async fn value(response: Response) -> Value {
    read(response).await.unwrap_or_default()
}

async fn read(response: Response) -> reqwest::Result<Value> {
    let bytes = response.bytes().await?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn tokens(response: Response) -> anyhow::Result<Tokens> {
    let cookies = response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    let cookie = cookies.filter_map(|cookie| cookie.split(';').next()).find(|it| it.starts_with(COOKIE_NAME));
    let cookie = cookie.context("the answer has no cookie with a refresh token")?.to_owned();
    let answer: Value = response.json().await?;
    let access = answer["access_token"].as_str().unwrap_or_default().to_owned();
    ensure!(!access.is_empty(), "the answer has no access token");
    Ok(Tokens { access, cookie })
}
