//! Pictures out of the blobs. A file never changes, so caches keep it; it goes when its photo is deleted.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::cacheable::{CACHE_TAG, has_tag};
use super::problem::{Answer, Problem};
use super::requests::id;
use super::server::App;
use crate::domain::sizes::Size;
use crate::ids::{PhotoId, UserId};
use crate::ports::blobs::{Blob, BlobKey, Part};
use crate::ports::position::Positions;
use crate::ports::{Retriable, Retry};

/// An hour in browsers, a day at the edge, from where a deleted photo can be purged.
const LIFETIME: HeaderValue = HeaderValue::from_static("public, max-age=3600, s-maxage=86400, immutable");

/// Should a browser take a picture for a page after all, that page can do nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// A picture of a photo.
#[utoipa::path(get, path = "/media/{author}/{photo}/{file}", tag = "photos", params(
    ("author" = String, Path),
    ("photo" = String, Path),
    ("file" = String, Path, description = "`thumb`, `small`, `large` or `original`, a dot, and the extension"),
), responses(
    (status = 200, description = "The picture"),
    (status = 206, description = "A part of the picture"),
    (status = 304, description = "The picture has not changed"),
    (status = 404, body = super::problem::ProblemJson),
    (status = 416, body = super::problem::ProblemJson),
))]
pub(crate) async fn media(
    State(app): State<App>,
    Path((author, photo, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let key = key(&author, &photo, &file).ok_or_else(|| Problem::not_found("picture"))?;
    app.check_shown(&author, &photo).await?;
    let etag = format!("\"{photo}-{file}\"");
    let part = headers.get(RANGE).filter(|_| if_range(&headers, &etag)).and_then(part);
    let blob = app.engines.blobs.get(&key, part.unwrap_or(Part::Whole)).await?;
    let mut response = if has_tag(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        picture(blob, part.is_some())?
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, LIFETIME);
    headers.insert(CONTENT_SECURITY_POLICY, NOTHING);
    for (name, value) in [(ETAG, etag), (CACHE_TAG, format!("photo-{photo}"))] {
        headers.insert(name, HeaderValue::try_from(value).map_err(|error| Problem::internal(&error))?);
    }
    Ok(response)
}

impl App {
    /// Refuses the files of a photo that was deleted, which a worker removes some time later: meanwhile the edge would
    /// take them again. While the store is unavailable, files are shown.
    async fn check_shown(&self, author: &str, photo: &str) -> Answer<()> {
        let (author, photo) = (UserId::from_sql(id(author)?), PhotoId::from_sql(id(photo)?));
        let shown = match self.views.photos(&[photo], &Positions::none()).await {
            Ok(cards) => cards.iter().any(|card| card.author == author),
            Err(error) => error.retry() == Retry::Soon,
        };
        if shown { Ok(()) } else { Err(Problem::not_found("picture")) }
    }
}

fn picture(blob: Blob, part: bool) -> Answer<Response> {
    let (size, range, media) = (blob.size, blob.range.clone(), blob.media);
    let mut response = Body::from_stream(blob.body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if part {
        let last = range.end.saturating_sub(1);
        let range = HeaderValue::try_from(format!("bytes {}-{last}/{size}", range.start));
        headers.insert(CONTENT_RANGE, range.map_err(|error| Problem::internal(&error))?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The key of a picture that there may be, and of nothing else in the blobs.
fn key(author: &str, photo: &str, file: &str) -> Option<BlobKey> {
    let (size, _) = file.rsplit_once('.')?;
    let known = size == "original" || Size::ALL.iter().any(|known| known.name() == size);
    let numbers = id(author).is_ok() && id(photo).is_ok();
    if !known || !numbers {
        return None;
    }
    format!("photos/{author}/{photo}/{file}").parse().ok()
}

fn if_range(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag.as_bytes())
}

/// The part that `Range` asks for. Several, or another unit, are allowed to be ignored.
fn part(range: &HeaderValue) -> Option<Part> {
    let range = range.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => Some(Part::Last(last.parse().ok()?)),
        (first, "") => Some(Part::From(first.parse().ok()?)),
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Part::Between(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_which_part() {
        let check = |range: &'static str, expected| {
            assert_eq!(part(&HeaderValue::from_static(range)), expected, "{range}");
        };
        check("bytes=0-9", Some(Part::Between(0, 9)));
        check("bytes=5-", Some(Part::From(5)));
        check("bytes=-5", Some(Part::Last(5)));
        check("bytes=9-5", None);
        check("bytes=0-1,3-4", None);
        check("lines=0-9", None);
    }

    #[test]
    fn only_pictures_of_photos_have_keys() {
        assert!(key("1", "2", "small.webp").is_some() && key("1", "2", "original.png").is_some());
        for (author, photo, file) in
            [("1", "2", "other.jpg"), ("1", "2", "small"), ("..", "2", "small.jpg"), ("1", "a", "small.jpg")]
        {
            assert!(key(author, photo, file).is_none(), "{author}/{photo}/{file}");
        }
    }
}
