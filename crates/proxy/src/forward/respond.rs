//! A server's answer becomes a response: what of its head goes on, its body, or a tunnel.

use std::time::Duration;

use evenkeel_config::{RequestId, Sticky};
use evenkeel_core::choose::{Chosen, Keys, learn};
use evenkeel_core::plan::Planned;
use evenkeel_core::sticky;
use evenkeel_observe::Ended;

use super::body::{ServerBody, is_attempts};
use super::driver::Admission;
use super::outcome::Asked;
use super::target::Target;
use crate::body::BodyLimits;
use crate::client::writer::{ResponseWriter, ToClient};
use crate::http::field::{Field, Known, list};
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::http::version::Version;
use crate::http::websocket;
use crate::http::write::{self, Nominated};
use crate::request::incoming::{Incoming, Request};
use crate::response::{Body, Head, Response, Tunnel, reason};
use crate::server::error::ServerError;
use crate::server::exchange::RoundTrip;
use crate::stream::Stream;
use crate::worker::timer::WriteError;

/// An answer whose final head is there.
pub struct Answer<'x, 'c> {
    /// The server, and the round trip to it.
    pub asked: Asked<'x, 'c>,
    /// Its head.
    pub head: ResponseHead,
    /// True if the server has been judged by it already.
    pub is_judged: bool,
    /// How long the server took for it, if that says something of the server.
    pub took: Option<Duration>,
}

/// Passes an interim response on.
///
/// # Errors
/// The client is gone.
pub async fn interim(
    trip: &RoundTrip<'_>,
    head: &ResponseHead,
    writer: &mut ResponseWriter<'_>,
) -> Result<(), WriteError> {
    let (buf, fields) = trip.head();
    let nominated = Nominated::of(buf, (fields, head.known));
    let passed = writer.interim(head.status, |out| {
        write::copy_fields(out, buf, head.len, fields, |field| {
            !field.known.is_hop_by_hop() && !nominated.holds(buf, fields, field)
        });
    });
    passed.await
}

/// The response that an answer comes to. The request's permit goes over to it.
///
/// # Errors
/// The answer is none that could be passed on.
pub fn respond<'x, 'c>(
    target: Target<'x>,
    answer: Answer<'x, 'c>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    admission: &mut Admission,
) -> Result<Response<'x, 'c>, ServerError> {
    let (request, status) = (incoming.request, answer.head.status);
    if status == 101 || answer.asked.trip.opens_tunnel(status) {
        return switch(target, answer, request, client.writer, admission);
    }
    if request.takes_for_tunnel(status) {
        return Err(ServerError::Malformed("success where a switch of protocols was asked for"));
    }
    let Answer { asked: Asked { chosen, trip, sending }, head, is_judged, took } = answer;
    let counts_attempts = client.writer.attempts > 0;
    let (buf, fields) = trip.head();
    let copied = copy_head(target, (buf, fields), &head, request, counts_attempts);
    write_affinity(target, chosen, (buf, fields), request, client.writer);
    let limits = BodyLimits {
        stall: target.pool().timeout.response,
        at_most: target.deadline,
        rate_min: 0,
        bytes_max: None,
    };
    let empty = if request.version == Version::Http2 { Framing::Empty } else { Framing::Length(0) };
    let answer = trip.into_body(&head, request.is_head(), empty, limits)?;
    if !is_judged {
        target.judge(chosen.server, status, took, request.started);
    }
    let framing = answer.body.framing();
    let (server, _permit) = (chosen.server, admission.take_permit());
    let body = ServerBody { target, server, answer, sending, _permit, counts_attempts };
    let body = Body::Stream(Stream::Server(Box::new(body)));
    Ok(Response { head: copied, body, framing, ended: Ended::Complete, closes: false })
}

/// What of a final answer's head goes on to the client.
pub fn copy_head(
    target: Target<'_>,
    (buf, fields): (&[u8], &[Field]),
    head: &ResponseHead,
    request: &Request<'_>,
    counts_attempts: bool,
) -> Head {
    let nominated = Nominated::of(buf, (fields, head.known));
    // A length that describes a body which is not sent (RFC 9110, 8.6).
    let keeps_length = head.status == 304 || request.is_head() && !matches!(head.status, 100..=199 | 204);
    let keeps_upgrade = head.status == 426;
    let lines = fields.first().map_or(head.len - 2, |field| field.name.start());
    let mut copied = Head::of_answer(head, buf, lines, target.worker.buffers.medium());
    let keeps_request_id = target.route.request_id == RequestId::Server;
    let (mut has_date, mut has_request_id) = (false, false);
    write::copy_fields(copied.out(), buf, head.len, fields, |field| match field.known {
        Known::Date => {
            has_date = true;
            true
        }
        Known::ContentLength => keeps_length,
        Known::Upgrade => keeps_upgrade,
        Known::XRequestId => {
            has_request_id |= keeps_request_id;
            keeps_request_id
        }
        known if known.is_hop_by_hop() => false,
        _ if nominated.holds(buf, fields, field) => false,
        _ => !(counts_attempts && is_attempts(field.name.of_bytes(buf))),
    });
    (copied.has_date, copied.has_request_id) = (has_date, has_request_id);
    if keeps_upgrade {
        // RFC 9110, 15.5.22 and 7.8.
        copied.field("connection", b"upgrade");
    }
    copied
}

