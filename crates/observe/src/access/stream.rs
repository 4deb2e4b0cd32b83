//! The line of a connection that was relayed as a stream of bytes, or of a session of datagrams: written at its end, in the format of the log.

use std::time::Duration;

use super::combined;
use super::json::{client, milliseconds, number, optional, optional_milliseconds, own_fields, string, token};
use super::record::Client;
use super::stamp::Stamp;
use crate::stream::StreamEnded;

/// One connection that has ended.
#[derive(Debug, Clone, Copy)]
pub struct StreamRecord<'a> {
    /// When it was accepted, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// The client.
    pub client: Client<'a>,
    /// The listener's name, a token.
    pub listener: &'a str,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The server name that the client asked for, if that is known.
    pub sni: Option<&'a str>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The pool's name, a token.
    pub pool: Option<&'a str>,
    /// The id of the server that it was relayed to, or that was tried last.
    pub backend: Option<&'a str>,
    /// How many servers were tried.
    pub tries: u32,
    /// From its accept to its end.
    pub total: Duration,
    /// How long the connection to the server took to open, failed tries included.
    pub connect: Option<Duration>,
    /// Bytes from the client to the server.
    pub bytes_in: u64,
    /// Bytes from the server to the client.
    pub bytes_out: u64,
    /// How it ended.
    pub ended: StreamEnded,
    /// Why, in a few words, if that is no matter of course.
    pub reason: Option<&'a str>,
    /// Keys of the configuration's choice, and what stands there.
    pub fields: &'a [(&'a str, Option<&'a [u8]>)],
}

/// One JSON object: the keys of requests where they make sense, always the same in the same order.
pub(super) fn json(out: &mut Vec<u8>, record: &StreamRecord<'_>, stamp: &mut Stamp) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.rfc3339(out, record.unix_ns);
    client(out, record.client);
    out.extend_from_slice(b",\"listener\":");
    token(out, record.listener);
    out.extend_from_slice(b",\"protocol\":");
    token(out, record.protocol);
    for (key, text) in [
        (&b",\"sni\":"[..], record.sni),
        (b",\"route\":", record.route),
        (b",\"pool\":", record.pool),
        (b",\"backend\":", record.backend),
    ] {
        out.extend_from_slice(key);
        optional(out, text.map(str::as_bytes));
    }
    out.extend_from_slice(b",\"tries\":");
    number(out, u64::from(record.tries));
    out.extend_from_slice(b",\"duration_ms\":");
    milliseconds(out, record.total);
    out.extend_from_slice(b",\"connect_ms\":");
    optional_milliseconds(out, record.connect);
    out.extend_from_slice(b",\"bytes_in\":");
    number(out, record.bytes_in);
    out.extend_from_slice(b",\"bytes_out\":");
    number(out, record.bytes_out);
    out.extend_from_slice(b",\"ended\":");
    string(out, record.ended.as_str().as_bytes());
    out.extend_from_slice(b",\"reason\":");
    optional(out, record.reason.map(str::as_bytes));
    own_fields(out, record.fields);
    out.extend_from_slice(b"}\n");
}

/// The combined format, which has no place for connections: `TCP LISTENER[/SNI] ENDED` stands in place of the request's
/// line, and the status is 0.
pub(super) fn combined(out: &mut Vec<u8>, record: &StreamRecord<'_>, stamp: &mut Stamp) {
    combined::begin(out, record.client, record.unix_ns, stamp);
    out.extend_from_slice(record.protocol.to_ascii_uppercase().as_bytes());
    out.push(b' ');
    combined::escaped(out, record.listener.as_bytes());
    if let Some(sni) = record.sni {
        out.push(b'/');
        combined::escaped(out, sni.as_bytes());
    }
    out.push(b' ');
    out.extend_from_slice(record.ended.as_str().as_bytes());
    out.extend_from_slice(b"\" 0 ");
    combined::bytes(out, record.bytes_out);
    out.extend_from_slice(b" \"-\" \"-\"\n");
}
