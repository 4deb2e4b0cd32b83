//! The JSON that clients receive. Ids are texts, because JavaScript's numbers have 53 bits.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::views::UserCard;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserJson {
    id: String,
    name: String,
    display_name: String,
    bio: String,
    followers: u64,
    following: u64,
    photos: u64,
    /// RFC 3339.
    created: String,
    /// Whether the viewer follows this user; absent without a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    followed: Option<bool>,
}

/// A user in few words.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Author)]
pub(crate) struct AuthorJson {
    id: String,
    name: String,
    display_name: String,
}

/// Users.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Users)]
pub(crate) struct UsersJson {
    pub users: Vec<AuthorJson>,
}

/// What a client gets that has signed in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub(crate) struct SignedInJson {
    pub user: UserJson,
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// RFC 3339.
    pub access_expires: String,
}

impl UserJson {
    pub fn new(card: &UserCard, followed: Option<bool>) -> Self {
        Self {
            id: card.id.to_string(),
            name: card.name.clone(),
            display_name: card.display_name.clone(),
            bio: card.bio.clone(),
            followers: card.followers,
            following: card.following,
            photos: card.photos,
            created: card.created.rfc3339(),
            followed,
        }
    }
}

impl From<&UserCard> for AuthorJson {
    fn from(card: &UserCard) -> Self {
        Self { id: card.id.to_string(), name: card.name.clone(), display_name: card.display_name.clone() }
    }
}
