//! Photos: one of them, those of a user, and the feed.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::auth::{Signed, Viewer};
use super::bodies::{AuthorJson, PhotoJson, PhotosJson};
use super::cacheable::cacheable;
use super::edge::{about_photo_tag, photo_tag, user_tag};
use super::problem::{Answer, Problem, ProblemJson};
use super::requests::{Asked, OfName, OfPhoto, PageQuery};
use super::server::App;
use crate::domain::jobs::RemoveFiles;
use crate::domain::views::{Page, PhotoCard, keys};
use crate::ids::{PhotoId, UserId};
use crate::ports::position::Positions;

/// A photo.
#[utoipa::path(get, path = "/photos/{photo}", tag = "photos", params(("photo" = String, Path)), responses(
    (status = 200, body = PhotoJson),
    (status = 404, body = ProblemJson),
))]
pub(crate) async fn photo(
    State(app): State<App>,
    viewer: Viewer,
    OfPhoto(photo): OfPhoto,
    headers: HeaderMap,
) -> Answer {
    let json = app.photo(photo, viewer.0.as_ref()).await?;
    let tags = [photo_tag(photo), about_photo_tag(photo), json.author_tag()];
    cacheable(&headers, &viewer, &tags, &json)
}

/// Deletes a photo of one's own.
#[utoipa::path(delete, path = "/photos/{photo}", tag = "photos", security(("access" = [])),
    params(("photo" = String, Path)), responses(
        (status = 204, description = "The photo is deleted"),
        (status = 401, body = ProblemJson),
        (status = 403, description = "The photo is another user's", body = ProblemJson),
        (status = 404, body = ProblemJson),
    ))]
pub(crate) async fn delete(
    State(app): State<App>,
    signed: Signed,
    OfPhoto(id): OfPhoto,
) -> Answer<StatusCode> {
    let photo = app.engines.store.photo(id, &signed.positions).await?;
    let photo = photo.ok_or_else(|| Problem::not_found("photo"))?;
    if photo.author != signed.user() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the photo is another user's"));
    }
    let files = RemoveFiles { photo: id, author: photo.author, media: photo.media };
    let written = app.engines.store.delete_photo(id, &[files.job()]).await?;
    let old = [keys::photo(id), keys::comments(id), keys::photos_of(photo.author), keys::user(photo.author)];
    app.wrote(&signed, &written.into(), &old).await?;
    app.edge.purge(&[photo_tag(id), user_tag(photo.author)]).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The photos of a user, from new to old.
#[utoipa::path(get, path = "/users/{name}/photos", tag = "photos", params(("name" = String, Path), PageQuery),
    responses((status = 200, body = PhotosJson), (status = 404, body = ProblemJson)))]
pub(crate) async fn photos_of(
    State(app): State<App>,
    viewer: Viewer,
    name: OfName,
    Asked(asked): Asked<PageQuery>,
    headers: HeaderMap,
) -> Answer {
    let positions = viewer.positions();
    let user = app.named(&name, &positions).await?.id;
    let page = app.views.photos_of(user, asked.before_photo()?, asked.limit(), &positions).await?;
    let mut tags = vec![user_tag(user)];
    tags.extend(page.entries.iter().map(|photo| about_photo_tag(*photo)));
    cacheable(&headers, &viewer, &tags, &app.photos(page, viewer.0.as_ref()).await?)
}

/// The photos of those whom the user follows, from new to old.
#[utoipa::path(get, path = "/feed", tag = "photos", security(("access" = [])), params(PageQuery), responses(
    (status = 200, body = PhotosJson),
    (status = 401, body = ProblemJson),
))]
pub(crate) async fn feed(
    State(app): State<App>,
    signed: Signed,
    Asked(asked): Asked<PageQuery>,
) -> Answer<Json<PhotosJson>> {
    let page = app.views.feed(signed.user(), asked.before_photo()?, asked.limit(), &signed.positions).await?;
    app.photos(page, Some(&signed)).await.map(Json)
}

impl App {
    /// A photo as this viewer is shown it.
    pub(crate) async fn photo(&self, id: PhotoId, viewer: Option<&Signed>) -> Answer<PhotoJson> {
        let page = Page { entries: vec![id], next: None };
        self.photos(page, viewer).await?.photos.pop().ok_or_else(|| Problem::not_found("photo"))
    }

    /// The card of a photo.
    pub(crate) async fn card(&self, id: PhotoId, after: &Positions) -> Answer<PhotoCard> {
        self.views.photos(&[id], after).await?.pop().ok_or_else(|| Problem::not_found("photo"))
    }

    /// Photos as this viewer is shown them; those that were deleted are left out.
    async fn photos(&self, page: Page<PhotoId, PhotoId>, viewer: Option<&Signed>) -> Answer<PhotosJson> {
        let after = viewer.map_or_else(Positions::none, |viewer| viewer.positions.clone());
        let liked = async {
            match viewer {
                Some(viewer) => {
                    let likes = self.engines.store.likes(viewer.user(), &page.entries, &after).await?;
                    Ok(page.entries.iter().copied().zip(likes).collect())
                }
                None => Ok(HashMap::new()),
            }
        };
        let (cards, liked) = tokio::try_join!(self.views.photos(&page.entries, &after), liked)?;
        let authors: Vec<UserId> = cards.iter().map(|card| card.author).collect();
        let authors = self.views.users(&authors, &after).await?;
        let photos = cards.iter().filter_map(|card| {
            let author = AuthorJson::from(authors.get(&card.author)?);
            Some(PhotoJson::new(card, author, liked.get(&card.id).copied()))
        });
        Ok(PhotosJson { photos: photos.collect(), next: page.next.map(|id| id.to_string()) })
    }
}
