//! What a server sends behind the head of its response, on its way to a client; and what the request holds meanwhile.

use std::future::poll_fn;
use std::task::{Context, Poll};

use evenkeel_config::HeaderEdits;
use evenkeel_observe::Ended;

use super::driver::Permit;
use super::target::Target;
use crate::body::{Advance, BodyError};
use crate::http::{trailers, write};
use crate::server::error::ServerError;
use crate::server::exchange::AnswerBody;
use crate::server::upload::Sending;
use crate::worker::buffers::ReadSize;
use crate::worker::pipes::{Lent, Pipes};

/// The field that says how many servers were sent the request.
pub const ATTEMPTS: &str = "x-evenkeel-attempts";

/// The body of a server's response.
#[derive(Debug)]
pub struct ServerBody<'x, 'c> {
    pub(super) target: Target<'x>,
    pub(super) server: usize,
    pub(super) answer: AnswerBody<'x>,
    /// The rest of the request: a server may answer before it has all of it.
    pub(super) sending: Sending<'x, 'c>,
    /// What the request holds of the pool and the server; given back when this is dropped.
    pub(super) _permit: Option<Permit>,
    /// We say ourselves how many servers were asked.
    pub(super) counts_attempts: bool,
}

impl<'x, 'c> ServerBody<'x, 'c> {
    /// The rest of the request, which must be sent while the response is: a client that waits for the end of the one may not begin
    /// with the other.
    pub fn take_sending(&mut self) -> Sending<'x, 'c> {
        std::mem::replace(&mut self.sending, Sending::Done(Ok(())))
    }

    /// Goes to the next piece, if it has been read already.
    ///
    /// # Errors
    /// The body ends here, before its end.
    pub fn advance(&mut self) -> Result<Advance, ServerError> {
        self.answer.body.advance().map_err(ServerError::Body)
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        self.answer.body.piece()
    }

    /// Waits for more to be read, `size` at a time.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn read(&mut self, size: ReadSize) -> Result<(), ServerError> {
        poll_fn(|cx| self.poll_read(cx, size)).await
    }

    /// The same, polled.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, size: ReadSize) -> Poll<Result<(), ServerError>> {
        self.answer.body.read_in(size);
        self.answer.body.poll_read(cx).map_err(ServerError::Body)
    }

    /// True if something has come that was not read yet, as the last poll of the kernel says; never over TLS.
    pub fn is_ready(&self) -> bool {
        self.answer.body.is_ready()
    }

    /// True when all of it was read.
    pub fn is_done(&self) -> bool {
        self.answer.body.is_done()
    }

    /// Bytes of data that are all still to come and may be moved on without our seeing them; 0 if we must.
    pub fn left_unseen(&self) -> u64 {
        self.answer.body.left_unseen()
    }

    /// Waits for more of what is [left unseen](Self::left_unseen), and has the kernel move it into a pipe; `None` if there is no
    /// pipe.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn fill<'p>(&mut self, pipes: &'p Pipes) -> Result<Option<Lent<'p>>, ServerError> {
        self.answer.body.fill(pipes).await.map_err(ServerError::Body)
    }

    /// The trailer section with its empty line, at the end of a body that had one; empty if there is none to pass on.
    ///
    /// # Errors
    /// It is malformed.
    pub fn trailers(&self) -> Result<Vec<u8>, ServerError> {
        let edits = &self.target.route.response_headers;
        let is_ours = |name: &[u8]| is_ours(name, self.counts_attempts, edits);
        trailers::pass(self.answer.body.trailers(), self.target.view.response_heads, is_ours)
            .map_err(|_| ServerError::Malformed("malformed trailers"))
    }

    /// All of it has been sent on, and of the request this much to the server.
    pub fn finish(mut self, sending: &Sending<'_, '_>) {
        let sent_whole = matches!(sending.result(), Some(Ok(())));
        let upstream = self.target.upstream(self.server);
        self.answer.finish(sent_whole, upstream, self.target.worker.clock.now());
    }

    /// It broke off after a part of it had gone to the client. Reports the server; tells how the request ended.
    pub fn broke_off(&self, error: &ServerError) -> Ended {
        self.target.report_failure(self.server, error);
        match error {
            ServerError::Body(BodyError::Deadline) => Ended::RequestTimeout,
            ServerError::Body(BodyError::Timeout) => Ended::BackendTimeout,
            _ => Ended::BackendAborted,
        }
    }
}

/// Another balancer behind us may say how many attempts it has made, where we say it ourselves.
pub fn is_attempts(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(ATTEMPTS.as_bytes())
}

/// True if what a server says under `name` does not go on.
fn is_ours(name: &[u8], counts_attempts: bool, edits: &HeaderEdits) -> bool {
    counts_attempts && is_attempts(name) || write::edited_away(edits, name)
}
