//! What limits clients: rates, sizes, the shared rate-limit Redis; and copies of requests for other pools.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::PoolName;

use crate::declare::{Declared, Field, Rules, Setting, Shown, section, word_settings, words};
use crate::keys::Absent::{Are, Is, Means, Required};
use crate::keys::syntax::{FILE, LIMIT_KEY, NAME, POOL_NAME, REDIS_PREFIX, REDIS_URL};
use crate::keys::{Kind, Member, Section, key};
use crate::read::text::{Read, Refused, cookie_name, header_name};
use crate::read::{Table, clip};
use crate::settings::{Text, text_settings};
use crate::show::{Lines, quote};
use crate::value::{Rate, show_size};

/// Of things in a second, minute or hour.
const RATE: Kind = Kind::Rate(1, 1_000_000);

section! {
    /// How many requests of one kind may come. Beyond it a request gets 429 with `Retry-After`. Of several limits
    /// all must let a request pass, and one that is refused counts in none of them.
    #[derive(PartialEq, Eq)]
    pub struct RateLimit "rate_limit of [[route]]" {
        /// What requests have in common that are counted together; of a list, the combination. Requests without the
        /// header or cookie are counted together. A client chooses its headers and cookies: they tell clients apart
        /// only if a server checks them.
        per: Vec<LimitKey> = key(
            Kind::OneOrList(&Kind::Text(&LIMIT_KEY), 4),
            Are(&["client-ip"]),
            r#"["client-ip", "header:x-api-key"]"#,
        ),
        /// How many, in the long run.
        rate: Rate = key(RATE, Required, r#""10/s""#),
        /// How many at once, after a pause.
        burst: u32 = key(
            Kind::Integer(1, 1_000_000),
            Means("what the rate comes to in a second, rounded up"),
            "20",
        ),
        /// Clients whose IPv6 addresses begin with the same bits, so many, are one client.
        ipv6_prefix: u8 = key(Kind::Integer(1, 128), Is("64"), "56"),
        /// Lets everything pass, and only counts and logs what it would refuse.
        dry_run: bool = key(Kind::Boolean, Is("false"), "true"),
        /// Counts together with other balancers, in the Redis of `[redis]`. The route's name and the limit's are what
        /// they must have in common.
        shared: bool = key(Kind::Boolean, Is("false"), "true"),
        /// What holds while Redis does not answer: this balancer counts for itself, everything passes, or nothing does
        /// (503). Only with `shared`.
        when_redis_is_away: RedisAway = key(
            Kind::OneOf(RedisAway::WORDS),
            Is(RedisAway::Local.word()),
            r#""local""#,
        ),
        /// Keys remembered at a time, rounded up to a multiple of 16, each with 24 bytes. One that finds no room takes
        /// the place of another that has used up little.
        keys_max: usize = key(Kind::Integer(64, 16_777_216), Is("65536"), "65536"),
        /// What logs, metrics and the `RateLimit` field call it; no two limits of a route have the same.
        name: String = key(Kind::Text(&NAME), Means("made of `per`, as in `client-ip`"), r#""per-client""#),
    }
}

impl Rules for RateLimit {
    fn finish(&mut self, table: &Table<'_>) {
        if let Some(value) = table.value("name") {
            // Notes what cannot be a name.
            let _ = value.name();
        }
        let twice = self.per.iter().enumerate().find(|(at, key)| self.per[..*at].contains(key));
        if let Some((_, key)) = twice {
            table.warn_of("per", format!("`{key}` is listed twice in `per`"), "once is enough");
        }
        if self.per.is_empty() {
            self.per.push(LimitKey::ClientIp);
        }
        if self.burst == 0 {
            self.burst = self.rate.per_second();
        }
        let no_effect = |key, expected| table.warn_of(key, format!("`{key}` has no effect here"), expected);
        if !self.shared {
            no_effect("when_redis_is_away", "only with `shared = true`");
        } else {
            let span = table.key_span("shared").unwrap_or_else(|| table.at.clone());
            table.reader.links().shared_limits.push(span);
        }
        if !self.per.contains(&LimitKey::ClientIp) {
            no_effect("ipv6_prefix", "only with `per = \"client-ip\"`");
        }
    }

    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(match key {
            "ipv6_prefix" => self.per.contains(&LimitKey::ClientIp),
            "when_redis_is_away" => self.shared,
            // One that was made of `per` is made of it again, and may be none that could be written.
            "name" => !self.name.contains([':', '+', '#']),
            _ => true,
        })
    }
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

text_settings!(LimitKey);

impl Text for LimitKey {
    fn form(text: &str) -> Read<Self> {
        match text.split_once(':') {
            None if text == "client-ip" => Ok(Self::ClientIp),
            None if text == "route" => Ok(Self::Route),
            None if text == "host" => Ok(Self::Host),
            Some(("header", name)) => header_name(name).map(Self::Header),
            Some(("cookie", name)) => cookie_name(name).map(Self::Cookie),
            _ => Err(Refused(
                format!("`{}` is not something to count requests by", clip(text)),
                "write `client-ip`, `route`, `host`, `header:NAME` or `cookie:NAME`".into(),
            )),
        }
    }

    fn written(&self) -> String {
        self.to_string()
    }
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

words! {
    /// What a shared limit does while Redis does not answer.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RedisAway {
        /// `local`: this balancer counts alone.
        Local = "local",
        /// `allow`: everything passes.
        Allow = "allow",
        /// `refuse`: nothing passes (503).
        Refuse = "refuse",
    }
}

word_settings!(RedisAway);

section! {
    /// The shared rate-limit Redis: several balancers count the rate limits with `shared` in it. While it does not
    /// answer, requests do not wait for it; the balancer asks it again after 1 s, later every 10 s.
    #[derive(PartialEq, Eq)]
    pub struct Redis "[redis]" {
        /// Its address; without a port 6379, without a number the database 0.
        url: String = key(Kind::Text(&REDIS_URL), Required, r#""redis://127.0.0.1:6379/0""#),
        /// How long a request waits for its answer.
        timeout: Duration = key(Kind::Duration(1, 10_000), Is("50ms"), r#""50ms""#),
        /// The prefix of all keys.
        prefix: String = key(Kind::Text(&REDIS_PREFIX), Is("evenkeel:"), r#""shop:""#),
        /// A file that holds the password.
        password_file: Option<PathBuf> = key(
            Kind::Text(&FILE),
            Means("no password"),
            r#""/etc/evenkeel/redis""#,
        ),
    }
}

impl Rules for Redis {
    fn finish(&mut self, table: &Table<'_>) {
        table.reader.links().redis = Some(table.at.clone());
    }
}

section! {
    /// What one client may take.
    #[derive(Copy, PartialEq, Eq)]
    pub struct ListenerLimits "limits of [listener.NAME]" {
        /// Connections open at once from one address; of IPv6, from one network of 64 bits. Beyond, a connection is
        /// closed at once. The `trusted_proxies` are excepted.
        connections_per_client: Option<u32> = key(Kind::Integer(1, 1_000_000), Means("no limit"), "100"),
        /// Requests over one connection; at once, as many as the rate comes to in a second. Beyond, a request gets 429,
        /// and its connection is closed; one of HTTP/2 stays.
        requests_per_connection: Option<Rate> = key(RATE, Means("no limit"), r#""100/s""#),
        /// Requests under way at a time over one connection of HTTP/2. A further one is refused in a way upon which clients
        /// ask again (`REFUSED_STREAM`).
        http2_streams: u32 = key(Kind::Integer(1, 10_000), Is("128"), "64"),
        /// Streams of HTTP/2 that a client may reset over one connection, or have the proxy reset by breaking rules, at once;
        /// within 32 seconds it may do so again. Four frames that lead to nothing (PING, SETTINGS, PRIORITY and such) count
        /// as one. Responses add to it. Beyond, the connection ends with `ENHANCE_YOUR_CALM`.
        http2_resets: u32 = key(Kind::Integer(100, 1_000_000), Is("1000"), "200"),
        /// Bytes of request bodies that one connection of HTTP/2 may have the proxy keep, over all its streams. While responses
        /// wait for the client, others are read on as it takes them; once a 128th as many bytes wait, further ones are begun in
        /// small pieces, and once half as many, all are read so.
        http2_memory: usize = key(Kind::Size(64 << 10, 1 << 30), Is("1MiB"), r#""512KiB""#),
        /// Of a tcp or udp listener.
        is_layer4: bool = Member::Written,
    }
}

impl Rules for ListenerLimits {
    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(key != "is_layer4" && !(self.is_layer4 && key.starts_with("http2_")))
    }
}

section! {
    /// Other limits for the requests of this route than `[limits]` has.
    #[derive(Copy, Default, PartialEq, Eq)]
    pub struct RouteLimits "limits of [[route]]" {
        /// Bytes of a request's head, at most those of `[limits]`. A request beyond it gets 431.
        request_head: Option<usize> = key(Kind::Size(128, 1 << 20), Means("that of `[limits]`"), r#""8KiB""#),
        /// Fields in a request's head, at most those of `[limits]`. A request beyond it gets 431.
        headers: Option<usize> = key(Kind::Integer(1, 1_000), Means("that of `[limits]`"), "50"),
        /// Bytes of a request's body, fewer or more than `[limits]` has; `off` is no limit. A request beyond it gets
        /// 413.
        request_body: BodyMax = key(Kind::SizeOrOff(0, 1 << 50), Means("that of `[limits]`"), r#""1GiB""#),
    }
}

impl Rules for RouteLimits {
    fn finish(&mut self, table: &Table<'_>) {
        let head = self.request_head.map(|max| ("request_head", max));
        for (key, max) in head.into_iter().chain(self.headers.map(|max| ("headers", max))) {
            let span = table.value_span(key).unwrap_or_default();
            table.reader.links().narrowed.push((key, max as u64, span));
        }
    }
}

impl RouteLimits {
    /// Those that are set, as keys of TOML.
    pub fn to_toml(&self) -> Vec<String> {
        let mut out = Lines::default();
        self.show_table(&mut out);
        out.values()
    }
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

impl Field for BodyMax {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        Some(match table.value(key) {
            None => Self::Inherited,
            Some(value) if value.is_word("off") => Self::Unlimited,
            Some(value) => Setting::read(&value).map_or(Self::Inherited, Self::Bytes),
        })
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        match self {
            Self::Inherited => out.absent(section.key(key)),
            Self::Unlimited => out.line(key, quote("off")),
            Self::Bytes(max) => Field::show(max, section, key, out),
        }
    }
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

section! {
    /// Sends copies of requests to another pool as well, and throws its answers away. No client notices: nothing
    /// waits for a copy, and what cannot be sent at once is dropped and counted. Copies carry `X-Evenkeel-Mirror:
    /// 1`. What asks for an upgrade is not copied.
    #[derive(PartialEq, Eq)]
    pub struct Mirror "mirror of [[route]]" {
        /// The pool that gets the copies.
        pool: PoolName = key(Kind::Text(&POOL_NAME), Required, r#""shadow""#),
        /// How many of a hundred requests, at random.
        percent: u32 = key(Kind::Integer(1, 100), Is("100"), "5"),
        /// Bytes of a request's body that are copied; requests with longer ones are not.
        body: usize = key(Kind::Size(0, 1 << 20), Is("64KiB"), r#""64KiB""#),
    }
}

impl Rules for Mirror {}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, percent, body } = self;
        write!(f, "{pool} {percent}%, bodies up to {}", show_size(*body as u64))
    }
}
