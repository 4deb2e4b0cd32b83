//! Live messages on the bus: what servers and workers publish, and servers send on to browsers.

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::ids::{CommentId, PhotoId, UserId};

/// What happened. Ids are texts, because JavaScript's numbers have 53 bits. Servers add the names of users.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Message {
    /// To those who look at a photo, and its author: all of its sizes are there.
    Ready {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
    },
    /// To a follower: a photo was posted.
    Photo {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
        /// By whom.
        #[serde(serialize_with = "as_text")]
        author: UserId,
    },
    /// To those who look at a photo: how many like it now.
    #[serde(rename = "like")]
    Likes {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
        /// How many.
        likes: u64,
    },
    /// To the author: a user likes the photo.
    #[serde(rename = "like")]
    Liked {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
        /// Who likes it.
        #[serde(serialize_with = "as_text")]
        by: UserId,
    },
    /// To those who look at a photo, and its author: it has another comment.
    Comment {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
        /// Which comment.
        #[serde(serialize_with = "as_text")]
        comment: CommentId,
        /// By whom.
        #[serde(serialize_with = "as_text")]
        by: UserId,
    },
    /// To a user: another one follows them.
    Follow {
        /// Who follows.
        #[serde(serialize_with = "as_text")]
        by: UserId,
    },
}

impl Message {
    /// As it is on the bus.
    ///
    /// # Panics
    /// Never: numbers and texts can be written as JSON.
    #[must_use]
    pub fn json(&self) -> Bytes {
        serde_json::to_vec(self).expect("numbers and texts can be written as JSON").into()
    }
}

/// The topic of those who look at a photo.
#[must_use]
pub fn photo_topic(photo: PhotoId) -> String {
    format!("photo.{photo}")
}

/// The topic of a user, on all devices.
#[must_use]
pub fn user_topic(user: UserId) -> String {
    format!("user.{user}")
}

fn as_text<T: std::fmt::Display, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_kind_and_its_ids_are_texts() {
        let (photo, by) = (PhotoId::from_sql(i64::MAX), UserId::from_sql(8));
        let json = |message: Message| String::from_utf8(message.json().to_vec()).unwrap();
        let likes = json(Message::Likes { photo, likes: 3 });
        assert_eq!(likes, r#"{"kind":"like","photo":"9223372036854775807","likes":3}"#);
        let liked = json(Message::Liked { photo, by });
        assert_eq!(liked, r#"{"kind":"like","photo":"9223372036854775807","by":"8"}"#);
        assert_eq!(json(Message::Follow { by }), r#"{"kind":"follow","by":"8"}"#);
    }
}
