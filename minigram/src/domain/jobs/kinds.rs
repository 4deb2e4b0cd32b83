//! What each kind of job says. Every kind has a topic, and a key that is the same for the same job.

use serde::{Deserialize, Serialize};

use crate::ids::{CommentId, PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::queue::NewJob;
use crate::telemetry;

/// The field of a payload that names the trace.
const TRACEPARENT: &str = "traceparent";

/// The topics of all kinds of jobs.
pub const TOPICS: [&str; 4] = [FanOut::TOPIC, Thumbnails::TOPIC, Notify::TOPIC, RemoveFiles::TOPIC];

/// Puts a photo into the feeds of its author's followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// Which photo.
    pub photo: PhotoId,
    /// Its author.
    pub author: UserId,
}

/// Makes the sizes of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thumbnails {
    /// Which photo.
    pub photo: PhotoId,
    /// Its author.
    pub author: UserId,
}

/// Sends a message to users who are connected. Nothing is kept for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum Notify {
    /// A photo can be seen: for the author's followers.
    Posted {
        /// Which photo.
        photo: PhotoId,
        /// Its author.
        author: UserId,
    },
    /// A comment was written: for the photo's author.
    Commented {
        /// On which photo.
        photo: PhotoId,
        /// Which comment.
        comment: CommentId,
        /// By whom.
        by: UserId,
    },
    /// A user has a new follower: for that user.
    Followed {
        /// Who is followed.
        followee: UserId,
        /// Who follows.
        by: UserId,
    },
}

/// Removes the files of a photo that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveFiles {
    /// Which photo.
    pub photo: PhotoId,
    /// Its author.
    pub author: UserId,
    /// The type of the original.
    pub media: MediaType,
}

/// The trace in which a job was made, as the header of the same name has it.
#[must_use]
pub fn traceparent(job: &NewJob) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_slice(&job.payload).ok()?;
    Some(payload.get(TRACEPARENT)?.as_str()?.to_owned())
}

impl Notify {
    fn key(&self) -> String {
        match self {
            Self::Posted { photo, .. } => format!("posted-{photo}"),
            Self::Commented { comment, .. } => format!("commented-{comment}"),
            Self::Followed { followee, by } => format!("followed-{followee}-{by}"),
        }
    }
}

macro_rules! kind {
    ($name:ident, $topic:literal, $key:expr) => {
        impl $name {
            /// The topic of these jobs.
            pub const TOPIC: &str = $topic;

            /// As a job, which is part of the current trace ([`traceparent`]).
            ///
            /// # Panics
            /// Never: numbers and names can be written as JSON.
            #[must_use]
            pub fn job(self) -> NewJob {
                let mut payload =
                    serde_json::to_value(&self).expect("numbers and names can be written as JSON");
                if let (Some(fields), Some(trace)) = (payload.as_object_mut(), telemetry::traceparent()) {
                    fields.insert(TRACEPARENT.to_owned(), trace.into());
                }
                let key: fn(&Self) -> String = $key;
                let payload = payload.to_string().into();
                NewJob { topic: Self::TOPIC.to_owned(), key: key(&self), payload }
            }

            /// From what `job` made.
            ///
            /// # Errors
            /// The payload is another.
            pub fn read(job: &NewJob) -> serde_json::Result<Self> {
                serde_json::from_slice(&job.payload)
            }
        }
    };
}

kind!(FanOut, "fan-out", |job| job.photo.to_string());
kind!(Thumbnails, "thumbnails", |job| job.photo.to_string());
kind!(Notify, "notify", Notify::key);
kind!(RemoveFiles, "remove-files", |job| job.photo.to_string());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_made_and_keys_differ_by_what_is_done() {
        let (photo, author) = (PhotoId::from_sql(7), UserId::from_sql(8));
        let fan_out = FanOut { photo, author };
        assert_eq!(FanOut::read(&fan_out.job()).unwrap(), fan_out);
        let remove = RemoveFiles { photo, author, media: MediaType::Png };
        assert_eq!(RemoveFiles::read(&remove.job()).unwrap(), remove);
        let comment = CommentId::from_sql(7);
        let all = [
            Notify::Posted { photo, author },
            Notify::Commented { photo, comment, by: author },
            Notify::Followed { followee: author, by: UserId::from_sql(7) },
        ];
        let keys: std::collections::HashSet<String> = all.iter().map(|job| job.job().key).collect();
        assert_eq!(keys.len(), 3);
        for job in all {
            assert_eq!(Notify::read(&job.job()).unwrap(), job);
        }
        assert!(Thumbnails::read(&NewJob { payload: "{}".into(), ..fan_out.job() }).is_err());
    }
}
