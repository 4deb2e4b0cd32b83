//! The eviction policies by name.

/// By what the object that makes room is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The one that was used longest ago.
    Lru,
    /// The one that was used least, with ageing.
    Lfu,
    /// The one that was stored longest ago.
    Fifo,
    /// The one that was stored longest ago and was not used again (S3-FIFO).
    S3Fifo,
}

impl Policy {
    /// All of them, in the order of [`Policy::index`].
    pub const ALL: [Self; 4] = [Self::Lru, Self::Lfu, Self::Fifo, Self::S3Fifo];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Fifo => "fifo",
            Self::S3Fifo => "s3-fifo",
        }
    }

    /// Its place in [`Policy::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}
