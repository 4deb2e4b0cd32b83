//! Ids that sort by time and name the shard of what they stand for, made by any server without asking another.
//!
//! From the top: 41 bits of milliseconds since 2025, 6 bits of shard, 16 bits of sequence. The sequence of a server
//! starts at a random number. Two servers can still make the same id within one millisecond: the store refuses the
//! second one, and the caller makes another.

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Time;
use crate::text::UserName;

/// Logical shards, spread over fewer databases. A power of two; ids have 6 bits for it.
pub const SHARDS: u8 = 64;

/// 2025-01-01 in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_735_689_600_000;

const SEQUENCE_BITS: u32 = 16;
const SHARD_BITS: u32 = 6;

/// A logical shard, below [`SHARDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard of a user. It follows from the name, so that a lookup by name asks one database, and that
    /// database alone can refuse a name that is taken.
    #[must_use]
    pub fn of_name(name: &UserName) -> Self {
        Self(Sha256::digest(name.as_str())[0] % SHARDS)
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }

    /// The shard with this number, if there is one.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// Its number, below [`SHARDS`].
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(i64);

        impl $name {
            /// As databases keep it; positive.
            #[must_use]
            pub fn to_sql(self) -> i64 {
                self.0
            }

            /// From what a database kept, or what [`fmt::Display`] wrote.
            #[must_use]
            pub fn from_sql(id: i64) -> Self {
                Self(id)
            }

            /// The shard whose database has it.
            #[must_use]
            pub fn shard(self) -> Shard {
                shard_of(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// A user. In the shard of the name.
    UserId
);
id!(
    /// A photo. In the shard of its author.
    PhotoId
);
id!(
    /// A comment. In the shard of its photo.
    CommentId
);

/// Makes ids for one server.
#[derive(Debug)]
pub struct IdMaker {
    sequence: AtomicU16,
}

impl IdMaker {
    /// Starts the sequence at `start`, which should be random.
    #[must_use]
    pub fn new(start: u16) -> Self {
        Self { sequence: AtomicU16::new(start) }
    }

    /// An id for a user with this name.
    pub fn user(&self, name: &UserName, now: Time) -> UserId {
        UserId(self.next(Shard::of_name(name), now))
    }

    /// An id for a photo of this author.
    pub fn photo(&self, author: UserId, now: Time) -> PhotoId {
        PhotoId(self.next(author.shard(), now))
    }

    /// An id for a comment on this photo.
    pub fn comment(&self, photo: PhotoId, now: Time) -> CommentId {
        CommentId(self.next(photo.shard(), now))
    }

    fn next(&self, shard: Shard, now: Time) -> i64 {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let ms = now.0.saturating_sub(EPOCH_MS) & ((1 << 41) - 1);
        let id = (ms << (SHARD_BITS + SEQUENCE_BITS))
            | (u64::from(shard.0) << SEQUENCE_BITS)
            | u64::from(sequence);
        i64::try_from(id).expect("41, 6 and 16 bits leave the sign bit free")
    }
}

fn shard_of(id: i64) -> Shard {
    let low = (id >> SEQUENCE_BITS) & i64::from(SHARDS - 1);
    Shard(u8::try_from(low).expect("masked to 6 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_names_the_shard_of_its_owner() {
        let maker = IdMaker::new(65_535);
        for text in ["ada", "grace", "linus", "margaret_h"] {
            let user = maker.user(&name(text), Time(EPOCH_MS + 5));
            let photo = maker.photo(user, Time(EPOCH_MS + 7));
            let comment = maker.comment(photo, Time(EPOCH_MS + 9));
            assert_eq!(user.shard(), Shard::of_name(&name(text)));
            assert_eq!(photo.shard(), user.shard());
            assert_eq!(comment.shard(), user.shard());
        }
    }

    #[test]
    fn ids_sort_by_time_first_and_differ_within_a_millisecond() {
        let maker = IdMaker::new(65_535);
        let now = Time(EPOCH_MS + 1_000_000_000);
        let (first, second) = (maker.user(&name("ada"), now), maker.user(&name("ada"), now));
        assert_ne!(first, second);
        let later = maker.user(&name("grace"), Time(now.0 + 1));
        assert!(first < later && second < later);
    }

    #[test]
    fn an_id_is_positive_until_the_end_of_its_bits() {
        let end = Time(EPOCH_MS + (1 << 41) - 1);
        assert!(IdMaker::new(1).user(&name("ada"), end).to_sql() > 0);
    }
}
