//! Sessions, cache and bus on Redis: one primary, a replica that takes over, and Evenkeel's port before them.
//!
//! Sessions and cache are scripts in `lua/`, which run undivided. A script derives the keys that it needs from others, so
//! all keys must be on one server: Redis Cluster is not supported.

mod bus;
mod cache;
mod link;
mod position;
mod sessions;
mod settings;
mod shortage;

pub use bus::RedisBus;
pub use cache::RedisCache;
pub use sessions::RedisSessions;
pub use settings::RedisSettings;
