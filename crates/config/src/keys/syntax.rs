//! The texts that a value may be: what each is called, how long it may get, and the pattern that the schema shows.

use crate::read::text::{self as form, Read};
use crate::read::{discovered, forms};

/// A kind of text.
pub(crate) struct Syntax {
    /// With its article: "a header name".
    pub(crate) name: &'static str,
    /// What it looks like, in one sentence.
    pub(crate) doc: &'static str,
    /// Bytes at least.
    pub(crate) min: usize,
    /// Bytes at most.
    pub(crate) max: usize,
    /// What the schema can say of it (ECMA-262); the reader may be stricter.
    pub(crate) pattern: Option<&'static str>,
    /// Reads it; for texts that become something else than a text, their type does.
    pub(crate) form: fn(&str) -> Read<String>,
}

impl Syntax {
    /// The name without its article.
    pub(crate) fn plain(&self) -> &'static str {
        self.name.split_once(' ').map_or(self.name, |(_, plain)| plain)
    }
}

/// RFC 9110, 5.6.2.
const TOKEN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

const fn text(
    name: &'static str,
    doc: &'static str,
    min: usize,
    max: usize,
    pattern: Option<&'static str>,
) -> Syntax {
    Syntax { name, doc, min, max, pattern, form: form::any }
}

impl Syntax {
    const fn read_by(self, form: fn(&str) -> Read<String>) -> Self {
        Self { form, ..self }
    }
}

pub(crate) static NAME: Syntax =
    text("a name", "1 to 64 letters, digits and `_`, `.`, `-`.", 1, 64, Some("^[A-Za-z0-9_.-]{1,64}$"));
pub(crate) static POOL_NAME: Syntax =
    text("a pool name", "The NAME of a `[pool.NAME]`.", 1, 64, Some("^[A-Za-z0-9_.-]{1,64}$"));
pub(crate) static LISTENER_NAME: Syntax =
    text("a listener name", "The NAME of a `[listener.NAME]`.", 1, 64, Some("^[A-Za-z0-9_.-]{1,64}$"));
pub(crate) static LISTENER_ADDRESS: Syntax = text(
    "an address",
    "`PORT`, `:PORT`, `IP:PORT`, `[v6]:PORT`, `[v6%zone]:PORT` or `unix:/path`; a bare port means all addresses.",
    1,
    300,
    None,
);
pub(crate) static BACKEND_ADDRESS: Syntax = text(
    "an address",
    "`PORT`, `:PORT`, `HOST:PORT`, `[v6]:PORT`, `[v6%zone]:PORT` or `unix:/path`; a bare port means 127.0.0.1.",
    1,
    300,
    None,
);
pub(crate) static DISCOVER_DNS: Syntax = text(
    "a name and a port",
    "`HOST:PORT`; a dot at the end of HOST says that no search domain is to be added.",
    3,
    260,
    Some("^[A-Za-z0-9._-]+:[0-9]{1,5}$"),
);
pub(crate) static DISCOVER_SRV: Syntax = text(
    "the name of a service",
    "As DNS has it: `_http._tcp.api.internal`; without a port.",
    1,
    254,
    Some("^[A-Za-z0-9._-]+$"),
)
.read_by(discovered::srv);
pub(crate) static NAME_SERVER: Syntax = text(
    "the address of a name server",
    "`IP`, `IP:PORT` or `[v6]:PORT`; the port is 53 where it is left out.",
    2,
    64,
    Some("^[0-9A-Fa-f:.\\[\\]]+$"),
);
pub(crate) static ADMIN_ADDRESS: Syntax = text(
    "an address or \"off\"",
    "`PORT`, `:PORT`, `IP:PORT`, `[v6]:PORT`, `[v6%zone]:PORT`, `unix:/path`, or `off`; a bare port means 127.0.0.1.",
    1,
    300,
    None,
);
pub(crate) static IP_ADDRESS: Syntax = text("an IP address", "`10.0.0.7` or `fd00::7`.", 2, 45, None);
pub(crate) static FILE: Syntax = text(
    "a path of a file",
    "Absolute, or relative to the folder of the configuration file.",
    1,
    4_096,
    Some("^[^\\u0000]+$"),
)
.read_by(form::file);
pub(crate) static FOLDER: Syntax = text(
    "a path of a directory",
    "Absolute, or relative to the folder of the configuration file.",
    1,
    4_096,
    Some("^[^\\u0000]+$"),
)
.read_by(form::file);
pub(crate) static FILE_NAME: Syntax =
    text("a file name", "Without `/`.", 1, 255, Some("^[^/\\u0000]+$")).read_by(forms::file_name);
