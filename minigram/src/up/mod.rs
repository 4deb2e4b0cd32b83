//! Everything in one process tree: what `minigram up` starts.

pub mod balancer;
pub mod build;
pub mod running;
pub mod secret;
pub mod seed;
pub mod state;
