//! The client for the engines' own APIs.

use std::time::Duration;

use anyhow::Context;

/// A client for the engines' own APIs on this machine.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy();
    builder.build().context("a client for HTTP cannot be made")
}
