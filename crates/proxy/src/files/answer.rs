//! The response that a file makes: in which coding, whole or in part, or only that it has not changed.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use evenkeel_config::{Encoding, Files};
use evenkeel_core::cache::{Fields, Wall};
use evenkeel_core::conditional::{Evaluator, Outcome, Representation, evaluate, range_applies};
use evenkeel_core::encoding::Accepted;
use evenkeel_core::files::cache_control;
use evenkeel_core::range::{self, Ranges, multipart, ranges};
use evenkeel_observe::Ended;

use super::body::{FileBody, Part};
use super::lookup::Variants;
use super::version::{Content, Version};
use crate::http::framing::Framing;
use crate::request::admit::Refusal;
use crate::request::answer::refuse;
use crate::request::incoming::Request;
use crate::request::log::RequestLog;
use crate::response::{Body, Head, Response, reason};
use crate::stream::Stream;
use crate::worker::Worker;

/// `Cache-Control` of a page that stands for many paths, unless the route says something else.
const FALLBACK_CACHE_CONTROL: &str = "no-cache";

/// Which fields of a request say something about the file that it asks for, found in one pass.
#[derive(Debug, Clone, Copy, Default)]
struct Wishes {
    encoding: bool,
    conditions: bool,
    range: bool,
}

impl Wishes {
    fn of(request: &Request<'_>) -> Self {
        let mut wishes = Self::default();
        for field in request.fields {
            let name = field.name.of_bytes(request.bytes);
            let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
            match name.len() {
                5 => wishes.range |= is("range"),
                8 => wishes.conditions |= is("if-match"),
                13 => wishes.conditions |= is("if-none-match"),
                15 => wishes.encoding |= is("accept-encoding"),
                17 => wishes.conditions |= is("if-modified-since"),
                19 => wishes.conditions |= is("if-unmodified-since"),
                _ => {}
            }
        }
        wishes
    }
}

/// The fields of a request, by name.
struct RequestFields<'r>(&'r Request<'r>);

impl Fields for RequestFields<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let Request { fields, bytes, .. } = self.0;
        let named = move |field: &&crate::http::field::Field| {
            field.name.of_bytes(bytes).eq_ignore_ascii_case(name.as_bytes())
        };
        fields.iter().filter(named).map(move |field| field.value.of_bytes(bytes))
    }
}

/// The response with this file; `is_fallback` if it stands for another path.
pub fn answer<'x, 'c>(
    worker: &Rc<Worker>,
    request: &Request<'_>,
    files: &Arc<Files>,
    (variants, is_fallback): (&Arc<Variants>, bool),
    log: &mut RequestLog,
) -> Response<'x, 'c> {
    let wishes = Wishes::of(request);
    let fields = RequestFields(request);
    let version = chosen(variants, wishes.encoding, &fields);
    let control = cache_control(files, &variants.path).or(is_fallback.then_some(FALLBACK_CACHE_CONTROL));
    let sheet = Sheet { worker, files, version, control };
    if !wishes.conditions && !wishes.range {
        return sheet.whole();
    }
    let modified = Wall::from_secs(version.modified_s());
    let now = Wall::from_millis(worker.unix_ns(request.started) / 1_000_000);
    let of = Representation {
        etag: Some(version.etag.as_bytes()),
        last_modified: Some(modified),
        date: Some(now),
    };
    match evaluate(&fields, Evaluator::Origin, (true, 200), &of) {
        Outcome::NotModified => sheet.not_modified(),
        Outcome::PreconditionFailed => deny(
            worker,
            request,
            log,
            refusal(412, "the file is not the one that the request is about"),
            None,
        ),
        // HEAD has no ranges (RFC 9110, 14.2).
        Outcome::Full if wishes.range && !request.is_head() && range_applies(&fields, &of) => {
            sheet.ranged(request, &fields, log)
        }
        Outcome::Full => sheet.whole(),
    }
}

/// An error that is counted nowhere else.
pub fn refusal(status: u16, why: &'static str) -> Refusal {
    Refusal { status, kind: None, why: why.into(), retry_after: None }
}

/// An error, and what the log says of it beside.
pub fn deny<'x, 'c>(
    worker: &Worker,
    request: &Request<'_>,
    log: &mut RequestLog,
    refusal: Refusal,
    detail: Option<String>,
) -> Response<'x, 'c> {
    log.reason = Some(detail.unwrap_or_else(|| refusal.why.to_string()));
    refuse(worker, &refusal, request, Ended::Refused)
}

fn chosen<'v>(variants: &'v Variants, asks: bool, fields: &RequestFields<'_>) -> &'v Arc<Version> {
    if !asks || variants.encoded.iter().all(Option::is_none) {
        return &variants.plain;
    }
    let accepted = Accepted::of(fields.values("accept-encoding"));
    let offered = Encoding::ALL.into_iter().filter(|coding| variants.encoded[*coding as usize].is_some());
    let coding = accepted.choose(offered);
    coding.and_then(|coding| variants.encoded[coding as usize].as_ref()).unwrap_or(&variants.plain)
}

