//! Header fields as positions in the bytes they came in, with the ones we act upon recognised once.

use std::ops::Range;

/// A stretch of the head's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part` lies in `whole`, of which it must be a slice.
    pub fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        debug_assert!(start + part.len() <= whole.len());
        // Heads are limited to 1 MiB by the configuration.
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    /// From `start` up to `end`, which lies behind it.
    pub fn between(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Where it starts.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// The bytes themselves.
    pub fn of_bytes(self, bytes: &[u8]) -> &[u8] {
        &bytes[Range::from(self)]
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start as usize..span.end as usize
    }
}

/// The fields that mean something to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// None of those below.
    Other,
    /// `CDN-Loop` (RFC 8586)
    CdnLoop,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Cookie`
    Cookie,
    /// `Date`
    Date,
    /// `Expect`
    Expect,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// `Host`
    Host,
    /// `HTTP2-Settings`
    Http2Settings,
    /// `Keep-Alive`
    KeepAlive,
    /// A field of a connection or of framing with `_` for `-`, which servers may take for it: `Transfer_Encoding`.
    LookAlike,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Referer`
    Referer,
    /// `Set-Cookie`
    SetCookie,
    /// One that tells a cache what to do: `Cache-Control`, `Pragma`, `Range`, or a condition.
    SpeaksToCaches,
    /// `TE`
    Te,
    /// One that carries a trace context: `traceparent`, `tracestate`, or one of B3.
    TraceContext,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `User-Agent`
    UserAgent,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// `X-Forwarded-Prefix`
    XForwardedPrefix,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Request-Id`
    XRequestId,
}

impl Known {
    /// Recognises a name, whatever its case.
    pub fn of(name: &[u8]) -> Self {
        /// The one candidate, and whether the name is that.
        macro_rules! is {
            ($known:ident, $text:literal) => {{
                const NAME: Name<{ $text.len() }> = Name::new($text);
                (Self::$known, $text, NAME.is(name))
            }};
        }
        let (known, text, is_it): (Self, &[u8], bool) = match name.len() {
            2 if name[0] | 0x20 == b'b' => is!(TraceContext, b"b3"),
            2 => is!(Te, b"te"),
            4 if name[0] | 0x20 == b'd' => is!(Date, b"date"),
            4 => is!(Host, b"host"),
            5 => is!(SpeaksToCaches, b"range"),
            6 if name[0] | 0x20 == b'c' => is!(Cookie, b"cookie"),
            6 if name[0] | 0x20 == b'p' => is!(SpeaksToCaches, b"pragma"),
            6 => is!(Expect, b"expect"),
            7 if name[0] | 0x20 == b'u' => is!(Upgrade, b"upgrade"),
            7 => is!(Referer, b"referer"),
            8 if name[0] | 0x20 == b'c' => is!(CdnLoop, b"cdn-loop"),
            8 if name[3] | 0x20 == b'm' => is!(SpeaksToCaches, b"if-match"),
            8 => is!(SpeaksToCaches, b"if-range"),
            9 => is!(Forwarded, b"forwarded"),
            10 => match name[0] | 0x20 {
                b'c' => is!(Connection, b"connection"),
                b'k' => is!(KeepAlive, b"keep-alive"),
                b's' => is!(SetCookie, b"set-cookie"),
                b't' => is!(TraceContext, b"tracestate"),
                b'x' => is!(TraceContext, b"x-b3-flags"),
                _ => is!(UserAgent, b"user-agent"),
            },
            11 if name[0] | 0x20 == b't' => is!(TraceContext, b"traceparent"),
            11 => is!(TraceContext, b"x-b3-spanid"),
            12 if name[2] | 0x20 == b'r' => is!(XRequestId, b"x-request-id"),
            12 if name[5] | 0x20 == b't' => is!(TraceContext, b"x-b3-traceid"),
            12 => is!(TraceContext, b"x-b3-sampled"),
            13 if name[0] | 0x20 == b'c' => is!(SpeaksToCaches, b"cache-control"),
            13 => is!(SpeaksToCaches, b"if-none-match"),
            14 if name[0] | 0x20 == b'h' => is!(Http2Settings, b"http2-settings"),
            14 => is!(ContentLength, b"content-length"),
            15 => is!(XForwardedFor, b"x-forwarded-for"),
            16 if name[0] | 0x20 == b'p' => is!(ProxyConnection, b"proxy-connection"),
            16 if name[12] | 0x20 == b'p' => is!(XForwardedPort, b"x-forwarded-port"),
            16 => is!(XForwardedHost, b"x-forwarded-host"),
            17 if name[0] | 0x20 == b'i' => is!(SpeaksToCaches, b"if-modified-since"),
            17 if name[2] | 0x20 == b'b' => is!(TraceContext, b"x-b3-parentspanid"),
            17 if name[0] | 0x20 == b't' => is!(TransferEncoding, b"transfer-encoding"),
            17 => is!(XForwardedProto, b"x-forwarded-proto"),
            18 => is!(XForwardedPrefix, b"x-forwarded-prefix"),
            19 => is!(SpeaksToCaches, b"if-unmodified-since"),
            _ => return Self::Other,
        };
        if is_it {
            known
        } else if known.has_look_alikes() && same_variable(name, text) {
            if known.is_forwarding() { known } else { Self::LookAlike }
        } else {
            Self::Other
        }
    }

    /// Says where a request came from, which only those who are trusted may say.
    pub fn is_forwarding(self) -> bool {
        matches!(
            self,
            Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedPrefix
                | Self::XForwardedProto
                | Self::XRequestId
        )
    }

    /// No server may take another name for this one.
    fn has_look_alikes(self) -> bool {
        self.is_forwarding() || self.is_hop_by_hop()
    }

    /// Belongs to one connection and is never passed on as it came (RFC 9110, 7.6.1). `Content-Length` counts
    /// here because framing is ours to write.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ContentLength
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// A name in lower case that others are compared with, eight bytes at a time.
struct Name<const N: usize> {
    text: [u8; N],
    /// The bit in which upper and lower case differ, for each letter.
    case: [u8; N],
}

impl<const N: usize> Name<N> {
    const fn new(text: &[u8; N]) -> Self {
        let (mut case, mut at) = ([0; N], 0);
        while at < N {
            case[at] = if text[at].is_ascii_lowercase() { 0x20 } else { 0 };
            at += 1;
        }
        Self { text: *text, case }
    }

    /// True if `name` is this one, in any case.
    #[inline(always)]
    fn is(&self, name: &[u8]) -> bool {
        let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
        let word = |bytes: &[u8; N], at: usize| {
            let mut word = [0; 8];
            word[..N.min(8)].copy_from_slice(&bytes[at..at + N.min(8)]);
            u64::from_le_bytes(word)
        };
        let differs = |at| (word(name, at) | word(&self.case, at)) ^ word(&self.text, at);
        // The last eight once more, some of which have been looked at.
        (0..N / 8).fold(differs(N.saturating_sub(8)), |found, at| found | differs(at * 8)) == 0
    }
}

/// Equal in any case, and with `_` for `-`: CGI, WSGI and PHP give both names to one variable, so that who may not
/// send `X-Forwarded-For` would send `X_Forwarded_For`.
pub fn same_variable(name: &[u8], text: &[u8]) -> bool {
    let fold = |b: &u8| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    name.len() == text.len() && name.iter().map(fold).eq(text.iter().map(fold))
}

/// Which known fields a head has, so that absent ones are not searched for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownSet(u32);

impl KnownSet {
    /// Adds one.
    pub fn insert(&mut self, known: Known) {
        self.0 |= 1 << known as u32;
    }

    /// True if it is in.
    pub fn holds(self, known: Known) -> bool {
        self.0 & 1 << known as u32 != 0
    }
}

/// One field line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// What it is.
    pub known: Known,
    /// Its name, in the case it came in.
    pub name: Span,
    /// Its value, without the white space around it.
    pub value: Span,
}

/// True for a token (RFC 9110, 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    const IS_OF_TOKENS: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = is_of_tokens(byte as u8);
            byte += 1;
        }
        table
    };
    let is_token = |text: &[u8]| text.iter().all(|byte| IS_OF_TOKENS[usize::from(*byte)]);
    match text.last_chunk::<8>() {
        // The last eight once more, some of which have been looked at.
        Some(last) => {
            let (words, _) = text.as_chunks::<8>();
            words.iter().chain([last]).all(|word| has_letters(u64::from_ne_bytes(*word)) || is_token(word))
        }
        None => !text.is_empty() && is_token(text),
    }
}

/// One in each byte.
pub const ONES: u64 = u64::MAX / 255;

/// True of eight letters and hyphens, which nearly all names are made of.
fn has_letters(word: u64) -> bool {
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte that is at least this one. No byte carries over into the next.
    let from = |word: u64, byte: u8| (word & !HIGH) + ONES * u64::from(0x80 - byte);
    let lower = word | (ONES * 0x20);
    let letters = from(lower, b'a') & !from(lower, b'z' + 1);
    let hyphens = !from(word ^ (ONES * u64::from(b'-')), 1);
    (letters | hyphens) & !word & HIGH == HIGH
}

/// True for a character of tokens.
pub const fn is_of_tokens(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

/// True for fields that tell of a body's very bytes, so that they are wrong once it is coded (RFC 9530, 3; RFC 3230).
pub fn is_digest(name: &[u8]) -> bool {
    const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];
    DIGESTS.iter().any(|digest| name.eq_ignore_ascii_case(digest.as_bytes()))
}

/// The members of a comma-separated list field (RFC 9110, 5.6.1), empty ones left out.
pub fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// True when a list field holds `token`, in any case.
pub fn has_token(value: &[u8], token: &str) -> bool {
    list(value).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised_in_any_case() {
        let names = [
            ("TE", Known::Te),
            ("hOsT", Known::Host),
            ("Cookie", Known::Cookie),
            ("CDN-Loop", Known::CdnLoop),
            ("CDN_Loop", Known::Other),
            ("Date", Known::Date),
            ("Expect", Known::Expect),
            ("Upgrade", Known::Upgrade),
            ("Referer", Known::Referer),
            ("Forwarded", Known::Forwarded),
            ("Connection", Known::Connection),
            ("Keep-Alive", Known::KeepAlive),
            ("Set-Cookie", Known::SetCookie),
            ("User-Agent", Known::UserAgent),
            ("X-Request-ID", Known::XRequestId),
            ("HTTP2-Settings", Known::Http2Settings),
            ("Content-Length", Known::ContentLength),
            ("X-Forwarded-For", Known::XForwardedFor),
            ("Proxy-Connection", Known::ProxyConnection),
            ("X-Forwarded-Host", Known::XForwardedHost),
            ("Transfer-Encoding", Known::TransferEncoding),
            ("X-Forwarded-Proto", Known::XForwardedProto),
            ("X_Forwarded_For", Known::XForwardedFor),
            ("x_request-ID", Known::XRequestId),
            ("X-Forwarded-Port", Known::XForwardedPort),
            ("X-Forwarded_Port", Known::XForwardedPort),
            ("x-forwarded-prefix", Known::XForwardedPrefix),
            ("b3", Known::TraceContext),
            ("TraceParent", Known::TraceContext),
            ("tracestate", Known::TraceContext),
            ("X-B3-TraceId", Known::TraceContext),
            ("X-B3-SpanId", Known::TraceContext),
            ("X-B3-ParentSpanId", Known::TraceContext),
            ("X-B3-Sampled", Known::TraceContext),
            ("x-b3-flags", Known::TraceContext),
            ("Content_Length", Known::LookAlike),
            ("transfer_encoding", Known::LookAlike),
            ("KEEP_ALIVE", Known::LookAlike),
            ("Proxy_Connection", Known::LookAlike),
            ("http2_settings", Known::LookAlike),
            ("User_Agent", Known::Other),
            ("Accept", Known::Other),
            ("Hosts", Known::Other),
            ("Nost", Known::Other),
            ("", Known::Other),
        ];
        for (name, known) in names {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
        assert!(same_variable(b"X-Sub_Name", b"x_sub-NAME") && !same_variable(b"x-sub", b"x-sub-"));
    }

    #[test]
    fn tokens_have_characters_of_tokens_alone() {
        let around = ["", "a", "Content-T", "x-a.b_c~d", "sec-websocket-ke"];
        for (before, behind) in around.iter().flat_map(|before| around.map(|behind| (before, behind))) {
            for byte in 0..=255 {
                let name = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
                assert_eq!(is_token(&name), is_of_tokens(byte), "{before}, {byte}, {behind}");
            }
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn lists_are_read_member_by_member() {
        assert!(has_token(b"keep-alive , UPGRADE,", "upgrade"));
        assert!(!has_token(b"upgraded", "upgrade"));
        assert_eq!(list(b" a,, b ,").collect::<Vec<_>>(), [b"a", b"b"]);
    }
}
