//! `discover` of a pool, `[resolver]`, and the files of servers: where servers come from that the configuration does not
//! name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::pool::{BACKENDS, Backend};
use super::pool_rules::servers_differ;
use crate::declare::{Rules, Setting, keys, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means, Required};
use crate::keys::syntax::{DISCOVER_DNS, DISCOVER_SRV, FILE, NAME_SERVER};
use crate::keys::{DAY_MS, Group, Kind, key};
use crate::read::text::{Read, Refused};
use crate::read::{Table, Value, clip, discovered};
use crate::settings::{Text, text_settings};
use crate::show::{Lines, quote};

/// The port of a name server that is written without one (RFC 1035, 4.2).
const DNS_PORT: u16 = 53;

/// `discover`: exactly one of `dns`, `srv` and `file`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Discover {
    /// `{ dns = "api.internal:8080" }`: a server for each address of the name.
    Dns {
        /// The name; one that ends with a dot is not looked for in search domains.
        name: String,
        /// The port of every server.
        port: u16,
    },
    /// `{ srv = "_http._tcp.api.internal" }`: a server for each address of each target (RFC 2782).
    Srv(String),
    /// `{ file = "servers.toml" }`: the `backends` of a file, which is followed.
    File(PathBuf),
}

keys! {
    /// Servers that are not in the configuration: they come from DNS, or from a file that something else writes. Exactly
    /// one of `dns`, `srv` and `file`. See [discovery](discovery.md).
    pub(crate) static DISCOVER "discover of [pool.NAME]" {
        /// A name and a port: each address of the name, IPv4 (A) and IPv6 (AAAA), is a server.
        dns = key(Kind::Text(&DISCOVER_DNS), Means("-"), r#""api.internal:8080""#),
        /// A name of a service, whose SRV records say host, port, weight and priority: each address of each host is a
        /// server. Those of the lowest priority are primary, all others are backups.
        srv = key(Kind::Text(&DISCOVER_SRV), Means("-"), r#""_http._tcp.api.internal""#),
        /// A TOML file with `backends = [...]`, written as in a pool. It is read again when it changes; while it is broken,
        /// the servers of the last good version stay.
        file = key(Kind::Text(&FILE), Means("-"), r#""servers.toml""#),
    }
    groups &[Group::ExactlyOne(&["dns", "srv", "file"])]
}

impl Setting for Discover {
    fn read(value: &Value<'_>) -> Option<Self> {
        let table = value.table()?;
        if let Some(value) = table.value("dns") {
            let (name, port) = value.read(discovered::dns)?;
            return Some(Self::Dns { name, port });
        }
        if let Some(value) = table.value("srv") {
            return value.formed().map(Self::Srv);
        }
        table.value("file")?.file().map(Self::File)
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        None
    }

    fn show(&self, _: &'static Kind) -> String {
        let mut out = Lines::default();
        match self {
            Self::Dns { name, port } => out.line("dns", quote(&format!("{name}:{port}"))),
            Self::Srv(name) => out.line("srv", quote(name)),
            Self::File(path) => out.line("file", quote(&path.to_string_lossy())),
        }
        out.inline()
    }
}

impl fmt::Display for Discover {
    /// `dns api.internal:8080`: the key and its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns { name, port } => write!(f, "dns {name}:{port}"),
            Self::Srv(name) => write!(f, "srv {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl Discover {
    /// The key that says it: `dns`, `srv` or `file`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dns { .. } => "dns",
            Self::Srv(_) => "srv",
            Self::File(_) => "file",
        }
    }
}

section! {
    /// How names of `discover` are resolved.
    #[derive(PartialEq, Eq)]
    pub struct Resolver "[resolver]" {
        /// The name servers.
        servers: Vec<NameServer> = key(
            Kind::OneOrList(&Kind::Text(&NAME_SERVER), 8),
            Means("those of `/etc/resolv.conf`"),
            r#"["10.0.0.53", "10.0.1.53:5353"]"#,
        ),
        /// How long one name server has for an answer before the question is asked again.
        timeout: Duration = key(Kind::Duration(10, 60_000), Is("2s"), r#""2s""#),
        /// How often a question is asked before it counts as not answered.
        attempts: usize = key(Kind::Integer(1, 10), Is("2"), "2"),
        /// The shortest time between two questions for the same name, whatever the TTL of the records; also the time from a
        /// first failure to the next question, which doubles with each further failure up to 30 s.
        ttl_min: Duration = key(Kind::Duration(100, DAY_MS), Is("1s"), r#""1s""#),
        /// The longest time between two questions for the same name, whatever the TTL of the records.
        ttl_max: Duration = key(Kind::Duration(100, DAY_MS), Is("5m"), r#""1m""#),
    }
}

impl Rules for Resolver {
    fn finish(&mut self, table: &Table<'_>) {
        if self.ttl_min <= self.ttl_max {
            return;
        }
        let span = table.value_span("ttl_min").or_else(|| table.value_span("ttl_max"));
        table.reader.note(
            Diagnostic::error("`ttl_min` is above `ttl_max`")
                .at(span.unwrap_or_else(|| table.at.clone()))
                .with_expected("expected a time that is not above `ttl_max`")
                .with_help("lower `ttl_min`, or raise `ttl_max`, which is \"5m\" where it is left out"),
        );
    }
}

/// A name server, as written in `servers` of `[resolver]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

text_settings!(NameServer);

impl Text for NameServer {
    fn form(text: &str) -> Read<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self(SocketAddr::new(ip, DNS_PORT)));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Ok(Self(address)),
            _ => Err(Refused(
                format!("`{}` is not the address of a name server", clip(text)),
                "write an IP address, with or without a port: `10.0.0.53`, `10.0.0.53:5353` or `[fd00::53]:5353`"
                    .into(),
            )),
        }
    }

    fn written(&self) -> String {
        if self.0.port() == DNS_PORT { self.0.ip().to_string() } else { self.0.to_string() }
    }
}

section! {
    /// What a file of servers holds.
    pub struct ServerList "servers file" {
        /// The servers.
        backends: Vec<Backend> = key(BACKENDS, Required, r#"["10.0.0.1:3000"]"#),
    }
}

impl Rules for ServerList {
    fn finish(&mut self, table: &Table<'_>) {
        let spans = std::mem::take(&mut table.reader.links().servers);
        servers_differ("this file", &self.backends, &spans, table.reader);
    }
}
