//! What the cache keeps: users, photos and comments as clients are shown them, without what differs by viewer.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::store::{Comment, Photo, PhotoState, User};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCard {
    /// The id.
    pub id: UserId,
    /// The name.
    pub name: String,
    /// May be empty.
    pub display_name: String,
    /// May be empty.
    pub bio: String,
    /// How many follow this user.
    pub followers: u64,
    /// How many this user follows.
    pub following: u64,
    /// How many photos the user has posted.
    pub photos: u64,
    /// When the user signed up.
    pub created: Time,
}

/// A photo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoCard {
    /// The id.
    pub id: PhotoId,
    /// Who posted it.
    pub author: UserId,
    /// May be empty.
    pub caption: String,
    /// Type of the original.
    pub media: MediaType,
    /// Whether its sizes are there.
    pub ready: bool,
    /// When it was posted.
    pub created: Time,
    /// How many like it.
    pub likes: u64,
    /// How many comments it has.
    pub comments: u64,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentCard {
    /// The id.
    pub id: CommentId,
    /// By whom.
    pub author: UserId,
    /// What it says.
    pub text: String,
    /// When.
    pub created: Time,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T, Id> {
    /// From new to old.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Id>,
}

impl From<User> for UserCard {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name.to_string(),
            display_name: user.profile.display_name().to_owned(),
            bio: user.profile.bio().to_owned(),
            followers: user.followers,
            following: user.following,
            photos: user.photos,
            created: user.created,
        }
    }
}

impl PhotoCard {
    /// The card of a photo with these numbers.
    #[must_use]
    pub fn new(photo: Photo, likes: u64, comments: u64) -> Self {
        Self {
            id: photo.id,
            author: photo.author,
            caption: photo.caption.as_str().to_owned(),
            media: photo.media,
            ready: photo.state == PhotoState::Ready,
            created: photo.created,
            likes,
            comments,
        }
    }
}

impl From<Comment> for CommentCard {
    fn from(comment: Comment) -> Self {
        Self {
            id: comment.id,
            author: comment.author,
            text: comment.text.as_str().to_owned(),
            created: comment.created,
        }
    }
}

impl<T, Id: Copy> Page<T, Id> {
    /// The page that a read of `limit` entries yielded: another one follows if it was full.
    #[must_use]
    pub fn of(entries: Vec<T>, limit: usize, id: impl Fn(&T) -> Id) -> Self {
        let next = entries.last().filter(|_| entries.len() >= limit).map(id);
        Self { entries, next }
    }

    /// The first `limit` entries of the page.
    #[must_use]
    pub fn cut(mut self, limit: usize, id: impl Fn(&T) -> Id) -> Self {
        if self.entries.len() > limit {
            self.entries.truncate(limit);
            self.next = self.entries.last().map(id);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_full_or_cut_names_where_the_next_one_begins() {
        let check = |entries: &[u32], cut, expected: (&[u32], Option<u32>)| {
            let page = Page::of(entries.to_vec(), 3, |n| *n).cut(cut, |n| *n);
            assert_eq!((page.entries.as_slice(), page.next), expected);
        };
        check(&[9, 8, 7], 3, (&[9, 8, 7], Some(7)));
        check(&[9, 8], 3, (&[9, 8], None));
        check(&[9, 8], 1, (&[9], Some(9)));
        check(&[], 1, (&[], None));
    }
}
