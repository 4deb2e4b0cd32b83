//! Compresses a response on its way to a client that accepts it, and says so in its head.

pub mod body;
pub mod encoder;
pub mod fixed;
pub mod pool;
pub mod reuse;
mod turns;

use evenkeel_config::{Compress, Encoding};
use evenkeel_core::compress::{self as decide, Facts};
use evenkeel_observe::CompressSkipped;

use self::body::{Compressed, Source};
use self::fixed::FixedBodies;
use self::pool::Lease;
use self::reuse::Original;
use crate::cache::body::{CachedBody, Origin};
use crate::http::field::{Field, has_token, is_digest, list};
use crate::http::framing::{self, Framing};
use crate::request::incoming::Request;
use crate::response::{Body, Head, Response};
use crate::stream::Stream;
use crate::worker::Worker;

/// Bytes that are there are compressed at once up to this many, so that their length is known; more go out as a stream.
const WHOLE_MAX: usize = 64 * 1024;

/// The response of a route that compresses. `fixed`: it is the fixed response of the route at this position.
pub fn compress<'x, 'c>(
    mut response: Response<'x, 'c>,
    worker: &'x Worker,
    request: &Request<'_>,
    settings: &Compress,
    fixed: Option<(&'x FixedBodies, usize)>,
) -> Response<'x, 'c> {
    let head = &mut response.head;
    if head.status == 304 {
        weaken_as_asked(head, request);
        return response;
    }
    if matches!(response.body, Body::Empty | Body::Tunnel(_)) {
        return response;
    }
    if decide::fits(settings, &facts(head, response.framing, request.is_head())).is_err() {
        return response;
    }
    add_vary(head);
    let accepted = request.accepted();
    let Some(encoding) = decide::choose(settings, &accepted) else { return response };
    if let Body::Kept(object) = response.body {
        response.body = Body::Stream(Stream::Cached(Box::new(CachedBody::whole(Origin::Kept(object)))));
    }
    let original = Original::of(&response.body, fixed);
    let level = decide::level(settings, encoding, worker.lateness(), worker.shared.step());
    if let Some((before, after)) = original.take(&mut response.body, encoding, level) {
        worker.metrics.compress_reused(encoding, before, after);
        mark(head, encoding);
        response.framing = Framing::Length(after);
        return response;
    }
    if request.is_head() && matches!(response.body, Body::Stream(_)) {
        // What it would be for a GET, as far as that is known before it is made: not its length.
        mark(head, encoding);
        response.framing = Framing::Empty;
        return response;
    }
    let takes_gzip = settings.encodings.contains(&Encoding::Gzip) && accepted.takes(Encoding::Gzip);
    match lease(worker, encoding, level, takes_gzip, response.framing) {
        Ok((lease, level)) => encode(response, worker, lease, level, &original),
        Err(why) => {
            worker.metrics.compress_skipped(why);
            response
        }
    }
}

fn facts(head: &Head, framing: Framing, to_head: bool) -> Facts<'_> {
    let length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Empty if to_head => {
            head.value("content-length").and_then(|value| framing::length(value).ok())
        }
        Framing::Empty => Some(0),
        Framing::Chunked | Framing::UntilClose => None,
    };
    let is_coding = |coding: &[u8]| !coding.eq_ignore_ascii_case(b"identity");
    Facts {
        status: head.status,
        content_type: head.value("content-type"),
        is_encoded: head.values("content-encoding").flat_map(list).any(is_coding),
        no_transform: head.values("cache-control").any(|value| has_token(value, "no-transform")),
        length,
    }
}

/// An encoder and its level, unless the worker has no time or no room for it.
fn lease(
    worker: &Worker,
    encoding: Encoding,
    level: Option<u32>,
    takes_gzip: bool,
    framing: Framing,
) -> Result<(Lease<'_>, u32), CompressSkipped> {
    let length = if let Framing::Length(length) = framing { Some(length) } else { None };
    let level = level.ok_or(CompressSkipped::Late)?;
    let lease = worker.encoders.lease(encoding, level, length);
    // It takes a fifth of the memory of the next.
    let gzip = || takes_gzip.then(|| worker.encoders.lease(Encoding::Gzip, level, length)).flatten();
    let lease = lease.or_else(gzip).ok_or(CompressSkipped::Memory)?;
    Ok((lease, level))
}

/// Compresses a response, and keeps the compressed body for later copies of `original`.
fn encode<'x, 'c>(
    mut response: Response<'x, 'c>,
    worker: &'x Worker,
    mut lease: Lease<'x>,
    level: u32,
    original: &Original<'x>,
) -> Response<'x, 'c> {
    let encoding = lease.encoding();
    if let Some(bytes) = original.short(WHOLE_MAX) {
        response.body = Body::Shared(bytes);
    }
    let bytes = match &response.body {
        Body::Bytes(bytes) => Some(&bytes[..]),
        Body::Shared(bytes) => Some(&bytes[..]),
        _ => None,
    };
    if let Some(bytes) = bytes.filter(|bytes| bytes.len() <= WHOLE_MAX) {
        // If it would not become smaller, it goes out as it is.
        if let Ok(Some(out)) = lease.whole(bytes) {
            worker.metrics.compressed(encoding, bytes.len() as u64, out.len() as u64);
            mark(&mut response.head, encoding);
            response.framing = Framing::Length(out.len() as u64);
            response.body = original.keep(worker, encoding, level, out);
        }
        return response;
    }
    let source = match response.body {
        Body::Bytes(bytes) => Source::Bytes(bytes),
        Body::Shared(bytes) => Source::Bytes(bytes.to_vec().into()),
        Body::Stream(stream) => Source::Stream(stream),
        body @ (Body::Empty | Body::Kept(_) | Body::Tunnel(_)) => return Response { body, ..response },
    };
    mark(&mut response.head, encoding);
    let recorder = original.recorder(worker, encoding, level);
    let compressed = Compressed::new(source, lease, worker, recorder);
    response.body = Body::Stream(Stream::Compressed(Box::new(compressed)));
    response.framing = Framing::Chunked;
    response
}

