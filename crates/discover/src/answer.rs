//! Questions to the DNS and the answers to them, as values.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// What is asked of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuestionKind {
    /// Its IPv4 addresses.
    A,
    /// Its IPv6 addresses (RFC 3596).
    Aaaa,
    /// The services at it (RFC 2782).
    Srv,
}

/// A question to the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The name.
    pub name: String,
    /// What is asked of it.
    pub kind: QuestionKind,
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Lower ones are used first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// The port of its servers.
    pub port: u16,
    /// The name of a host; empty or `.` says that the service is not offered.
    pub target: String,
}

/// What records say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Of A and AAAA.
    Addresses(Vec<IpAddr>),
    /// Of SRV.
    Services(Vec<Service>),
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There are records.
    Records {
        /// At least one.
        records: Records,
        /// For how long they may be used: the shortest of all that led to them.
        ttl: Duration,
    },
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The name exists, and has no such records (NODATA).
    NoRecords,
    /// There is no answer: a timeout, SERVFAIL, an answer that makes no sense. The text says which.
    Failed(String),
}

impl QuestionKind {
    /// The type of the records, as the DNS calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}
