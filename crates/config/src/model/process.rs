//! `[server]`, `[admin]` and `[limits]`: the process as a whole.

use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::{Address, AddressError};

use crate::declare::{Rules, Setting, Shown, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::{ADMIN_ADDRESS, CONTROL_SOCKET, FILE};
use crate::keys::{DAY_MS, Kind, Member, key};
use crate::read::text::{Read, Refused, file};
use crate::read::{Table, Value, clip};
use crate::show::quote;

section! {
    /// The process.
    pub struct Server "[server]" {
        /// Data-path threads; `auto` is one per core that this process may use.
        workers: Option<usize> = key(Kind::IntegerOr(1, 1_024, "auto"), Is("auto"), r#""auto""#),
        /// How long requests in flight may take to finish when the process leaves.
        grace: Duration = key(Kind::Duration(0, DAY_MS), Is("30s"), r#""30s""#),
        /// A file whose content keys the sticky cookies, so that they tell nothing about a server. Every balancer in
        /// front of the same servers needs the same content.
        secret_file: Option<PathBuf> = key(
            Kind::Text(&FILE),
            Means("a key that every Evenkeel knows"),
            r#""/etc/evenkeel/secret""#,
        ),
        /// Whether the process reads this file again by itself once its content has changed and has then stayed the same for half
        /// a second. What is wrong with it stands in the log, and the old configuration stays. A change during a trial
        /// (`evenkeel reload --confirm`) or an upgrade is read when that has ended.
        reload_on_change: bool = key(Kind::Boolean, Is("false"), "true"),
    }
}

impl Rules for Server {}

section! {
    /// The API, `/metrics` and the health endpoints of the balancer itself.
    pub struct Admin "[admin]" {
        /// Where it listens, or `off`. When it is left out and the default is taken by another process, that is a
        /// warning instead of an error.
        bind: Option<Address> = key(
            Kind::AddressOrOff(&ADMIN_ADDRESS, admin_address),
            Is("127.0.0.1:9900"),
            r#""127.0.0.1:9900""#,
        ),
        /// False when `bind` is left out.
        explicit: bool = Member::Written,
        /// A unix socket that serves the same API without a token to processes of the same user and of root, which commands
        /// such as `evenkeel status` use: `auto` is `PID.sock` in `$RUNTIME_DIRECTORY`, else in
        /// `$XDG_RUNTIME_DIR/evenkeel`, else in `/tmp/evenkeel-UID`; or a path; or `off`.
        socket: ControlSocket = key(Kind::Text(&CONTROL_SOCKET), Is("auto"), r#""/run/evenkeel/control.sock""#),
        /// A file that holds the bearer token. Demanded when `bind` is neither loopback nor a unix socket. Without it, every user of the
        /// machine may use the API on loopback.
        token_file: Option<PathBuf> = key(
            Kind::Text(&FILE),
            Means("no token is asked for"),
            r#""/etc/evenkeel/token""#,
        ),
    }
}

impl Rules for Admin {
    fn finish(&mut self, table: &Table<'_>) {
        let Some(value) = table.value("bind") else { return };
        self.explicit = true;
        let Some(address) = &self.bind else { return };
        table.reader.links().admin_bind = Some(value.span.clone());
        if !is_private(address) && !table.has("token_file") {
            table.reader.note(
                Diagnostic::error("the admin API can be reached from elsewhere, and has no token")
                    .at(value.span.clone())
                    .with_expected("this is neither loopback nor a unix socket")
                    .with_help("add `token_file`, or bind it to 127.0.0.1"),
            );
        }
    }

    fn shown(&self, key: &str) -> Shown {
        match (&self.bind, key) {
            // Written out it would be a demand, and a port in use an error.
            (Some(bind), "bind") if !self.explicit => {
                Shown::Comment(format!("bind = {} by default", quote(&bind.to_string())))
            }
            _ => Shown::Value,
        }
    }
}

/// Where the control socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSocket {
    /// Nowhere.
    Off,
    /// Where commands look for it.
    Auto,
    /// At this path.
    Path(PathBuf),
}

impl Setting for ControlSocket {
    fn read(value: &Value<'_>) -> Option<Self> {
        match value.read(control_socket)? {
            Self::Path(path) => Some(Self::Path(value.reader.folder.join(path))),
            other => Some(other),
        }
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        control_socket(default?).ok()
    }

    fn show(&self, _: &'static Kind) -> String {
        match self {
            Self::Off => quote("off"),
            Self::Auto => quote("auto"),
            Self::Path(path) => quote(&path.to_string_lossy()),
        }
    }
}

/// A word that is neither known nor looks like a path is a typing mistake.
fn control_socket(text: &str) -> Read<ControlSocket> {
    match text {
        "off" => Ok(ControlSocket::Off),
        "auto" => Ok(ControlSocket::Auto),
        path if path.contains(['/', '.']) => file(path).map(|path| ControlSocket::Path(path.into())),
        word => Err(Refused(
            format!("`{}` is neither \"auto\" nor \"off\"", clip(word)),
            format!("for a socket of that name write `./{}`", clip(word)),
        )),
    }
}

/// A bare port means 127.0.0.1, as for a server; port 0 and IP addresses alone, as for a listener.
pub(crate) fn admin_address(text: &str) -> Result<Address, AddressError> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
        return Address::listener(&format!("127.0.0.1:{bare}"));
    }
    Address::listener(text)
}

pub(crate) fn is_private(address: &Address) -> bool {
    match address {
        Address::Ip(address) => address.ip().to_canonical().is_loopback(),
        Address::Unix(_) => true,
        Address::Name(..) => false,
    }
}

section! {
    /// What the process takes on at most.
    pub struct Limits "[limits]" {
        /// Client connections open at once.
        connections: usize = key(Kind::Integer(1, 10_000_000), Is("100000"), "100_000"),
        /// Bytes of a request's head: request line and fields. A request beyond it gets 431.
        request_head: usize = key(Kind::Size(1 << 10, 1 << 20), Is("32KiB"), r#""32KiB""#),
        /// Fields in a request's head. A request beyond it gets 431.
        headers: usize = key(Kind::Integer(1, 1_000), Is("100"), "100"),
        /// Bytes of a response's head: status line and fields. The client gets 502 in place of a response beyond it, and
        /// the server does not count as failed.
        response_head: usize = key(Kind::Size(1 << 10, 1 << 20), Is("64KiB"), r#""64KiB""#),
        /// Fields in a response's head. The client gets 502 in place of a response beyond it, and the server does not
        /// count as failed.
        response_headers: usize = key(Kind::Integer(1, 1_000), Is("1000"), "1_000"),
        /// Bytes of a request target. A request beyond it gets 414.
        uri: usize = key(Kind::Size(64, 1 << 20), Is("16KiB"), r#""16KiB""#),
        /// Bytes of a request body; `off` is no limit. A request beyond it gets 413.
        request_body: Option<u64> = key(Kind::SizeOrOff(0, 1 << 50), Is("off"), r#""10MiB""#),
        /// Bytes a second that a request body must average, counted from 10 s after its start, and at which a client
        /// must take a response once the balancer has waited 10 s for it in all; 0 asks for nothing.
        body_rate: u64 = key(Kind::Size(0, 1 << 30), Is("240B"), r#""240B""#),
        /// Bytes of responses that clients have not taken yet, over all workers. The more there are, the less is read of further
        /// responses at a time: from a quarter of it on 16 KiB in place of 128, and beyond it 2.5 KiB.
        unsent_memory: usize = key(Kind::Size(1 << 20, 1 << 40), Is("256MiB"), r#""64MiB""#),
    }
}

impl Rules for Limits {
    fn finish(&mut self, table: &Table<'_>) {
        if self.uri > self.request_head
            && let Some(value) = table.value("uri")
        {
            table.reader.note(
                Diagnostic::warning("`uri` is above `request_head`, which is reached first")
                    .at(value.span)
                    .with_expected("has no effect"),
            );
        }
    }
}
