//! `[log]`: the access log, where it goes and what its lines hold.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::declare::{Field, Rules, Setting, Shown, section, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::{ACCESS, LOG_FIELD, LOG_KEY};
use crate::keys::{DURATION, Kind, Section, key};
use crate::read::text::{Read, Refused, cookie_name, file, header_name};
use crate::read::{Table, Value, clip};
use crate::show::{Lines, quote};

/// Fields of the user's own choice in a line; each takes up to 512 bytes.
const FIELDS_MAX: usize = 16;
/// The socket of the local syslog.
const SYSLOG_SOCKET: &str = "/dev/log";
/// The socket of systemd's journal.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// The port of syslog (RFC 5426, 3.3).
const SYSLOG_PORT: u16 = 514;

section! {
    /// The access log: one line a request.
    pub struct Log "[log]" {
        /// Where it goes: `off`, `stdout`, or a file to which lines are appended. `syslog` is the local syslog (`/dev/log`),
        /// `syslog://HOST:PORT` one that takes UDP (RFC 5424, 5426), `journald` the journal of systemd, with a field for
        /// each key of the line. `syslog:/PATH` and `journald:/PATH` name another socket.
        access: AccessLog = key(Kind::Text(&ACCESS), Is("stdout"), r#""/var/log/evenkeel/access.log""#),
        /// One JSON object a line, or the combined log format of Apache httpd.
        format: LogFormat = key(Kind::OneOf(LogFormat::WORDS), Is(LogFormat::Json.word()), r#""json""#),
        /// Further keys of a JSON line, with what each holds: `request-header:NAME`, `response-header:NAME` (as the client
        /// gets it), `cookie:NAME`, or `text:ANYTHING`. A value is cut at 512 bytes; `null` stands for one that is missing.
        fields: Vec<LogField> = key(
            Kind::Map(&LOG_KEY, &Kind::Text(&LOG_FIELD), FIELDS_MAX),
            Means("no further keys"),
            r#"{ tenant = "request-header:x-tenant", datacentre = "text:fra1" }"#,
        ),
        /// How long a request takes that is logged although its route logs only a share of them (`log` of a route).
        slow: Duration = key(DURATION, Is("1s"), r#""500ms""#),
    }
}

impl Rules for Log {
    fn finish(&mut self, table: &Table<'_>) {
        if self.format == LogFormat::Combined && table.has("fields") {
            let message = "`fields` has no effect beside the combined format, which has no place for them";
            table.warn_of("fields", message, "has no effect");
        }
    }

    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(key != "fields" || self.format == LogFormat::Json)
    }
}

impl Log {
    /// True if a line has something of the response's fields.
    pub fn has_response_fields(&self) -> bool {
        let of_response = |field: &LogField| matches!(field.source, LogSource::ResponseHeader(_));
        self.access != AccessLog::Off && self.format == LogFormat::Json && self.fields.iter().any(of_response)
    }
}

/// A key of a log line that the user has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogField {
    /// The key: lower-case letters, digits and `_`, and none that lines have anyway.
    pub key: String,
    /// What stands there.
    pub source: LogSource,
}

/// What a log line has under a key of the user's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// The request's field of that name, in lower case.
    RequestHeader(String),
    /// The response's field of that name, in lower case.
    ResponseHeader(String),
    /// The request's cookie of that name.
    Cookie(String),
    /// This text.
    Text(String),
}

impl LogSource {
    fn form(text: &str) -> Read<Self> {
        match text.split_once(':') {
            Some(("request-header", name)) => header_name(name).map(Self::RequestHeader),
            Some(("response-header", name)) => header_name(name).map(Self::ResponseHeader),
            Some(("cookie", name)) => cookie_name(name).map(Self::Cookie),
            Some(("text", text)) => Ok(Self::Text(text.into())),
            _ => Err(Refused(
                format!("`{}` is nothing that a log line could hold", clip(text)),
                "write `request-header:NAME`, `response-header:NAME`, `cookie:NAME` or `text:ANYTHING`"
                    .into(),
            )),
        }
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestHeader(name) => write!(f, "request-header:{name}"),
            Self::ResponseHeader(name) => write!(f, "response-header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Text(text) => write!(f, "text:{text}"),
        }
    }
}

/// Keys that a line has anyway.
const TAKEN: [&str; 31] = [
    "time",
    "client",
    "client_port",
    "listener",
    "method",
    "scheme",
    "host",
    "target",
    "version",
    "status",
    "route",
    "pool",
    "backend",
    "tries",
    "duration_ms",
    "connect_ms",
    "first_byte_ms",
    "bytes_in",
    "bytes_out",
    "request_id",
    "user_agent",
    "referer",
    "ended",
    "reason",
    "cache",
    "cache_reason",
    "trace_id",
    "span_id",
    "trace_sampled",
    "protocol",
    "sni",
];

