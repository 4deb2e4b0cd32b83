//! What limits clients, and what is copied for nobody to wait for: rates, sizes, Redis, mirrors.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::PoolName;

/// So many in a stretch of time: `"10/s"`, `"600/m"` or `"1000/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub count: u32,
    /// A second, a minute or an hour.
    pub period: Duration,
}

impl Rate {
    /// What it comes to in a second, rounded up: at least 1.
    pub fn per_second(&self) -> u32 {
        u32::try_from(u64::from(self.count).div_ceil(self.period.as_secs().max(1))).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::value::show_rate(*self))
    }
}

/// One `rate_limit` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// `name`; else made of `per`. Unique within the route.
    pub name: String,
    /// What requests have in common that are counted together; at least one, the combination counts.
    pub per: Vec<LimitKey>,
    /// How many.
    pub rate: Rate,
    /// How many at once, after a pause. 1 to 1,000,000; default: what the rate comes to in a second, rounded up.
    pub burst: u32,
    /// Clients whose IPv6 addresses have so many bits in common are one. 1 to 128, default 64.
    pub ipv6_prefix: u8,
    /// Nothing is refused, but counted and logged as if it were. Default false.
    pub dry_run: bool,
    /// Counted together with other balancers, in the Redis of `[redis]`. Default false.
    pub shared: bool,
    /// What holds while that Redis does not answer.
    pub when_redis_is_away: RedisAway,
    /// Keys remembered at a time. Default 65,536.
    pub keys_max: usize,
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rate, burst, .. } = self;
        let shared = if self.shared { ", shared in Redis" } else { "" };
        let dry_run = if self.dry_run { ", a dry run that refuses nothing" } else { "" };
        write!(f, "{name} {rate}, at once {burst}{shared}{dry_run}")
    }
}

/// What requests have in common that are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// `client-ip`
    ClientIp,
    /// `route`: all requests of the route.
    Route,
    /// `host`
    Host,
    /// `header:NAME`, in lower case. Requests without it are counted together.
    Header(String),
    /// `cookie:NAME`. Requests without it are counted together.
    Cookie(String),
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client-ip"),
            Self::Route => f.write_str("route"),
            Self::Host => f.write_str("host"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

/// What a shared limit does while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisAway {
    /// `local`: this balancer counts for itself alone.
    Local,
    /// `allow`: everything passes.
    Allow,
    /// `refuse`: nothing passes (503).
    Refuse,
}

impl RedisAway {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        }
    }
}

/// `[redis]`: what balancers count in together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// `redis://[USER@]HOST[:PORT][/DATABASE]`
    pub url: String,
    /// For one question. Default 50 ms.
    pub timeout: Duration,
    /// What all keys begin with. Default `evenkeel:`.
    pub prefix: String,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

/// `limits` of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections open at once per client address (IPv6: per /64), trusted proxies excepted.
    pub connections_per_client: Option<u32>,
    /// Requests over one connection.
    pub requests_per_connection: Option<Rate>,
}

/// `limits` of a route. `None` is what `[limits]` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteLimits {
    /// Bytes of a request's head; at most those of `[limits]`.
    pub request_head: Option<usize>,
    /// Fields in a request's head; at most those of `[limits]`.
    pub headers: Option<usize>,
    /// Bytes of a request's body.
    pub request_body: BodyMax,
}

/// How long the bodies of a route's requests may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BodyMax {
    /// As `[limits]` says.
    #[default]
    Inherited,
    /// `off`
    Unlimited,
    /// So many bytes.
    Bytes(u64),
}

impl BodyMax {
    /// Bytes at most, where `[limits]` says `process`; `None` is no limit.
    pub fn or(self, process: Option<u64>) -> Option<u64> {
        match self {
            Self::Inherited => process,
            Self::Unlimited => None,
            Self::Bytes(max) => Some(max),
        }
    }
}

/// `mirror` of a route: copies of requests that nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Who gets the copies.
    pub pool: PoolName,
    /// How many of a hundred requests. 1 to 100, default 100.
    pub percent: u32,
    /// Bytes of a body that are copied; requests with longer ones are not mirrored. Default 64 KiB, at most 1 MiB.
    pub body: usize,
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, percent, body } = self;
        write!(f, "{pool} {percent}%, bodies up to {}", crate::value::show_size(*body as u64))
    }
}