/// Says in the head that the body is compressed, and takes away what was true only of the body as it came: its length, its
/// ranges, its digests (which a coding changes, RFC 9530, 3), and that it is the same to the byte (RFC 9110, 8.8.1).
fn mark(head: &mut Head, encoding: Encoding) {
    let strong = head.value("etag").filter(|tag| !tag.starts_with(b"W/")).map(<[u8]>::to_vec);
    head.remove(|name| {
        let is = |gone: &str| name.eq_ignore_ascii_case(gone.as_bytes());
        const GONE: [&str; 3] = ["content-length", "content-encoding", "accept-ranges"];
        GONE.iter().any(|gone| is(gone)) || is_digest(name) || strong.is_some() && is("etag")
    });
    head.field("content-encoding", encoding.word().as_bytes());
    if let Some(tag) = strong {
        head.field("etag", &weak(&tag));
    }
}

fn weak(tag: &[u8]) -> Vec<u8> {
    [b"W/", tag].concat()
}

/// A client that has the compressed response asks by its weak entity tag, and the server answers with the strong one. It is
/// weakened again, so that the client does not take what it has for the same to the byte.
fn weaken_as_asked(head: &mut Head, request: &Request<'_>) {
    let Some(tag) = head.value("etag").filter(|tag| !tag.starts_with(b"W/")) else { return };
    let weak = weak(tag);
    let named = |f: &&Field| f.name.of_bytes(request.bytes).eq_ignore_ascii_case(b"if-none-match");
    let asked = || request.fields.iter().filter(named).flat_map(|f| list(f.value.of_bytes(request.bytes)));
    let has = |tag: &[u8]| asked().any(|asked| asked == tag);
    if has(&weak) && !has(tag) {
        head.remove(|name| name.eq_ignore_ascii_case(b"etag"));
        head.field("etag", &weak);
        add_vary(head);
    }
}

/// Says that the response depends on `Accept-Encoding`, beside what it depends on already.
fn add_vary(head: &mut Head) {
    let is_said = |value: &[u8]| has_token(value, "accept-encoding") || has_token(value, "*");
    if head.values("vary").any(is_said) {
        return;
    }
    let mut members: Vec<u8> = Vec::new();
    for value in head.values("vary").flat_map(list).chain([&b"accept-encoding"[..]]) {
        if !members.is_empty() {
            members.extend_from_slice(b", ");
        }
        members.extend_from_slice(value);
    }
    head.remove(|name| name.eq_ignore_ascii_case(b"vary"));
    head.field("vary", &members);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::new(200, b"OK", Vec::new());
        fields.iter().for_each(|(name, value)| head.field(name, value.as_bytes()));
        head
    }

    #[track_caller]
    fn check(edit: impl FnOnce(&mut Head), before: &[(&str, &str)], after: &[(&str, &str)]) {
        let mut edited = head(before);
        edit(&mut edited);
        let text = |head: &Head| String::from_utf8_lossy(head.lines()).into_owned();
        assert_eq!(text(&edited), text(&head(after)));
    }

    #[test]
    fn vary_is_merged_into_what_is_there() {
        check(add_vary, &[], &[("vary", "accept-encoding")]);
        check(
            add_vary,
            &[("Vary", "Origin"), ("a", "1"), ("vary", "Cookie, X")],
            &[("a", "1"), ("vary", "Origin, Cookie, X, accept-encoding")],
        );
        for said in ["Accept-Encoding", "origin, ACCEPT-ENCODING", "*"] {
            check(add_vary, &[("Vary", said)], &[("Vary", said)]);
        }
    }

    #[test]
    fn what_was_true_of_the_other_bytes_goes() {
        let brotli = |head: &mut Head| mark(head, Encoding::Br);
        check(
            brotli,
            &[
                ("ETag", "\"a\""),
                ("Content-Length", "9"),
                ("Accept-Ranges", "bytes"),
                ("Content-MD5", "x"),
                ("Digest", "x"),
                ("Repr-Digest", "x"),
                ("Content-Digest", "x"),
                ("Content-Encoding", "identity"),
                ("Content-Type", "text/html"),
            ],
            &[("Content-Type", "text/html"), ("content-encoding", "br"), ("etag", "W/\"a\"")],
        );
        check(brotli, &[("etag", "W/\"a\"")], &[("etag", "W/\"a\""), ("content-encoding", "br")]);
    }
}
