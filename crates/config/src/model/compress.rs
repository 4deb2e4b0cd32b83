//! `compress` of a route: which responses go out compressed, and with what.

use crate::declare::words;

words! {
    /// A content coding that compresses (RFC 9110, 8.4.1).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Encoding {
        /// Zstandard (RFC 8878, 9659).
        Zstd = "zstd",
        /// Brotli (RFC 7932).
        Br = "br",
        /// RFC 1952.
        Gzip = "gzip",
    }
}

impl Encoding {
    /// All of them, in the order in which they are chosen when a client does not care.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];
}
