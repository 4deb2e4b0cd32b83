//! What the demo balances, and the words for it.

/// What the servers and clients of the demo speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Requests over HTTP/1.1.
    #[default]
    Http,
    /// Messages over connections that stay open, of which the balancer sees nothing but bytes.
    Tcp,
}

impl Kind {
    /// What a client sends and gets an answer to.
    pub fn exchanges(self) -> &'static str {
        match self {
            Self::Http => "requests",
            Self::Tcp => "messages",
        }
    }

    /// What the balancer counts, chooses a server for, and shares out.
    pub fn balanced(self) -> &'static str {
        match self {
            Self::Http => "requests",
            Self::Tcp => "connections",
        }
    }
}
