//! Why calls of the store fail.

use super::Earlier;
use crate::ports::position::Position;
use crate::ports::{Retriable, Retry, Source};

/// What calls of the store return.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another user has the name.
    #[error("the user name is taken")]
    NameTaken,
    /// Something with this id exists. If the call was repeated, its first try succeeded.
    #[error("the id is taken")]
    IdTaken,
    /// The request has been done before, under the same key.
    #[error("the request was done before: it made {}", .0.id)]
    Repeated(Earlier),
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The user does not exist.
    #[error("no such user")]
    NoSuchUser,
    /// The photo does not exist, or no longer.
    #[error("no such photo")]
    NoSuchPhoto,
    /// No replica, nor the primary, has replayed what the read must show.
    #[error("database {} is at {reached:?}, the read needs {needed:?}", needed.database)]
    Behind {
        /// What the read must show.
        needed: Position,
        /// How far the database has got.
        reached: Position,
    },
    /// The database cannot be reached, is switching over, or is too busy.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] Source),
    /// The database answered with an error that a repetition does not mend.
    #[error("the database failed: {0}")]
    Failed(#[source] Source),
}

impl Retriable for StoreError {
    fn retry(&self) -> Retry {
        match self {
            Self::Behind { .. } | Self::Unavailable(_) => Retry::Soon,
            Self::NameTaken
            | Self::IdTaken
            | Self::Repeated(_)
            | Self::KeyReused
            | Self::NoSuchUser
            | Self::NoSuchPhoto
            | Self::Failed(_) => Retry::Never,
        }
    }
}