pub(crate) static PATH_BELOW: Syntax = text(
    "a path below the root",
    "Begins with `/`, as in `/index.html`; nothing in it is percent-encoded.",
    2,
    4_096,
    Some("^/[^\\u0000]+$"),
)
.read_by(forms::path_below);
pub(crate) static FILE_PATTERN: Syntax = text(
    "a pattern of file names",
    "`*.html`, or with a `/` in front a pattern of paths below the root: `/assets/*`.",
    1,
    255,
    Some("^(/.*|[^/]+)$"),
)
.read_by(forms::file_pattern);
pub(crate) static SERVER_NAME: Syntax = text(
    "a host or \"{host}\"",
    "A name or an IP address, without a port; or `{host}`, the host of each request.",
    1,
    253,
    Some("^[A-Za-z0-9._-]+$|^\\[[0-9A-Fa-f:.]+\\]$|^\\{host\\}$"),
);
pub(crate) static ACCESS: Syntax = text(
    "\"off\", \"stdout\", \"syslog\", \"journald\" or a path of a file",
    "`off`, `stdout`, `syslog`, `syslog:/SOCKET`, `syslog://HOST:PORT`, `journald`, `journald:/SOCKET`, or a path with a \
     `/` or a `.` in it, relative to the folder of the configuration file.",
    1,
    4_096,
    Some("^(off|stdout|syslog|journald|.*[/.].*)$"),
);
pub(crate) static LOG_KEY: Syntax = text(
    "a log key",
    "1 to 64 lower-case letters, digits and `_`, a letter first.",
    1,
    64,
    Some("^[a-z][a-z0-9_]{0,63}$"),
)
.read_by(forms::log_key);
pub(crate) static LOG_FIELD: Syntax = text(
    "a source of a log field",
    "`request-header:NAME`, `response-header:NAME`, `cookie:NAME` or `text:ANYTHING`.",
    6,
    300,
    Some("^((request-header|response-header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+|text:.*)$"),
);
pub(crate) static SHARE: Syntax = text(
    "a percentage",
    "`10%`, or with up to three decimals: `0.1%`.",
    2,
    8,
    Some("^[0-9]{1,3}(\\.[0-9]{1,3})?%$"),
);
pub(crate) static OTLP_URL: Syntax = text(
    "the URL of a collector",
    "`http://HOST:PORT` or `https://HOST:PORT`, and a path in front of `/v1/traces` if it has one.",
    8,
    2_048,
    Some("^https?://[!-~]+$"),
)
.read_by(forms::otlp_url);
pub(crate) static SERVICE_NAME: Syntax =
    text("a name of a service", "Without control characters.", 1, 255, Some("^[^\\u0000-\\u001f\\u007f]+$"))
        .read_by(forms::service_name);
pub(crate) static CONTROL_SOCKET: Syntax = text(
    "\"auto\", \"off\" or a path of a socket",
    "`auto`, `off`, or a path with a `/` or a `.` in it, relative to the folder of the configuration file.",
    1,
    100,
    Some("^(auto|off|.*[/.].*)$"),
);
pub(crate) static NETWORK: Syntax = text(
    "a network or an IP address",
    "`10.0.0.0/8`, `fd00::/8`, or an address alone.",
    1,
    64,
    Some("^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"),
);
pub(crate) static HOST: Syntax = text(
    "a host",
    "`shop.example.com`, `*.example.com` (one label and more in front, never `example.com` itself) or an IP \
     address; without a port.",
    1,
    253,
    Some("^(\\*\\.)?[A-Za-z0-9._-]+$|^\\[[0-9A-Fa-f:.]+\\]$"),
);
pub(crate) static SNI: Syntax = text(
    "a server name",
    "`imap.example.com`, or `*.example.com` (one label and more in front, never `example.com` itself).",
    1,
    253,
    Some("^(\\*\\.)?[A-Za-z0-9._-]+$"),
);
pub(crate) static PATH: Syntax = text(
    "a path",
    "`/exact`, or `/prefix/*`, which also matches `/prefix`. In normal form: no `//`, `/./`, `/../`, query or \
     fragment; percent-encoded only where it must be.",
    1,
    4_096,
    Some("^/[!-~]*$"),
);
pub(crate) static REGEX: Syntax = text(
    "a regular expression",
    "In the syntax of the Rust crate `regex`; it must match the whole path.",
    1,
    1_024,
    None,
);
pub(crate) static METHOD: Syntax =
    text("a method", "In upper case, such as `GET`; methods are case-sensitive.", 1, 32, Some(TOKEN))
        .read_by(form::method);
pub(crate) static HEADER_NAME: Syntax =
    text("a header name", "A token of RFC 9110; upper and lower case are the same.", 1, 256, Some(TOKEN))
        .read_by(form::header_name);
pub(crate) static SUBJECT_HEADER: Syntax =
    text("a header name", "A token of RFC 9110; upper and lower case are the same.", 1, 256, Some(TOKEN))
        .read_by(forms::subject_header);
pub(crate) static HEADER_VALUE: Syntax = text(
    "a header value",
    "No control characters, and no space at either end.",
    0,
    8_192,
    Some("^$|^[^\\u0000-\\u0020\\u007f]([^\\u0000-\\u001f\\u007f]*[^\\u0000-\\u0020\\u007f])?$"),
)
.read_by(form::header_value);
pub(crate) static QUERY_NAME: Syntax =
    text("a query parameter name", "As it is after percent-decoding.", 1, 1_024, None);
