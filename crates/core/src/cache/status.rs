//! The `Cache-Status` of an answer (RFC 9211).

/// How this cache is called in the field.
const CACHE_NAME: &str = "Evenkeel";

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

impl CacheStatus {
    /// Writes our member of the list.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(CACHE_NAME.as_bytes());
        match self.outcome {
            CacheOutcome::Hit => out.extend_from_slice(b"; hit"),
            CacheOutcome::Forwarded { why, status, stored, collapsed } => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(why.word().as_bytes());
                if let Some(status) = status {
                    out.extend_from_slice(b"; fwd-status=");
                    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
                }
                if stored {
                    out.extend_from_slice(b"; stored");
                }
                if collapsed {
                    out.extend_from_slice(b"; collapsed");
                }
            }
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            out.extend_from_slice(itoa::Buffer::new().format(ttl).as_bytes());
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(detail.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_rfc_9211_has_them() {
        let member = |status: CacheStatus| {
            let mut out = Vec::new();
            status.write(&mut out);
            String::from_utf8(out)
        };
        let hit = CacheStatus { outcome: CacheOutcome::Hit, ttl: Some(30), detail: None };
        assert_eq!(member(hit).as_deref(), Ok("Evenkeel; hit; ttl=30"));
        let outcome =
            CacheOutcome::Forwarded { why: Forward::Stale, status: Some(304), stored: true, collapsed: true };
        let stale = CacheStatus { outcome, ttl: Some(-5), detail: Some("no-cache") };
        let all = "Evenkeel; fwd=stale; fwd-status=304; stored; collapsed; ttl=-5; detail=no-cache";
        assert_eq!(member(stale).as_deref(), Ok(all));
    }
}