/// Gives the client the cookie of its server, or learns the one that the server gives.
fn write_affinity(
    target: Target<'_>,
    chosen: Chosen,
    (buf, fields): (&[u8], &[Field]),
    request: &Request<'_>,
    writer: &mut ResponseWriter<'_>,
) {
    let pool = target.state();
    match (&target.pool().sticky, &pool.cookie) {
        (Some(Sticky::Cookie { name, ttl }), Some(cookie)) if chosen.issue_cookie => {
            let value = cookie.set_cookie(name, chosen.server, *ttl, request.scheme == "https");
            writer.add_field("set-cookie", value.as_bytes());
        }
        (Some(Sticky::AppCookie(name)), _) => {
            for field in fields.iter().filter(|f| f.known == Known::SetCookie) {
                if let Some(value) = sticky::set_cookie_value(field.value.of_bytes(buf), name) {
                    learn(pool, value, chosen.server);
                }
            }
        }
        _ => {}
    }
}

/// The server agrees to another protocol: the connection is left to the tunnel.
fn switch<'x, 'c>(
    target: Target<'x>,
    answer: Answer<'x, 'c>,
    request: &Request<'_>,
    writer: &mut ResponseWriter<'_>,
    admission: &mut Admission,
) -> Result<Response<'x, 'c>, ServerError> {
    let Answer { asked: Asked { chosen, trip, sending }, head, .. } = answer;
    let Some(protocol) = request.upgrade else {
        return Err(ServerError::Malformed("101 without being asked"));
    };
    if !matches!(sending.result(), Some(Ok(()))) {
        return Err(ServerError::Malformed("101 before the end of the request"));
    }
    let (buf, fields) = trip.head();
    let over_stream = trip.opens_tunnel(head.status);
    let said = fields.iter().find(|f| f.known == Known::Upgrade).map(|f| f.value.of_bytes(buf));
    // Over a stream the one protocol was asked for that comes first.
    let agreed = if over_stream { list(protocol).next() } else { said };
    let was_asked = |agreed: &[u8]| list(protocol).any(|asked| asked.eq_ignore_ascii_case(agreed));
    // Several are layers, of which each must have been offered (RFC 9110, 7.8).
    let agreed = agreed.filter(|agreed| list(agreed).next().is_some() && list(agreed).all(was_asked));
    let Some(agreed) = agreed.map(<[u8]>::to_vec) else {
        return Err(ServerError::Malformed("101 to a protocol that was not asked for"));
    };
    let to_stream = request.version == Version::Http2;
    // On a stream the upgrade is complete with any success, and needs no proof (RFC 8441, 5).
    let status = if to_stream { 200 } else { 101 };
    let words = if over_stream { reason(status).as_bytes() } else { head.reason.of_bytes(buf) };
    let mut copied = Head::new(status, words, target.worker.buffers.medium());
    write::copy_fields(copied.out(), buf, head.len, fields, |field| {
        let is_proof = (to_stream || over_stream)
            && field.name.of_bytes(buf).eq_ignore_ascii_case(b"sec-websocket-accept");
        !(is_proof || field.known == Known::XRequestId || field.known.is_hop_by_hop())
    });
    if let Some(key) = request.header("sec-websocket-key").filter(|_| over_stream && !to_stream) {
        copied.field("sec-websocket-accept", &websocket::accept(key));
    }
    write_affinity(target, chosen, (buf, fields), request, writer);
    let (link, early) = trip.into_tunnel(&head);
    let idle = target.route.timeout.idle;
    let _permit = admission.take_permit();
    let term = target.upstream(chosen.server).watch_term();
    let tunnel = Tunnel { link, early, protocol: agreed, idle, term, _permit };
    let body = Body::Tunnel(Box::new(tunnel));
    Ok(Response { head: copied, body, framing: Framing::Empty, ended: Ended::Tunnel, closes: true })
}