pub(crate) static QUERY_VALUE: Syntax =
    text("a query parameter value", "As it is after percent-decoding.", 0, 8_192, None);
pub(crate) static LOCATION: Syntax = text(
    "a location",
    "An `http://` or `https://` URL or an absolute path; `{scheme}`, `{host}`, `{path}` and `{query}` (with its \
     `?`) stand for the request's own.",
    1,
    4_096,
    Some("^(https?://|\\{scheme\\}://|/)[!-~]*$"),
)
    .read_by(forms::location);
pub(crate) static BODY: Syntax = text("a text", "Sent as it is, in UTF-8.", 0, 65_536, None);
pub(crate) static STRIPPED: Syntax = text(
    "a path prefix",
    "Whole segments, without a `/` at the end: `/api`.",
    1,
    4_096,
    Some("^/[!-~]*[!-.0-~]$"),
)
.read_by(forms::stripped);
pub(crate) static HASH_KEY: Syntax = text(
    "a hash key",
    "`client-ip`, `path`, `header:NAME` or `cookie:NAME`.",
    1,
    300,
    Some("^(client-ip|path|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+)$"),
);
pub(crate) static LIMIT_KEY: Syntax = text(
    "what to count by",
    "`client-ip`, `route`, `host`, `header:NAME` or `cookie:NAME`.",
    1,
    300,
    Some("^(client-ip|route|host|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+)$"),
);
pub(crate) static REDIS_URL: Syntax = text(
    "the URL of a Redis",
    "`redis://[USER@]HOST[:PORT][/DATABASE]`.",
    9,
    300,
    Some("^redis://[A-Za-z0-9._:@\\[\\]/-]+$"),
)
.read_by(forms::redis_url);
pub(crate) static REDIS_PREFIX: Syntax =
    text("a prefix", "Visible ASCII.", 0, 64, Some("^[!-~]*$")).read_by(forms::redis_prefix);
pub(crate) static COOKIE_NAME: Syntax =
    text("a cookie name", "A token of RFC 9110.", 1, 256, Some(TOKEN)).read_by(form::cookie_name);
pub(crate) static GRPC_SERVICE: Syntax = text(
    "a gRPC service",
    "Its full name, such as `shop.Cart`, of at most 127 letters, digits, `_` and `.`; or nothing.",
    0,
    127,
    Some("^[A-Za-z0-9_.]*$"),
)
.read_by(form::grpc_service);
pub(crate) static DATABASE_NAME: Syntax = text(
    "a name in a database",
    "1 to 63 bytes, without control characters.",
    1,
    63,
    Some("^[^\\u0000-\\u001f\\u007f]+$"),
)
.read_by(form::database_name);
pub(crate) static CACHED_STATUS: Syntax = text(
    "a status code",
    "`200` to `599`, without `206` and `304`, which are parts of other responses.",
    3,
    3,
    Some("^[2-5][0-9][0-9]$"),
);
pub(crate) static STATUSES: Syntax = text(
    "a range of statuses",
    "`2xx`, or `200-299`.",
    1,
    7,
    Some("^([1-5]xx|[1-5][0-9][0-9](-[1-5][0-9][0-9])?)$"),
);
pub(crate) static PROBE_PATH: Syntax =
    text("a path and query", "As it is sent: `/health` or `/health?full=1`.", 1, 4_096, Some("^/[!-~]*$"))
        .read_by(form::probe_path);
pub(crate) static PROBE_METHOD: Syntax =
    text("a method", "In upper case, such as `HEAD`; any but `CONNECT`.", 1, 32, Some(TOKEN))
        .read_by(forms::probe_method);
pub(crate) static PROBE_BODY: Syntax = text("a text", "As it stands in the body, in UTF-8.", 1, 1_024, None);
pub(crate) static PROBE_HOST: Syntax =
    text("a host, with or without a port", "As it stands in the `Host` field.", 1, 300, Some("^[!-~]+$"))
        .read_by(form::probe_host);
pub(crate) static FAILURE_ON: Syntax = text(
    "a failure of a server",
    "`connect`, `reset`, `timeout`, `5xx`, or a status: `408`, `425`, `429`, `500` to `599`.",
    3,
    7,
    Some("^(connect|reset|timeout|5xx|408|425|429|5[0-9][0-9])$"),
);
pub(crate) static MEDIA_RANGE: Syntax = text(
    "a media type",
    "`application/json`, `text/*`, or `application/*+xml`; without parameters.",
    3,
    128,
    Some("^(\\*/\\*|[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]*\\*?[A-Za-z0-9!#$&^_.+-]*)$"),
);
pub(crate) static HEDGE_AFTER: Syntax = text(
    "\"p95\" or a duration",
    "`p95`, or a duration from 1ms to 1h.",
    2,
    32,
    Some("^(p95|([0-9]+(h|m|s|ms))+)$"),
);
