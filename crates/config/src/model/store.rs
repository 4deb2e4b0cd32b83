//! `[cache]`: where the responses of all routes with a `cache` are kept.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::declare::{Rules, section, word_settings, words};
use crate::keys::Absent::{Is, Means, Required};
use crate::keys::syntax::{FOLDER, NETWORK};
use crate::keys::{Kind, key};

section! {
    /// Where responses of routes with a `cache` are kept. All routes share it.
    #[derive(PartialEq, Eq)]
    pub struct CacheStore "[cache]" {
        /// The most memory that cached responses and responses being fetched occupy together, content and overhead. When it is
        /// reached, cached responses are evicted.
        memory: u64 = key(Kind::Size(1 << 20, 1 << 40), Is("256MiB"), r#""1GiB""#),
        /// A directory in which cached responses are kept as well. They outlive a restart, and there may be more of them than
        /// memory holds.
        disk: Option<DiskStore> = key(
            Kind::Section(DiskStore::SECTION),
            Means("memory alone"),
            r#"{ path = "/var/cache/evenkeel", size = "10GiB" }"#,
        ),
        /// Which cached response is evicted. `s3-fifo`: the oldest that was not used again; one that is used only once, as
        /// by a crawler, leaves first. `lru`: the one that was used longest ago. `lfu`: the one that was used least. `fifo`: the
        /// oldest.
        eviction: Eviction = key(Kind::OneOf(Eviction::WORDS), Is(Eviction::S3Fifo.word()), r#""s3-fifo""#),
        /// Clients that may purge with the method `PURGE`. The admin API and `evenkeel purge` do not ask for it.
        purge_from: Vec<IpNet> = key(
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("the method PURGE purges nothing"),
            r#"["127.0.0.0/8"]"#,
        ),
    }
}

impl Rules for CacheStore {}

section! {
    /// The disk cache behind the memory.
    #[derive(PartialEq, Eq, Hash)]
    pub struct DiskStore "disk of [cache]" {
        /// The directory, which must be the cache's own. Evenkeel makes it if the directory above it exists. A change requires a
        /// restart or an upgrade.
        path: PathBuf = key(Kind::Text(&FOLDER), Required, r#""/var/cache/evenkeel""#),
        /// The most that the directory occupies on the disk. When it is reached, responses are removed from it by `eviction`.
        size: u64 = key(Kind::Size(16 << 20, 1 << 50), Required, r#""10GiB""#),
    }
}

impl Rules for DiskStore {}

words! {
    /// `eviction` of `[cache]`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Eviction {
        /// The response that was stored longest ago and was not used again.
        S3Fifo = "s3-fifo",
        /// The response that was used longest ago.
        Lru = "lru",
        /// The response that was used least.
        Lfu = "lfu",
        /// The response that was stored longest ago.
        Fifo = "fifo",
    }
}

word_settings!(Eviction);
