//! Backups of the databases and pictures, and the way back to a chosen time.
//!
//! The backup directory has:
//!
//! | Where | What |
//! |---|---|
//! | `wal/` | The archive of the write-ahead log. The nodes write it all the time: see [`crate::cluster`]. |
//! | `bases/NAME/postgres/` | A base backup: a data directory as it was at a time. |
//! | `bases/NAME/pictures/` | The pictures at that time. Files that two backups share are one file with two names. |
//! | `bases/NAME/note.json` | When it was taken, and where in the log it begins. |
//! | `system` | Which database all this is of. |
//!
//! [`take`] makes a base backup, [`restore`] begins with one and replays the archive up to the time.

mod base;
mod folder;
mod pictures;
mod restore;
mod retention;
mod segments;
mod take;
mod window;

pub use base::{Base, Note};
pub use folder::Folder;
pub use restore::{Restore, Restored, Target, restore};
pub use take::{Take, Taken, take};
pub use window::Window;
