//! A kept response becomes the answer to one request: its head, and as much of its body as the request asks for.

use bytes::Bytes;
use evenkeel_core::cache::{CacheStatus, Fields, Wall};
use evenkeel_core::conditional::{Evaluator, Outcome, Representation, evaluate, range_applies};
use evenkeel_core::range::{self, Ranges, multipart, ranges, unsatisfied};
use evenkeel_observe::Ended;

use super::body::{CachedBody, Origin, Segment};
use super::facts::{Lines, RequestFields};
use super::store::KeptHead;
use crate::client::writer::ToClient;
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::request::incoming::Request;
use crate::response::{Body, Head, Response, reason};
use crate::stream::Stream;
use crate::worker::Worker;
use crate::worker::timer::WriteError;

/// Holds for the names of fields that are left out.
type IsGone<'a> = &'a dyn Fn(&[u8]) -> bool;

/// A kept response that answers a request.
pub struct Kept<'a> {
    /// Its head.
    pub head: &'a KeptHead,
    /// Where its body is.
    pub origin: Origin,
    /// The length of its body; `None` while that is not known.
    pub length: Option<u64>,
    /// The time.
    pub now: Wall,
    /// What the client reads of it.
    pub status: CacheStatus,
}

impl Kept<'_> {
    /// The response: all of it, a part of it, or only that it has not changed.
    pub fn respond<'x, 'c>(self, worker: &Worker, request: &Request<'_>) -> Response<'x, 'c> {
        let lines = Lines(self.head.response());
        let status = self.head.meta().status;
        let asked = RequestFields(request);
        // Most requests have no conditions, and then the dates need not be read.
        if !request.known.holds(Known::SpeaksToCaches) {
            return self.whole(worker);
        }
        let of = Representation::of(&lines, self.now);
        match evaluate(&asked, Evaluator::Cache, (true, status), &of) {
            Outcome::NotModified => return self.not_modified(worker),
            Outcome::Full | Outcome::PreconditionFailed => {}
        }
        let range = asked.first("range").filter(|_| status == 200 && !request.is_head());
        match range.zip(self.length) {
            Some((range, length)) if range_applies(&asked, &of) => match ranges(range, length) {
                Ranges::Ignore => self.whole(worker),
                Ranges::Unsatisfiable => self.unsatisfiable(worker, length),
                Ranges::One(part) => self.part(worker, part, length),
                Ranges::Many(parts) => self.parts(worker, &parts, length),
            },
            _ => self.whole(worker),
        }
    }

    /// The head, without the lines that `is_gone` holds for.
    fn head(&self, worker: &Worker, status: u16, is_gone: Option<IsGone<'_>>) -> Head {
        let mut head = Head::new(status, reason(status).as_bytes(), worker.buffers.medium());
        let lines = self.head.response();
        match is_gone {
            None => head.out().extend_from_slice(lines),
            Some(is_gone) => {
                for (_, _, line) in Lines(lines).iter().filter(|(name, ..)| !is_gone(name)) {
                    head.out().extend_from_slice(line);
                }
            }
        }
        let age = self.head.meta().stored.age(self.now);
        head.field("age", itoa::Buffer::new().format(age).as_bytes());
        write_status(&mut head, &self.status);
        // It was kept with one.
        head.has_date = true;
        head
    }

    fn whole<'x, 'c>(self, worker: &Worker) -> Response<'x, 'c> {
        let status = self.head.meta().status;
        let head = self.head(worker, status, None);
        let framing = match self.length {
            _ if matches!(status, 204 | 304) => Framing::Empty,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        match self.origin {
            // What lies in one piece needs nothing to be sent by.
            Origin::Kept(object) if !object.is_in_pieces() => {
                Response { head, body: Body::Kept(object), framing, ended: Ended::Complete, closes: false }
            }
            origin => response(head, framing, CachedBody::whole(origin)),
        }
    }

    /// 304, with the fields that RFC 9110 (15.4.5) wants, and those that do not describe the body.
    fn not_modified<'x, 'c>(self, worker: &Worker) -> Response<'x, 'c> {
        let has_tag = Lines(self.head.response()).has("etag");
        let head = self.head(
            worker,
            304,
            Some(&|name: &[u8]| {
                let name = name.to_ascii_lowercase();
                let describes_body = name.starts_with(b"content-") && name != b"content-location";
                describes_body || has_tag && name == b"last-modified"
            }),
        );
        Response { head, body: Body::Empty, framing: Framing::Empty, ended: Ended::Complete, closes: false }
    }

    fn unsatisfiable<'x, 'c>(self, worker: &Worker, length: u64) -> Response<'x, 'c> {
        let mut head = self.head(
            worker,
            416,
            Some(&|name: &[u8]| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))),
        );
        head.field("content-range", unsatisfied(length).as_bytes());
        Response::of_bytes(head, &b""[..])
    }

    fn part<'x, 'c>(self, worker: &Worker, part: range::Bytes, length: u64) -> Response<'x, 'c> {
        let mut head = self.head(worker, 206, None);
        head.field("content-range", part.content_range(length).as_bytes());
        let body = CachedBody::of(self.origin, vec![Segment::Body(part.start..part.end)]);
        response(head, Framing::Length(part.length()), body)
    }

    fn parts<'x, 'c>(self, worker: &Worker, parts: &[range::Bytes], length: u64) -> Response<'x, 'c> {
        let is_ascending = parts.is_sorted_by_key(|part| part.start);
        if !is_ascending && !matches!(self.origin, Origin::Kept(_) | Origin::Disk(_)) {
            // What arrives can be read in one direction only.
            return self.whole(worker);
        }
        let lines = Lines(self.head.response());
        let content_type = lines.first("content-type").and_then(|value| std::str::from_utf8(value).ok());
        let mut id = [0; 32];
        let framed = multipart(parts, length, worker.request_id(&mut id).as_str(), content_type);
        let mut head =
            self.head(worker, 206, Some(&|name: &[u8]| name.eq_ignore_ascii_case(b"content-type")));
        head.field("content-type", framed.content_type.as_bytes());
        let mut segments = Vec::with_capacity(2 * framed.parts.len() + 1);
        for (text, part) in framed.parts {
            segments.push(Segment::Text(Bytes::from(text)));
            segments.push(Segment::Body(part.start..part.end));
        }
        segments.push(Segment::Text(Bytes::from(framed.end)));
        response(head, Framing::Length(framed.length), CachedBody::of(self.origin, segments))
    }
}

/// Adds `Cache-Status` (RFC 9211).
pub fn write_status(head: &mut Head, status: &CacheStatus) {
    let out = head.out();
    out.extend_from_slice(b"cache-status: ");
    status.write(out);
    out.extend_from_slice(b"\r\n");
}

fn response<'x, 'c>(head: Head, framing: Framing, body: CachedBody) -> Response<'x, 'c> {
    let body = Body::Stream(Stream::Cached(Box::new(body)));
    Response { head, body, framing, ended: Ended::Complete, closes: false }
}

/// Has the beginning of a body read from the disk before its length is promised. False if that failed: then the response is
/// not kept any more.
///
/// # Errors
/// The client has left.
pub async fn begin_body(
    response: &mut Response<'_, '_>,
    client: &mut ToClient<'_, '_>,
) -> Result<bool, WriteError> {
    match &mut response.body {
        Body::Stream(Stream::Cached(body)) => client.writer.unless_gone(body.begin()).await,
        _ => Ok(true),
    }
}
