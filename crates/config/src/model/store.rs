//! `[cache]`: where the responses of all routes with a `cache` are kept.

use ipnet::IpNet;

use crate::declare::{Rules, section, word_settings, words};
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::NETWORK;
use crate::keys::{Kind, key};

section! {
    /// Where responses of routes with a `cache` are kept. All routes share it.
    #[derive(PartialEq, Eq)]
    pub struct CacheStore "[cache]" {
        /// The most memory that cached responses and responses being fetched occupy together, content and overhead. When it is
        /// reached, cached responses are evicted.
        memory: u64 = key(Kind::Size(1 << 20, 1 << 40), Is("256MiB"), r#""1GiB""#),
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
