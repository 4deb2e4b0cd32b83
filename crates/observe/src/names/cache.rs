//! The values of labels about the cache.

use super::label::label;

label! {
    /// What the cache did for a request. The words are those that operators know of other caches.
    CacheResult {
        /// A fresh stored response was sent.
        Hit = "hit",
        /// Nothing fitting was stored: a server was asked, by this request or by another one that it followed.
        Miss = "miss",
        /// What was stored was stale: a server was asked, and sent another response.
        Expired = "expired",
        /// What was stored was stale: a server was asked, and confirmed it (304), so that it was sent.
        Revalidated = "revalidated",
        /// A stale response was sent while a fresh one is fetched (`stale_while_revalidate`).
        Updating = "updating",
        /// A stale response was sent because the servers failed (`stale_if_error`).
        Stale = "stale",
        /// The request may not be answered from the cache: a server was asked.
        Bypass = "bypass",
    }
}

impl CacheResult {
    /// True if the body came from the cache.
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Hit | Self::Revalidated | Self::Updating | Self::Stale)
    }
}

label! {
    /// What a purge is about.
    PurgeScope {
        /// One URL.
        Url = "url",
        /// All URLs that begin alike.
        Prefix = "prefix",
        /// All URLs of a host.
        Host = "host",
        /// All responses with a tag.
        Tag = "tag",
        /// Everything.
        All = "all",
    }
}

label! {
    /// What a purge does.
    PurgeMode {
        /// What it is about is not used any more.
        Hard = "hard",
        /// What it is about is stale.
        Soft = "soft",
    }
}
