//! The cache's keys: which answers are kept, and which of them a write makes old.

use crate::ids::{PhotoId, UserId};
use crate::ports::cache::{Key, Kind};
use crate::text::UserName;

/// Changes with the form of what is kept, so that a new version does not read what an old one wrote.
const FORM: u32 = 1;

/// A user's card: changed by the profile, by follows in both directions, and by the user's photos.
#[must_use]
pub fn user(id: UserId) -> Key {
    key(Kind::Profile, "user", id)
}

/// Which user has a name: never changes, because a name stays with its user.
#[must_use]
pub fn user_of_name(name: &UserName) -> Key {
    key(Kind::Profile, "name", name)
}

/// The first page of a user's photos: changed when the user posts and deletes.
#[must_use]
pub fn photos_of(user: UserId) -> Key {
    key(Kind::Photo, "photos-of", user)
}

/// A photo's card with its numbers: changed by likes, by comments, when it becomes ready, and when it is deleted.
#[must_use]
pub fn photo(id: PhotoId) -> Key {
    key(Kind::Photo, "photo", id)
}

/// The first page of a photo's comments: changed by comments.
#[must_use]
pub fn comments(photo: PhotoId) -> Key {
    key(Kind::Photo, "comments", photo)
}

/// The first page of a user's feed: changed by what is pushed into it, and by whom the user follows.
#[must_use]
pub fn feed(user: UserId) -> Key {
    key(Kind::Feed, "feed", user)
}

/// The users whose names begin with `prefix`: changed when such a user signs up.
#[must_use]
pub fn search(prefix: &str) -> Key {
    key(Kind::Search, "users", prefix)
}

/// All searches that find this name.
#[must_use]
pub fn searches_for(name: &UserName) -> Vec<Key> {
    let name = name.as_str();
    (1..=name.len()).map(|end| search(&name[..end])).collect()
}

fn key(kind: Kind, what: &str, which: impl std::fmt::Display) -> Key {
    Key::new(kind, format!("{FORM}/{what}/{which}"))
}
