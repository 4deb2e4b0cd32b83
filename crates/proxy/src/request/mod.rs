//! What happens to a request, in this order: `admit`, `plain` or `handle` with `limits` and `mirror`, and `record` with `spans` and
//! `flight`.

pub mod admit;
pub mod answer;
pub mod detached;
pub mod flight;
pub mod handle;
pub mod incoming;
pub mod limits;
pub mod log;
pub mod mirror;
pub mod noted;
pub mod own;
pub mod plain;
pub mod record;
pub mod setting;
pub mod spans;
pub mod tally;
pub mod trace;
