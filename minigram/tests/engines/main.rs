//! Real engines, as `minigram engines` and `minigram up` start them: broken on purpose, lost with all their data, and under the
//! drills. The tests wait for engines most of the time, so they run beside each other.
#![allow(clippy::unwrap_used)]

mod alerts;
mod backup;
mod cluster;
mod drills;
#[path = "../support/evenkeel.rs"]
mod evenkeel;
mod programs;
