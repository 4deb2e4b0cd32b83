//! What only a store with replicas and several databases can show: replicas that lag, a failover, shards that move.
#![allow(clippy::unwrap_used)]

mod failover;
#[path = "../contract/store/fixture.rs"]
#[allow(dead_code)]
mod fixture;
mod lag;
mod moves;
#[path = "../support/postgres/mod.rs"]
#[allow(dead_code)]
mod postgres;
mod relay;