/// What all responses with a version of a file are made of.
struct Sheet<'s> {
    worker: &'s Rc<Worker>,
    files: &'s Arc<Files>,
    version: &'s Arc<Version>,
    control: Option<&'s str>,
}

impl Sheet<'_> {
    fn length(&self) -> u64 {
        self.version.identity.size
    }

    /// The fields that all of them have.
    fn head(&self, status: u16) -> Head {
        let mut head = Head::new(status, reason(status).as_bytes(), self.worker.buffers.medium());
        head.out().extend_from_slice(&self.version.shared);
        if let Some(control) = self.control {
            head.field("cache-control", control.as_bytes());
        }
        // Another `Accept-Encoding` may get another version.
        if self.files.precompressed {
            head.field("vary", b"accept-encoding");
        }
        head
    }

    fn own_head(&self, status: u16, content_type: &str) -> Head {
        let mut head = self.head(status);
        head.field("content-type", content_type.as_bytes());
        head.out().extend_from_slice(&self.version.own);
        head
    }

    fn whole<'x, 'c>(&self) -> Response<'x, 'c> {
        let head = self.own_head(200, &self.version.content_type);
        let length = self.length();
        let body = match &self.version.content {
            Content::Memory(bytes) => Body::Shared(bytes.clone()),
            Content::Open(_) => self.stream([Part::File(0, length)]),
        };
        response(head, length, body)
    }

    fn not_modified<'x, 'c>(&self) -> Response<'x, 'c> {
        Response { framing: Framing::Empty, ..response(self.head(304), 0, Body::Empty) }
    }

    fn ranged<'x, 'c>(
        &self,
        request: &Request<'_>,
        fields: &RequestFields<'_>,
        log: &mut RequestLog,
    ) -> Response<'x, 'c> {
        let complete = self.length();
        let mut lines = fields.values("range");
        let asked = match (lines.next(), lines.next()) {
            (Some(value), None) => ranges(value, complete),
            _ => Ranges::Ignore,
        };
        match asked {
            Ranges::Ignore => self.whole(),
            Ranges::Unsatisfiable => {
                let refusal = refusal(416, "the file has no such range");
                let mut refused = deny(self.worker, request, log, refusal, None);
                refused.head.field("content-range", range::unsatisfied(complete).as_bytes());
                refused
            }
            Ranges::One(part) => {
                let mut head = self.own_head(206, &self.version.content_type);
                head.field("content-range", part.content_range(complete).as_bytes());
                response(head, part.length(), self.body_of([Part::File(part.start, part.end)]))
            }
            Ranges::Many(parts) => {
                let boundary = format!("{:016x}{:016x}", self.worker.random(), self.worker.random());
                let multipart = multipart(&parts, complete, &boundary, Some(&self.version.content_type));
                let head = self.own_head(206, &multipart.content_type);
                let framed = multipart.parts.into_iter().flat_map(|(head, part)| {
                    [Part::Bytes(head.into_bytes()), Part::File(part.start, part.end)]
                });
                let body = self.body_of(framed.chain([Part::Bytes(multipart.end.into_bytes())]));
                response(head, multipart.length, body)
            }
        }
    }

    fn body_of<'x, 'c>(&self, parts: impl IntoIterator<Item = Part>) -> Body<'x, 'c> {
        let Content::Memory(bytes) = &self.version.content else { return self.stream(parts) };
        let piece = |from: u64, end: u64| {
            // Within a file that is in memory.
            let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            bytes.slice(position(from)..position(end))
        };
        let parts: Vec<Part> = parts.into_iter().collect();
        if let [Part::File(from, end)] = parts[..] {
            return Body::Shared(piece(from, end));
        }
        let parts = parts.into_iter().map(|part| match part {
            Part::Bytes(bytes) => Bytes::from(bytes),
            Part::File(from, end) => piece(from, end),
        });
        Body::Bytes(parts.collect::<Vec<_>>().concat().into())
    }

    fn stream<'x, 'c>(&self, parts: impl IntoIterator<Item = Part>) -> Body<'x, 'c> {
        let Content::Open(file) = &self.version.content else { return Body::Empty };
        let parts: VecDeque<Part> = parts.into_iter().collect();
        Body::Stream(Stream::File(Box::new(FileBody::new(self.worker, self.files, file, parts))))
    }
}

fn response<'x, 'c>(head: Head, length: u64, body: Body<'x, 'c>) -> Response<'x, 'c> {
    Response { head, body, framing: Framing::Length(length), ended: Ended::Complete, closes: false }
}
