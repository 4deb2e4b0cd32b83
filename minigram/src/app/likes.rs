//! Liking photos.

use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Signed;
use super::edge::about_photo_tag;
use super::problem::{Answer, ProblemJson};
use super::requests::OfPhoto;
use super::server::App;
use crate::domain::views::keys;
use crate::ids::{PhotoId, UserId};
use crate::ports::store::{Liked, NewLike};

/// Likes a photo. A second time changes nothing.
#[utoipa::path(put, path = "/photos/{photo}/like", tag = "likes", security(("access" = [])),
    params(("photo" = String, Path)), responses(
        (status = 204, description = "The user likes the photo"),
        (status = 401, body = ProblemJson),
        (status = 404, body = ProblemJson),
    ))]
pub(crate) async fn like(
    State(app): State<App>,
    signed: Signed,
    OfPhoto(photo): OfPhoto,
) -> Answer<StatusCode> {
    let like = NewLike { user: signed.user(), photo, created: app.settings.clock.now() };
    let liked = app.likes.like(like).await?;
    if liked.changed {
        app.metrics.likes.inc();
    }
    app.like_changed(&signed, photo, liked, Some(signed.user())).await
}

/// Takes a like back.
#[utoipa::path(delete, path = "/photos/{photo}/like", tag = "likes", security(("access" = [])),
    params(("photo" = String, Path)), responses(
        (status = 204, description = "The user does not like the photo"),
        (status = 401, body = ProblemJson),
    ))]
pub(crate) async fn unlike(
    State(app): State<App>,
    signed: Signed,
    OfPhoto(photo): OfPhoto,
) -> Answer<StatusCode> {
    let unliked = app.engines.store.unlike(signed.user(), photo).await?;
    app.like_changed(&signed, photo, unliked, None).await
}

impl App {
    async fn like_changed(
        &self,
        signed: &Signed,
        photo: PhotoId,
        liked: Liked,
        by: Option<UserId>,
    ) -> Answer<StatusCode> {
        // Noted even if nothing changed, because a first try of the request may have changed it.
        self.wrote(signed, &liked.position.into(), &[keys::photo(photo)]).await?;
        // In the background: visitors may see an older number for seconds.
        self.like_purges.purge(about_photo_tag(photo));
        if liked.changed {
            self.notices.likes_changed(photo, liked.position, by);
        }
        Ok(StatusCode::NO_CONTENT)
    }
}
