//! The JSON that clients receive. Ids are texts, because JavaScript's numbers have 53 bits.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::sizes::Size;
use crate::domain::views::{PhotoCard, UserCard};
use crate::media::MediaType;

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

/// A photo.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Photo)]
pub(crate) struct PhotoJson {
    id: String,
    author: AuthorJson,
    caption: String,
    /// RFC 3339.
    created: String,
    /// `ready` once all sizes are there. Before, all urls are those of the original.
    state: &'static str,
    likes: u64,
    /// Whether the viewer likes it; absent without a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    liked: Option<bool>,
    comments: u64,
    urls: UrlsJson,
}

/// Where the sizes of a photo are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Urls)]
pub(crate) struct UrlsJson {
    /// A square of 150 pixels.
    thumb: String,
    /// At most 480 pixels wide and high.
    small: String,
    /// At most 1080 pixels wide and high.
    large: String,
    /// As it was uploaded.
    original: String,
    /// The same sizes as WebP; absent until the photo is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    webp: Option<WebpJson>,
}

/// Where the sizes of a photo are as WebP.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebpUrls)]
pub(crate) struct WebpJson {
    thumb: String,
    small: String,
    large: String,
}

/// A page of photos.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Photos)]
pub(crate) struct PhotosJson {
    pub photos: Vec<PhotoJson>,
    /// For `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A comment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Comment)]
pub(crate) struct CommentJson {
    pub id: String,
    pub author: AuthorJson,
    pub text: String,
    /// RFC 3339.
    pub created: String,
}

/// A page of comments.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Comments)]
pub(crate) struct CommentsJson {
    pub comments: Vec<CommentJson>,
    /// For `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl PhotoJson {
    pub fn new(card: &PhotoCard, author: AuthorJson, liked: Option<bool>) -> Self {
        Self {
            id: card.id.to_string(),
            author,
            caption: card.caption.clone(),
            created: card.created.rfc3339(),
            state: if card.ready { "ready" } else { "processing" },
            likes: card.likes,
            liked,
            comments: card.comments,
            urls: UrlsJson::new(card),
        }
    }
}

impl PhotoJson {
    /// The tag of what shows the author.
    pub fn author_tag(&self) -> String {
        format!("user-{}", self.author.id)
    }
}

impl UrlsJson {
    fn new(card: &PhotoCard) -> Self {
        let original = format!("/media/{}", path(card, "original", card.media));
        if !card.ready {
            let [thumb, small, large] = [(); 3].map(|()| original.clone());
            return Self { thumb, small, large, original, webp: None };
        }
        let url = |size: Size, media| format!("/media/{}", path(card, size.name(), media));
        let [jpeg, webp] =
            [MediaType::Jpeg, MediaType::Webp].map(|media| Size::ALL.map(|size| url(size, media)));
        let ([thumb, small, large], webp) = (jpeg, webp);
        let webp = {
            let [thumb, small, large] = webp;
            WebpJson { thumb, small, large }
        };
        Self { thumb, small, large, original, webp: Some(webp) }
    }
}

fn path(card: &PhotoCard, size: &str, media: MediaType) -> String {
    format!("{}/{}/{size}.{}", card.author, card.id, media.extension())
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
