//! Comments on photos.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::{Signed, Viewer};
use super::bodies::{AuthorJson, CommentJson, CommentsJson};
use super::cacheable::cacheable;
use super::edge::{about_photo_tag, comments_tag, photo_tag};
use super::problem::{Answer, Problem, ProblemJson};
use super::requests::{Asked, OfPhoto, PageQuery, Repeatable, Sent, id};
use super::server::App;
use crate::domain::jobs::Notify;
use crate::domain::views::keys;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::store::{CommentText, IdempotencyKey, NewComment, Once, StoreError};

/// How often to make another id, when another server made the same in the same millisecond.
const ID_TRIES: u32 = 3;

/// A comment to be written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCommentJson {
    /// 1 to 500 characters.
    text: String,
}

/// The comments on a photo, from new to old.
#[utoipa::path(get, path = "/photos/{photo}/comments", tag = "comments",
    params(("photo" = String, Path), PageQuery),
    responses((status = 200, body = CommentsJson), (status = 404, body = ProblemJson)))]
pub(crate) async fn comments(
    State(app): State<App>,
    viewer: Viewer,
    OfPhoto(photo): OfPhoto,
    Asked(asked): Asked<PageQuery>,
    headers: HeaderMap,
) -> Answer {
    let after = viewer.positions();
    app.card(photo, &after).await?;
    let page = app.views.comments(photo, asked.before_comment()?, asked.limit(), &after).await?;
    let authors: Vec<UserId> = page.entries.iter().map(|card| card.author).collect();
    let authors = app.views.users(&authors, &after).await?;
    let comments = page.entries.into_iter().filter_map(|card| {
        Some(CommentJson {
            id: card.id.to_string(),
            author: AuthorJson::from(authors.get(&card.author)?),
            text: card.text,
            created: card.created.rfc3339(),
        })
    });
    let json = CommentsJson { comments: comments.collect(), next: page.next.map(|id| id.to_string()) };
    cacheable(&headers, &viewer, &[photo_tag(photo), comments_tag(photo)], &json)
}

/// Comments on a photo.
#[utoipa::path(post, path = "/photos/{photo}/comments", tag = "comments", security(("access" = [])),
    params(("photo" = String, Path), ("Idempotency-Key" = Option<String>, Header,
        description = "A string that the client chose for this request. Repeated with the same key within a day, the \
                       request has its effect once, and the answer shows what the first made. For another request \
                       the key is refused with 422")),
    request_body = NewCommentJson, responses(
        (status = 201, body = CommentJson),
        (status = 400, description = "The idempotency key is malformed", body = ProblemJson),
        (status = 401, body = ProblemJson),
        (status = 404, body = ProblemJson),
        (status = 422, description = "The text is not allowed, or the idempotency key is another request's", body = ProblemJson),
    ))]
pub(crate) async fn comment(
    State(app): State<App>,
    mut signed: Signed,
    OfPhoto(photo): OfPhoto,
    Repeatable(key): Repeatable,
    Sent(sent): Sent<NewCommentJson>,
) -> Answer<(StatusCode, Json<CommentJson>)> {
    let comment = app.add_comment(&mut signed, photo, CommentText::new(&sent.text)?, key).await?;
    let author = app.views.user(signed.user(), &signed.positions).await?;
    let json = CommentJson {
        id: comment.id.to_string(),
        author: AuthorJson::from(&author.ok_or_else(|| Problem::not_found("user"))?),
        text: comment.text.as_str().to_owned(),
        created: comment.created.rfc3339(),
    };
    Ok((StatusCode::CREATED, Json(json)))
}

/// Deletes a comment of one's own.
#[utoipa::path(delete, path = "/photos/{photo}/comments/{comment}", tag = "comments",
    security(("access" = [])), params(("photo" = String, Path), ("comment" = String, Path)), responses(
        (status = 204, description = "The user has no such comment, or no longer"),
        (status = 401, body = ProblemJson),
    ))]
pub(crate) async fn delete(
    State(app): State<App>,
    signed: Signed,
    Path((photo, comment)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (photo, comment) = (PhotoId::from_sql(id(&photo)?), CommentId::from_sql(id(&comment)?));
    let written = app.engines.store.delete_comment(comment, signed.user()).await?;
    app.wrote(&signed, &written.into(), &[keys::photo(photo), keys::comments(photo)]).await?;
    app.edge.purge(&[about_photo_tag(photo), comments_tag(photo)]).await;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    async fn add_comment(
        &self,
        signed: &mut Signed,
        photo: PhotoId,
        text: CommentText,
        key: Option<IdempotencyKey>,
    ) -> Answer<NewComment> {
        let once = key.map(|key| Once::new(key, &[text.as_str().as_bytes()]));
        for _ in 0..ID_TRIES {
            let created = self.settings.clock.now();
            let (id, by) = (self.ids.comment(photo, created), signed.user());
            let mut comment =
                NewComment { id, photo, author: by, text: text.clone(), created, once: once.clone() };
            let job = Notify::Commented { photo, comment: id, by }.job();
            let written = match self.engines.store.add_comment(&comment, &[job]).await {
                Err(StoreError::IdTaken) => continue,
                Err(StoreError::Repeated(earlier)) => {
                    // What follows from a write follows again: the first try may have failed after the store had it.
                    (comment.id, comment.created) = (CommentId::from_sql(earlier.id), earlier.created);
                    earlier.position
                }
                written => {
                    let written = written?;
                    self.metrics.comments.inc();
                    written
                }
            };
            self.wrote(signed, &written.into(), &[keys::photo(photo), keys::comments(photo)]).await?;
            signed.positions.note(written);
            self.edge.purge(&[about_photo_tag(photo), comments_tag(photo)]).await;
            self.notices.commented(photo, comment.id, by);
            return Ok(comment);
        }
        Err(StoreError::IdTaken.into())
    }
}
