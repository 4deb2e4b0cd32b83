//! The second step: a server's answer, which has come, becomes the client's response.

use std::io;

use evenkeel_core::admission::{self, AfterHead};

use super::{Flight, Start};
use crate::filter::fields;
use crate::forward::respond::copy_head;
use crate::forward::target::Target;
use crate::http::chunks::data_as_written;
use crate::http::field::Field;
use crate::http::framing::{self, Framing};
use crate::http::head::{ResponseHead, parse_response};
use crate::http::version::Version;
use crate::request::incoming::Request;
use crate::request::log::RequestLog;
use crate::response::WholeResponse;
use crate::server::error::ServerError;
use crate::server::exchange::keeps_alive;

impl<'x> Flight<'x> {
    /// The response to `request`, made of what has been `read` into `buf`.
    ///
    /// # Errors
    /// It takes more than a plain exchange does: the general path takes the request up there.
    pub fn answer(
        self: Box<Self>,
        request: &Request<'_>,
        (buf, read): (Vec<u8>, io::Result<usize>),
        log: &mut RequestLog,
    ) -> Result<WholeResponse, Start<'x>> {
        match read {
            Ok(1..) => {}
            Ok(0) => return Err(self.goes_on((buf, Some(ServerError::Closed)))),
            Err(error) => return Err(self.goes_on((buf, Some(ServerError::Reset(error))))),
        }
        let buffers = &self.target.worker.buffers;
        let mut fields = buffers.fields();
        let answered = match read_whole(self.target, request, &buf, &mut fields) {
            Some(whole) => Ok(self.pass_on(request, (buf, &fields), &whole, log)),
            None => Err(self.goes_on((buf, None))),
        };
        buffers.give_fields(fields);
        answered
    }

    /// Judges the server by its answer, and makes the response of that.
    fn pass_on(
        mut self: Box<Self>,
        request: &Request<'_>,
        (buf, fields): (Vec<u8>, &[Field]),
        &WholeAnswer { ref head, framing, bytes }: &WholeAnswer,
        log: &mut RequestLog,
    ) -> WholeResponse {
        let Self { target, leg, sent, uploaded, bytes_in, .. } = *self;
        let (worker, server, status) = (target.worker, self.chosen.server, head.status);
        let now = worker.clock.now();
        log.sends(sent);
        log.uploaded(uploaded);
        log.answer_came(now);
        let took = log.first_byte();
        target.answered(request, server, (status, took));
        let answer = admission::Answer::whole(status, uploaded.unwrap_or(sent), now);
        let after = self.admission.handle_head(leg, &answer, &target.terms(request, false));
        debug_assert_eq!(after, AfterHead::PassOn, "a status that the route retries is not plain");
        target.judge(server, status, took, request.started);
        let permit = self.admission.take_permit();
        target.upstream(server).keep(self.connection, now);
        let mut passed = copy_head(target, (&buf, fields), head, request, false);
        fields::finish_head(&mut passed, worker, request, &target.route.response_headers, request.started);
        log.keep_fields(target.view, |name| passed.value(name));
        passed.out().extend_from_slice(&self.lines);
        worker.buffers.give(self.lines);
        WholeResponse { head: passed, framing, answer: buf, body: head.len, bytes, bytes_in, permit }
    }
}

/// An answer that has come whole.
struct WholeAnswer {
    head: ResponseHead,
    /// How its body is delimited.
    framing: Framing,
    /// Bytes of data in it.
    bytes: u64,
}

/// Reads an answer that is plain and has come whole.
fn read_whole(
    target: Target<'_>,
    request: &Request<'_>,
    buf: &[u8],
    fields: &mut Vec<Field>,
) -> Option<WholeAnswer> {
    let head = parse_response(buf, target.view.response_heads, fields).ok()??;
    let is_final = head.status >= 200 && !target.route.retry.on.holds_status(head.status);
    if !is_final || !keeps_alive(buf, fields, &head) {
        return None;
    }
    let framing =
        framing::of_response(buf, (fields, head.known), head.version, head.status, request.is_head()).ok()?;
    let body = &buf[head.len..];
    let is_whole = |length: u64| (body.len() as u64 == length).then_some(length);
    let bytes = match framing {
        Framing::Empty => is_whole(0),
        Framing::Length(length) => is_whole(length),
        Framing::Chunked if request.version != Version::Http10 => data_as_written(body),
        Framing::Chunked | Framing::UntilClose => None,
    };
    Some(WholeAnswer { head, framing, bytes: bytes? })
}
