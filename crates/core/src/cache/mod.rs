//! What the cache decides, without IO and without a clock.

pub mod evict;