impl Field for Vec<LogField> {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let Some(value) = table.value(key) else { return Some(Vec::new()) };
        let refuse = |span, message: String, expected: &str, help: &str| {
            let fault = Diagnostic::error(message).at(span).with_expected(expected);
            table.reader.note(if help.is_empty() { fault } else { fault.with_help(help) });
            None
        };
        let read = |((key, source), span): ((String, String), crate::diagnostic::Span)| {
            if TAKEN.contains(&key.as_str()) {
                let message = format!("a log line has a key `{key}` anyway");
                return refuse(span, message, "expected a key of your own", "choose another name");
            }
            match LogSource::form(&source) {
                Ok(source) => Some(LogField { key, source }),
                Err(Refused(message, help)) => {
                    refuse(span, message, "expected what stands in the line", &help)
                }
            }
        };
        Some(value.fields().into_iter().filter_map(read).collect())
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        if self.is_empty() {
            return out.absent(section.key(key));
        }
        let pairs = self.iter().map(|field| format!("{} = {}", field.key, quote(&field.source.to_string())));
        out.line(key, format_args!("{{ {} }}", pairs.collect::<Vec<_>>().join(", ")));
    }
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
    /// A syslog daemon, by the datagram socket at this path.
    Syslog(PathBuf),
    /// A syslog daemon that takes UDP: its host and port.
    SyslogUdp(String, u16),
    /// The journal of systemd, by the socket at this path.
    Journal(PathBuf),
}

impl Setting for AccessLog {
    fn read(value: &Value<'_>) -> Option<Self> {
        match value.read(access)? {
            Self::File(path) => Some(Self::File(value.reader.folder.join(path))),
            other => Some(other),
        }
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        access(default?).ok()
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(&self.to_string())
    }
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.to_string_lossy().fmt(f),
            Self::Syslog(path) if path.as_os_str() == SYSLOG_SOCKET => f.write_str("syslog"),
            Self::Syslog(path) => write!(f, "syslog:{}", path.to_string_lossy()),
            Self::SyslogUdp(host, port) => write!(f, "syslog://{host}:{port}"),
            Self::Journal(path) if path.as_os_str() == JOURNAL_SOCKET => f.write_str("journald"),
            Self::Journal(path) => write!(f, "journald:{}", path.to_string_lossy()),
        }
    }
}

/// A word that is neither known nor looks like a path is a typing mistake, not a file.
fn access(text: &str) -> Read<AccessLog> {
    if let Some(rest) = text.strip_prefix("syslog://") {
        return syslog_address(rest);
    }
    match text.split_once(':') {
        Some(("syslog", path)) => return socket(path).map(AccessLog::Syslog),
        Some(("journald", path)) => return socket(path).map(AccessLog::Journal),
        _ => {}
    }
    match text {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        "syslog" => Ok(AccessLog::Syslog(SYSLOG_SOCKET.into())),
        "journald" => Ok(AccessLog::Journal(JOURNAL_SOCKET.into())),
        path if path.contains(['/', '.']) => file(path).map(|path| AccessLog::File(path.into())),
        word => Err(Refused(
            format!("`{}` is none of \"off\", \"stdout\", \"syslog\" and \"journald\"", clip(word)),
            format!("for a file of that name write `./{}`", clip(word)),
        )),
    }
}

/// A socket that does not depend on where the configuration file lies.
fn socket(path: &str) -> Read<PathBuf> {
    if path.starts_with('/') {
        return file(path).map(PathBuf::from);
    }
    let message = format!("`{}` is not the absolute path of a socket", clip(path));
    Err(Refused(message, "write `syslog:/dev/log`, for example; over UDP `syslog://HOST:PORT`".into()))
}

/// `HOST[:PORT]`
fn syslog_address(text: &str) -> Read<AccessLog> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)),
        _ => (text, Some(SYSLOG_PORT)),
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let fits = !host.is_empty() && host.bytes().all(is_host) && host.contains(':') == host.starts_with('[');
    match port {
        Some(port) if fits => Ok(AccessLog::SyslogUdp(host.into(), port)),
        _ => Err(Refused(
            format!("`syslog://{}` is not the address of a syslog", clip(text)),
            "write `syslog://logs.example.com:514`: host and port".into(),
        )),
    }
}

words! {
    /// How a line of the access log looks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// The combined log format of Apache httpd.
        Combined = "combined",
    }
}

word_settings!(LogFormat);
