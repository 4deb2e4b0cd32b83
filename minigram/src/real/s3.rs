//! Pictures in S3, or in any store that speaks its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::embedded::blobs::ObjectBlobs;
use crate::ports::blobs::{BlobsError, BlobsResult};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one request may take, a piece of 5 MiB included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often, and for how long, a request that failed is sent again.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Which bucket, and how to get at it.
#[derive(Clone)]
pub struct S3Settings {
    /// `http://HOST:PORT` or `https://HOST`; `None` for Amazon's.
    pub endpoint: Option<String>,
    /// The region; servers other than Amazon's take any.
    pub region: String,
    /// The bucket, which exists.
    pub bucket: String,
    /// Names the key.
    pub access_key: String,
    /// The key itself.
    pub secret_key: String,
}

/// Without the key.
impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// Blobs in a bucket. Nothing is sent before the first call.
///
/// # Errors
/// `Unavailable`, if the settings cannot be right.
pub fn connect(settings: &S3Settings) -> BlobsResult<ObjectBlobs> {
    let client = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT);
    let retry = RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
        backoff: BackoffConfig::default(),
    };
    let mut builder = AmazonS3Builder::new()
        .with_region(&settings.region)
        .with_bucket_name(&settings.bucket)
        .with_access_key_id(&settings.access_key)
        .with_secret_access_key(&settings.secret_key)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = &settings.endpoint {
        // Plain HTTP is meant for a server on the same machine or network.
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    let store = builder.build().map_err(|error| BlobsError::Unavailable(error.into()))?;
    Ok(ObjectBlobs::new(Arc::new(store)))
}
