//! The first message of a TLS client (RFC 8446, 4.1.2), read without consuming it: which server name it asks for.
//!
//! Only what the name needs is read. Whether the rest makes sense is for the server that terminates TLS to say.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::route::parse_host;

/// Bytes of a hello, without the heads of its records. Post-quantum key shares bring one to 2 KiB; tickets add to that.
const MESSAGE_MAX: usize = 16 * 1024;
/// Records that a hello may be spread over. Clients that split it use two or three.
const RECORDS_MAX: usize = 64;
/// Bytes of the head of a record, and of a handshake message.
const RECORD_HEAD: usize = 5;
const MESSAGE_HEAD: usize = 4;
/// Bytes that need to be looked at, at most.
pub const HELLO_BYTES_MAX: usize = MESSAGE_MAX + RECORDS_MAX * RECORD_HEAD;

/// The type of a record, of a message, of extensions, and of a name.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const HOST_NAME: u8 = 0;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// The beginning of a hello: more bytes are needed.
    Partial,
    /// A whole hello.
    Complete(ClientHello),
    /// No TLS.
    NotTls,
    /// TLS, but no hello that makes sense.
    Refused(HelloFault),
}

/// What a client says in its hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name that it asks for, in lower case and without a dot at its end; `None` if it asks for none, or for
    /// an address, which is no name (RFC 6066, 3).
    pub name: Option<String>,
    /// It has hidden the name that it means (RFC 9849): `name` is that of the client-facing server. A client that only
    /// pretends to (GREASE) looks the same.
    pub is_encrypted: bool,
}

/// Why a hello is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloFault {
    /// It is longer than a hello may be.
    TooLong,
    /// It breaks the rules of its format; this says where.
    Malformed(&'static str),
}

impl fmt::Display for HelloFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(
                f,
                "the TLS hello is longer than {MESSAGE_MAX} bytes, or in more than {RECORDS_MAX} records"
            ),
            Self::Malformed(what) => write!(f, "malformed TLS hello: {what}"),
        }
    }
}

/// Reads the first bytes of a connection, as many as have come.
pub fn read_hello(bytes: &[u8]) -> Hello {
    match message(bytes) {
        Ok(Some(message)) => match client_hello(&message) {
            Some(Ok(hello)) => Hello::Complete(hello),
            Some(Err(fault)) => Hello::Refused(fault),
            None => Hello::Refused(HelloFault::Malformed("a length leads beyond the end")),
        },
        Ok(None) => Hello::Partial,
        Err(unusable) => unusable,
    }
}

/// The body of the first handshake message, put together from its records; `None` if it is not complete.
fn message(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Hello> {
    let malformed = |what| Err(Hello::Refused(HelloFault::Malformed(what)));
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = bytes;
    for record in 0..RECORDS_MAX {
        match rest {
            [first, ..] if *first != HANDSHAKE && record == 0 => return Err(Hello::NotTls),
            [first, ..] if *first != HANDSHAKE => return malformed("a record of another type within it"),
            // SSL 3.0 and all that came after it.
            [_, major, ..] if *major != 3 && record == 0 => return Err(Hello::NotTls),
            _ => {}
        }
        let Some((head, body)) = rest.split_first_chunk::<RECORD_HEAD>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if length == 0 || length > 1 << 14 {
            return malformed("a record of no such length");
        }
        let fragment = &body[..length.min(body.len())];
        if record == 0 {
            message = Cow::Borrowed(fragment);
        } else {
            message.to_mut().extend_from_slice(fragment);
        }
        if let [kind, ..] = *message
            && kind != CLIENT_HELLO
        {
            return malformed("another handshake message");
        }
        if let Some([_, high, middle, low]) = message.first_chunk::<MESSAGE_HEAD>() {
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            if length > MESSAGE_MAX - MESSAGE_HEAD {
                return Err(Hello::Refused(HelloFault::TooLong));
            }
            if message.len() >= MESSAGE_HEAD + length {
                return Ok(Some(match message {
                    Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[MESSAGE_HEAD..MESSAGE_HEAD + length]),
                    Cow::Owned(bytes) => Cow::Owned(bytes[MESSAGE_HEAD..MESSAGE_HEAD + length].to_vec()),
                }));
            }
        }
        if fragment.len() < length {
            return Ok(None);
        }
        rest = &body[length..];
    }
    Err(Hello::Refused(HelloFault::TooLong))
}

/// Reads a hello; `None` if a length leads beyond the end.
fn client_hello(body: &[u8]) -> Option<Result<ClientHello, HelloFault>> {
    let mut hello = ClientHello { name: None, is_encrypted: false };
    let malformed = |what| Some(Err(HelloFault::Malformed(what)));
    let mut rest = Bytes(body);
    // legacy_version, random, legacy_session_id, cipher_suites, legacy_compression_methods
    rest.take(2 + 32)?;
    rest.short()?;
    rest.long()?;
    rest.short()?;
    if rest.0.is_empty() {
        // Before TLS 1.2 a client need not have extensions.
        return Some(Ok(hello));
    }
    let mut extensions = rest.long()?;
    if !rest.0.is_empty() {
        return malformed("bytes behind its extensions");
    }
    let mut has_name = false;
    while !extensions.0.is_empty() {
        let (kind, mut body) = (extensions.number()?, extensions.long()?);
        match kind {
            SERVER_NAME if std::mem::replace(&mut has_name, true) => {
                return malformed("two lists of server names");
            }
            SERVER_NAME => {
                let mut names = body.long()?;
                let (kind, name) = (names.take(1)?[0], names.long()?);
                if kind != HOST_NAME || !names.0.is_empty() || !body.0.is_empty() {
                    return malformed("not exactly one server name");
                }
                match server_name(name.0) {
                    Ok(name) => hello.name = name,
                    Err(what) => return malformed(what),
                }
            }
            ENCRYPTED_CLIENT_HELLO => hello.is_encrypted = true,
            _ => {}
        }
    }
    Some(Ok(hello))
}

/// The name in the form that routes are matched in; `None` for an address.
fn server_name(name: &[u8]) -> Result<Option<String>, &'static str> {
    const FAULT: &str = "the server name is no name";
    let name = std::str::from_utf8(name).map_err(|_| FAULT)?;
    if name.parse::<IpAddr>().is_ok() {
        return Ok(None);
    }
    match parse_host(name) {
        Ok((host, None)) if !host.is_empty() && !host.starts_with('[') && !name.contains(':') => {
            Ok(Some(host.into_owned()))
        }
        _ => Err(FAULT),
    }
}

/// Bytes that are yet to be read; each read is `None` where they end too early.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// What has its length before it, in one byte.
    fn short(&mut self) -> Option<Self> {
        let length = self.take(1)?[0];
        self.take(length.into()).map(Self)
    }

    /// The same in two bytes.
    fn long(&mut self) -> Option<Self> {
        let length = self.number()?;
        self.take(length.into()).map(Self)
    }
}
