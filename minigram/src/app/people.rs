//! Users: their profiles, finding them, and following them.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Signed, Viewer};
use super::bodies::{AuthorJson, UserJson, UsersJson};
use super::cacheable::cacheable;
use super::edge::user_tag;
use super::problem::{Answer, Problem, ProblemJson};
use super::requests::{Asked, OfName, Sent, limit};
use super::server::App;
use crate::domain::views::{UserCard, keys};
use crate::ids::UserId;
use crate::ports::position::Positions;
use crate::ports::store::Profile;

/// What a user says about themselves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileJson {
    /// At most 50 characters.
    display_name: String,
    /// At most 300 characters.
    bio: String,
}

/// What to search for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// What names begin with: 1 to 30 characters.
    prefix: String,
    /// Users, 20 at most.
    limit: Option<u32>,
}

/// The user who is signed in.
#[utoipa::path(get, path = "/me", tag = "users", security(("access" = [])), responses(
    (status = 200, body = UserJson),
    (status = 401, body = ProblemJson),
))]
pub(crate) async fn me(State(app): State<App>, signed: Signed) -> Answer<Json<UserJson>> {
    let card = app.views.user(signed.user(), &signed.positions).await?;
    Ok(Json(UserJson::new(&card.ok_or_else(|| Problem::not_found("user"))?, None)))
}

/// Changes the profile.
#[utoipa::path(put, path = "/me", tag = "users", security(("access" = [])), request_body = ProfileJson, responses(
    (status = 200, body = UserJson),
    (status = 401, body = ProblemJson),
    (status = 422, body = ProblemJson),
))]
pub(crate) async fn change_me(
    State(app): State<App>,
    mut signed: Signed,
    Sent(sent): Sent<ProfileJson>,
) -> Answer<Json<UserJson>> {
    let profile = Profile::new(&sent.display_name, &sent.bio)?;
    let written = app.engines.store.set_profile(signed.user(), &profile).await?;
    app.wrote(&signed, &written.into(), &[keys::user(signed.user())]).await?;
    app.edge.purge(&[user_tag(signed.user())]).await;
    signed.positions.note(written);
    me(State(app), signed).await
}

/// A user by name.
#[utoipa::path(get, path = "/users/{name}", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, body = UserJson),
    (status = 404, body = ProblemJson),
))]
pub(crate) async fn user(State(app): State<App>, viewer: Viewer, name: OfName, headers: HeaderMap) -> Answer {
    let positions = viewer.positions();
    let card = app.named(&name, &positions).await?;
    let followed = match viewer.user() {
        Some(viewer) => Some(app.engines.store.follows(viewer, card.id, &positions).await?),
        None => None,
    };
    cacheable(&headers, &viewer, &[user_tag(card.id)], &UserJson::new(&card, followed))
}

/// Users whose names begin with a text.
#[utoipa::path(get, path = "/users", tag = "users", params(SearchQuery), responses(
    (status = 200, body = UsersJson),
    (status = 400, body = ProblemJson),
))]
pub(crate) async fn search(
    State(app): State<App>,
    viewer: Viewer,
    Asked(asked): Asked<SearchQuery>,
) -> Answer<Json<UsersJson>> {
    if !(1..=30).contains(&asked.prefix.len()) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "a prefix has 1 to 30 characters"));
    }
    let found = app.views.search(&asked.prefix, limit(asked.limit), &viewer.positions()).await?;
    Ok(Json(UsersJson { users: found.iter().map(AuthorJson::from).collect() }))
}

/// Follows a user. A second time changes nothing.
#[utoipa::path(put, path = "/users/{name}/follow", tag = "users", security(("access" = [])),
    params(("name" = String, Path)), responses(
        (status = 204, description = "The user is followed"),
        (status = 401, body = ProblemJson),
        (status = 404, body = ProblemJson),
    ))]
pub(crate) async fn follow(State(app): State<App>, signed: Signed, name: OfName) -> Answer<StatusCode> {
    let followee = app.named(&name, &signed.positions).await?.id;
    let before = app.engines.store.follows(signed.user(), followee, &signed.positions).await?;
    let written = app.feeds.follow(signed.user(), followee).await?;
    let status = app.follow_changed(&signed, followee, &written).await?;
    if !before && followee != signed.user() {
        app.notices.followed(followee, signed.user());
    }
    Ok(status)
}

/// Follows a user no longer.
#[utoipa::path(delete, path = "/users/{name}/follow", tag = "users", security(("access" = [])),
    params(("name" = String, Path)), responses(
        (status = 204, description = "The user is not followed"),
        (status = 401, body = ProblemJson),
        (status = 404, body = ProblemJson),
    ))]
pub(crate) async fn unfollow(State(app): State<App>, signed: Signed, name: OfName) -> Answer<StatusCode> {
    let followee = app.named(&name, &signed.positions).await?.id;
    let written = app.engines.store.unfollow(signed.user(), followee).await?;
    app.follow_changed(&signed, followee, &written.into()).await
}

impl App {
    pub(crate) async fn named(&self, OfName(name): &OfName, after: &Positions) -> Answer<UserCard> {
        self.views.user_named(name, after).await?.ok_or_else(|| Problem::not_found("user"))
    }

    async fn follow_changed(
        &self,
        signed: &Signed,
        followee: UserId,
        written: &Positions,
    ) -> Answer<StatusCode> {
        let old = [keys::user(signed.user()), keys::user(followee), keys::feed(signed.user())];
        self.wrote(signed, written, &old).await?;
        Ok(StatusCode::NO_CONTENT)
    }
}
