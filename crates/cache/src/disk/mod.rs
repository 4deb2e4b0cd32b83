//! Objects on a disk, behind those in memory: one file each, written and read by threads of their own.
//!
//! Whatever goes wrong costs hits, and nothing else: what cannot be written is not stored, what cannot be read or is damaged
//! is fetched anew.

mod area;
mod behind;
mod fault;
pub mod format;
pub mod index;
mod log;
mod open;
mod parked;
mod pool;
mod purges;
pub mod record;
mod release;
mod run;
#[cfg(all(test, feature = "shuttle"))]
mod schedules;
mod spool;
mod stream;

pub use area::{Disk, DiskLimits};
pub use fault::OpenError;
pub use format::Codec;
pub use release::Released;
