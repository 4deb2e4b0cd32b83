//! Messages on the bus, as servers send them on to browsers.

use serde::Serialize;

use crate::domain::jobs::Failure;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::bus::Bus;

/// What happened. Ids are texts, because JavaScript's numbers are too small for them. Servers add the names of users.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Message {
    /// All sizes of a photo are there.
    Ready {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
    },
    /// Somebody whom the user follows posted a photo.
    Photo {
        /// Which photo.
        #[serde(serialize_with = "as_text")]
        photo: PhotoId,
        /// By whom.
        #[serde(serialize_with = "as_text")]
        author: UserId,
    },
    /// A photo of the user got a comment.
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
    /// The user has a new follower.
    Follow {
        /// Who follows.
        #[serde(serialize_with = "as_text")]
        by: UserId,
    },
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

/// Sends a message to the subscribers of `topic`.
///
/// # Errors
/// The bus fails.
pub async fn publish(bus: &dyn Bus, topic: &str, message: &Message) -> Result<(), Failure> {
    let text = serde_json::to_vec(message).map_err(Failure::for_good)?;
    bus.publish(topic, text.into()).await.map_err(Failure::again)
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}
