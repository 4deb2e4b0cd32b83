//! Where the cache keeps what it keeps: objects in memory that all workers share, and fetches in progress that many
//! requests read from. It decides nothing about HTTP: the caller brings the judgement.

mod chunks;
mod coded;
mod count;
mod disk;
mod figures;
mod fill;
mod flights;
mod head;
mod key;
mod leader;
mod object;
mod outbox;
mod pauses;
mod pieces;
mod pinned;
mod purge;
mod reader;
mod recorder;
mod room;
mod shard;
mod store;
mod sweep;
mod sync;
mod writer;

pub use coded::Coded;
pub use disk::{Codec, DiskLimits, OpenError, Released};
pub use figures::{DiskFigures, Figures};
pub use head::{Head, NewHead};
pub use leader::{Leader, Refused};
pub use object::Object;
pub use outbox::Outgoing;
pub use reader::{Joined, Piece, Reader, Why};
pub use recorder::Recorder;
pub use store::{Found, Hit, Limits, Revalidation, Store};
pub use writer::{Abandoned, Writer};
