//! The line of a connection that was relayed as a stream of bytes, or of a session of datagrams: written at its end, in the format of the log.

use std::time::Duration;

use super::combined;
use super::json::{begin, optional, own_fields, times, way};
use super::line::Line;
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
pub(super) fn json<'a>(line: Line<'a>, record: &StreamRecord<'_>, stamp: &mut Stamp) -> Line<'a> {
    let line = begin(line, record.unix_ns, record.client, record.listener, stamp);
    let line = line.put(b",\"protocol\":\"").put_quoted(record.protocol.as_bytes());
    let line = optional(line, b",\"sni\":\"", record.sni.map(str::as_bytes));
    let line = way(line, (record.route, record.pool, record.backend));
    let line = line.put(b",\"tries\":").number(u64::from(record.tries));
    let line = times(line, record.total, record.connect);
    let line = line.put(b",\"bytes_in\":").number(record.bytes_in);
    let line = line.put(b",\"bytes_out\":").number(record.bytes_out);
    let line = line.put(b",\"ended\":\"").put_quoted(record.ended.as_str().as_bytes());
    let line = optional(line, b",\"reason\":\"", record.reason.map(str::as_bytes));
    own_fields(line, record.fields).put(b"}\n")
}

/// The combined format, which has no place for connections: `TCP LISTENER[/SNI] ENDED` stands in place of the request's
/// line, and the status is 0.
pub(super) fn combined<'a>(line: Line<'a>, record: &StreamRecord<'_>, stamp: &mut Stamp) -> Line<'a> {
    let line = combined::begin(line, record.client, record.unix_ns, stamp);
    let line = line.put(record.protocol.to_ascii_uppercase().as_bytes()).put(b" ");
    let line = combined::escaped(line, record.listener.as_bytes());
    let line = match record.sni {
        Some(sni) => combined::escaped(line.put(b"/"), sni.as_bytes()),
        None => line,
    };
    let line = line.put(b" ").put(record.ended.as_str().as_bytes()).put(b"\" 0 ");
    combined::bytes(line, record.bytes_out).put(b" \"-\" \"-\"\n")
}
