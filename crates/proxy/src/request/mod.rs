//! What happens to a request, in this order: `admit`, `handle` with `limits` and `mirror`, and `log` with `spans`.

pub mod admit;
pub mod answer;
pub mod detached;
pub mod handle;
pub mod incoming;
pub mod limits;
pub mod log;
pub mod mirror;
pub mod own;
pub mod setting;
pub mod spans;
pub mod tally;
pub mod trace;
