//! The `Cache-Status` of an answer (RFC 9211).

use std::fmt::{self, Write};

use super::fields::Fields;

/// How this cache is called in the field.
pub const CACHE_NAME: &str = "Evenkeel";

/// What the cache did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// Whether a kept response answered it.
    pub outcome: CacheOutcome,
    /// Seconds of freshness that are left, negative if it is stale.
    pub ttl: Option<i64>,
    /// Why, in one word: that of `Bypass`, `NotStored`, `StaleUse` or `Why`.
    pub detail: Option<&'static str>,
}

/// Whether a kept response answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    /// Without a request to a server.
    Hit,
    /// A request went to a server first.
    Forwarded {
        /// Why.
        why: Forward,
        /// The status of the server's answer, where it is not that of ours.
        status: Option<u16>,
        /// The answer was kept.
        stored: bool,
        /// Another request of the same key asked the server, and this one shares its answer.
        collapsed: bool,
    },
}

/// Why a request went to a server (RFC 9211, 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The cache was not asked.
    Bypass,
    /// The request's method is not one that the cache answers.
    Method,
    /// Nothing is kept for its key.
    UriMiss,
    /// What is kept for its key is for other requests, by `Vary`.
    VaryMiss,
    /// Nothing is kept, and why is not known more closely.
    Miss,
    /// The request's own directives demand it.
    Request,
    /// What is kept is stale.
    Stale,
    /// Only a part is kept.
    Partial,
}

impl Forward {
    /// As the field has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for CacheStatus {
    /// Our member of the list.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(CACHE_NAME)?;
        match self.outcome {
            CacheOutcome::Hit => out.write_str("; hit")?,
            CacheOutcome::Forwarded { why, status, stored, collapsed } => {
                write!(out, "; fwd={}", why.word())?;
                if let Some(status) = status {
                    write!(out, "; fwd-status={status}")?;
                }
                if stored {
                    out.write_str("; stored")?;
                }
                if collapsed {
                    out.write_str("; collapsed")?;
                }
            }
        }
        if let Some(ttl) = self.ttl {
            write!(out, "; ttl={ttl}")?;
        }
        match self.detail {
            Some(detail) => write!(out, "; detail={detail}"),
            None => Ok(()),
        }
    }
}

impl CacheStatus {
    /// The whole field: what caches nearer to the server said, and our member behind it.
    pub fn field(&self, answer: &(impl Fields + ?Sized)) -> String {
        let mut out = String::new();
        for line in answer.values("cache-status").filter_map(|line| std::str::from_utf8(line).ok()) {
            out.push_str(line);
            out.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "{self}");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_rfc_9211_has_them() {
        let hit = CacheStatus { outcome: CacheOutcome::Hit, ttl: Some(30), detail: None };
        assert_eq!(hit.to_string(), "Evenkeel; hit; ttl=30");
        let outcome =
            CacheOutcome::Forwarded { why: Forward::Stale, status: Some(304), stored: true, collapsed: true };
        let stale = CacheStatus { outcome, ttl: Some(-5), detail: Some("no-cache") };
        assert_eq!(
            stale.to_string(),
            "Evenkeel; fwd=stale; fwd-status=304; stored; collapsed; ttl=-5; detail=no-cache"
        );
        let upstream = [("cache-status", "Origin; hit"), ("Cache-Status", "Mid; fwd=miss")];
        assert_eq!(hit.field(&upstream[..]), "Origin; hit, Mid; fwd=miss, Evenkeel; hit; ttl=30");
    }
}
