//! A browser, as far as the tests need one.

use std::future::Future;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::world::DEADLINE;

/// Someone who talks to one address.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    pub fn new(address: std::net::SocketAddr) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Self { http, base: format!("http://{address}"), token: None }
    }

    /// The same, signed in.
    pub async fn sign_in(mut self, name: &str, password: &str) -> Self {
        let body = json!({ "name": name, "password": password });
        let response = self.send(Method::POST, "/api/v1/session", |request| request.json(&body)).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let answer: Value = response.json().await.unwrap();
        self.token = Some(answer["access_token"].as_str().unwrap().to_owned());
        self
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, |request| request).await
    }

    /// The JSON at a path.
    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.json().await.unwrap()
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        with(request).send().await.unwrap()
    }
}

/// Waits until `look` returns something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
