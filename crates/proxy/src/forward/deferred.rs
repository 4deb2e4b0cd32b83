//! A deferred response: an answer that a retry is to make good, kept until another server is reached, because it is
//! passed on if none is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use evenkeel_core::choose::Chosen;

use super::driver::Admission;
use super::outcome::{Asked, Outcome};
use super::respond::{Answer, respond};
use super::target::Target;
use crate::body::BodyLimits;
use crate::client::writer::ToClient;
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::server::error::ServerError;
use crate::server::exchange::RoundTrip;
use crate::server::upload::Sending;

/// Bytes of a body that are read and thrown away so that its connection can be kept.
const DRAIN_MAX: u64 = 16 * 1024;

/// An answer of which only the head was read.
#[derive(Debug)]
pub struct Deferred<'x> {
    /// Whose it is.
    pub chosen: Chosen,
    /// The round trip, over which the rest will come.
    pub trip: Box<RoundTrip<'x>>,
    /// Its head.
    pub head: ResponseHead,
}

impl<'x> Deferred<'x> {
    /// Passes it on to the client after all.
    ///
    /// # Errors
    /// It is none that could be passed on.
    pub fn pass_on<'c>(
        self,
        target: Target<'x>,
        incoming: Incoming<'x, 'c>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
        admission: &mut Admission,
    ) -> Result<Outcome<'x, 'c>, ServerError> {
        let Self { chosen, trip, head } = self;
        log.server = Some(chosen.server);
        let asked = Asked { chosen, trip, sending: Sending::Done(Ok(())) };
        let answer = Answer { asked, head, is_judged: true, took: log.first_byte() };
        respond(target, answer, incoming, client, admission).map(Outcome::Response)
    }

    /// Throws it away. Its connection is kept if the rest of it is small and has come already; a stream of HTTP/2 is
    /// reset.
    pub async fn discard(self, target: Target<'_>, request: &Request<'_>) {
        let Self { chosen, trip, head } = self;
        let stall = target.pool().timeout.response;
        let limits = BodyLimits { stall, at_most: None, rate_min: 0, bytes_max: Some(DRAIN_MAX) };
        let Ok(mut answer) = trip.into_body(&head, request.is_head(), Framing::Empty, limits) else { return };
        if answer.body.framing() != Framing::UntilClose && at_once(answer.read_away()).await == Some(true) {
            answer.finish(true, target.upstream(chosen.server), target.worker.clock.now());
        }
    }
}

/// What `work` comes to without waiting for anything; `None` if it would have to.
async fn at_once<F: Future>(work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
