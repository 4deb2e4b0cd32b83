//! The real engines on this machine: started in a state directory, watched, and ended in order.
//!
//! | What | Processes | Why so many |
//! |---|---|---|
//! | etcd | 1 | Patroni's memory. Production runs 3: without it Patroni demotes the primary. |
//! | Patroni with PostgreSQL | 3 | A primary, a synchronous replica that has every acknowledged write, and one to take its place. |
//! | Redis for sessions | 2 | A primary and its replica; three Sentinels promote, because two must agree. |
//! | Redis for the cache | 1 | It may lose everything, so it needs no replica. |
//! | NATS JetStream | 3 | A stream of three replicas goes on without one of them. Each takes 14 MB. |
//! | Prometheus, Alertmanager | 1 each | |
//! | Evenkeel | 1 | Fixed ports before the databases; its write port follows the primary. |
//!
//! [`Cluster`] starts them. [`faults`] breaks them on purpose, also from another process. [`doctor`] says what is missing.

mod alerts;
mod archive;
mod balancer;
mod copying;
pub mod doctor;
mod endpoints;
mod etcd;
pub mod faults;
mod http;
mod layout;
mod members;
mod monitoring;
mod nats;
mod patroni;
mod postgres;
mod redis;
mod redis_conf;
mod restore;
mod settings;
mod source;
mod start;

pub(crate) use archive::WAL;
pub(crate) use copying::bytes_in;
pub use endpoints::{Endpoints, Running};
pub(crate) use layout::Layout;
pub(crate) use postgres::superuser;
pub use redis_conf::{RedisConf, SentinelConf};
pub(crate) use restore::{Recovery, restore as restore_nodes};
pub use settings::ClusterSettings;
pub(crate) use source::{Source, source};
pub use start::Cluster;
