//! Uploading a photo: the request's body is streamed into the blobs, and never whole in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};
use utoipa::IntoParams;

use super::auth::Signed;
use super::bodies::PhotoJson;
use super::edge::user_tag;
use super::problem::{Answer, Problem, ProblemJson};
use super::requests::{Asked, Repeatable};
use super::server::App;
use crate::domain::posting::Posted;
use crate::domain::views::keys;
use crate::ports::blobs::{self, BlobsError};
use crate::ports::store::{Caption, IdempotencyKey};

/// How long a client may send nothing.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// How long the rest of a refused file is read, so that the client has sent all and reads the answer.
const REST_MAX: Duration = Duration::from_secs(5);

/// What goes with a photo.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadQuery {
    /// At most 500 characters.
    #[serde(default)]
    caption: String,
}

/// Posts a photo: the body is the file, a JPEG, PNG, WebP or GIF. Its content says which, and `Content-Type` does not
/// matter.
#[utoipa::path(post, path = "/photos", tag = "photos", security(("access" = [])), params(UploadQuery, ("Idempotency-Key" = Option<String>, Header,
        description = "A string that the client chose for this request. Repeated with the same key within a day, the \
                       request has its effect once, and the answer shows what the first made. For another request \
                       the key is refused with 422")),
    request_body(content_type = "application/octet-stream", content = Vec<u8>), responses(
        (status = 201, body = PhotoJson),
        (status = 400, description = "The idempotency key is malformed", body = ProblemJson),
        (status = 401, body = ProblemJson),
        (status = 413, description = "The file is too large", body = ProblemJson),
        (status = 415, description = "The file is no picture of these types", body = ProblemJson),
        (status = 422, description = "The caption is not allowed, or the idempotency key is another request's", body = ProblemJson),
    ))]
pub(crate) async fn upload(
    State(app): State<App>,
    mut signed: Signed,
    Asked(asked): Asked<UploadQuery>,
    Repeatable(key): Repeatable,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let caption = Caption::new(&asked.caption)?;
    let _permit = app.uploads.try_acquire().map_err(|_| Problem::unavailable(&"too many uploads"))?;
    let (bytes_max, length) = (app.settings.limits.photo_bytes, body_length(&headers));
    if length.is_some_and(|length| length > bytes_max) {
        return Err(BlobsError::TooLarge(bytes_max).into());
    }
    let upload = Upload::new(body);
    let followed_max = app.settings.limits.request;
    tokio::select! {
        answer = app.post(&mut signed, caption, key, &upload) => answer,
        // From then on it is a request like others: Evenkeel waits little longer, and would answer without `Retry-After`.
        () = upload.received_for(followed_max) => {
            Err(Problem::unavailable(&format!("what follows an upload took more than {followed_max:?}")))
        }
    }
}

impl App {
    async fn post(
        &self,
        signed: &mut Signed,
        caption: Caption,
        key: Option<IdempotencyKey>,
        upload: &Upload,
    ) -> Answer {
        let posted = self.posting.post(signed.user(), caption, upload.body(), key).await;
        if posted.is_err() {
            upload.read_rest(self.settings.limits.photo_bytes).await;
        }
        let Posted { photo, written, is_new } = posted?;
        if is_new {
            self.metrics.photos.inc();
        }
        // Also for a photo that was there: the first try may have failed after the store had it.
        let old = [keys::user(signed.user()), keys::photos_of(signed.user())];
        self.wrote(signed, &written.into(), &old).await?;
        self.edge.purge(&[user_tag(signed.user())]).await;
        signed.positions.note(written);
        let json = self.photo(photo, Some(signed)).await?;
        let mut response = (StatusCode::CREATED, Json(json)).into_response();
        if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/photos/{photo}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }
}

fn body_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(axum::http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that can be read on when its first reader has given up.
struct Upload {
    body: Arc<Mutex<BodyDataStream>>,
    /// Says once that the body has ended.
    received: Arc<Notify>,
}

impl Upload {
    fn new(body: Body) -> Self {
        Self { body: Arc::new(Mutex::new(body.into_data_stream())), received: Arc::default() }
    }

    fn body(&self) -> blobs::Body {
        let state = (Arc::clone(&self.body), Arc::clone(&self.received));
        stream::unfold(state, |(body, received)| async move {
            let next = timeout(PAUSE_MAX, async { body.lock().await.next().await }).await;
            if matches!(next, Ok(None)) {
                received.notify_one();
            }
            let next: Result<Bytes, crate::ports::Source> = match next {
                Ok(bytes) => bytes?.map_err(Into::into),
                Err(_) => Err(format!("nothing came for {PAUSE_MAX:?}").into()),
            };
            Some((next, (body, received)))
        })
        .boxed()
    }

    /// Returns when the whole body was received so long ago.
    async fn received_for(&self, time: Duration) {
        self.received.notified().await;
        sleep(time).await;
    }

    async fn read_rest(&self, bytes_max: u64) {
        let rest = async {
            let mut bytes = 0;
            while let Some(Ok(more)) = self.body.lock().await.next().await {
                bytes += more.len() as u64;
                if bytes > bytes_max {
                    return;
                }
            }
        };
        // Over: a client that sends more than this slowly loses the connection.
        let _ = timeout(REST_MAX, rest).await;
    }
}
