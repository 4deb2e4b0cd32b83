//! Load on a running system: real pages of many users, sent by `evenkeel bench`, and judged.

pub mod bench;
pub mod browsers;
pub mod caches;
pub mod cpu;
pub mod metrics;
pub mod plot;
pub mod prepare;
pub mod report;
mod run;
pub mod scaling;
pub mod scenario;
pub mod stress;
pub mod targets;

pub use run::{LoadSettings, load};
