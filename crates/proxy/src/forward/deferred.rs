//! An answer that a retry is to make good: kept until another server is reached, for it is passed on if none is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use evenkeel_core::choose::Chosen;

use crate::body::{Advance, Body, BodyLimits, FromHttp1, Source};
use crate::forward::converse::{Conversation, conclude};
use crate::forward::relay::{self, Answer, Held};
use crate::forward::{Destination, Ending, Failed};
use crate::http::framing::{Framing, of_response};
use crate::http::head::ResponseHead;
use crate::request::exchange::{Exchange, Request};
use crate::request::log::Trail;
use crate::server::Link;
use crate::worker::Worker;

/// Bytes of a body that are read and thrown away so that its connection can be kept.
const DRAIN_MAX: u64 = 16 * 1024;

/// An answer of which only the head was read.
#[derive(Debug)]
pub struct Parked {
    /// Whose it is.
    pub chosen: Chosen,
    /// The connection that the rest will come over.
    pub link: Link,
    /// What has come.
    pub held: Held,
    /// Its head.
    pub head: ResponseHead,
}

impl Parked {
    /// Passes it on to the client after all.
    ///
    /// # Errors
    /// Its body is none that could be passed on; nothing has gone to the client.
    pub async fn pass_on(
        self,
        worker: &Worker,
        to: &Destination<'_>,
        exchange: &mut Exchange<'_>,
        trail: &mut Trail,
    ) -> Result<Ending, Failed> {
        let Self { chosen, link, held, head } = self;
        trail.server = Some(chosen.server);
        let conversation = {
            let answer = Answer::resume(worker, to, chosen, &link, held);
            let Exchange { request, reply, .. } = exchange;
            let outcome = relay::relay(worker, &answer, head, request, reply, trail.first_byte()).await;
            Conversation::of_relayed(outcome, &answer)
        };
        conclude(worker, to, chosen, link, conversation, exchange, trail).await
    }

    /// Throws it away. Its connection is kept if the rest of it is small and has come already.
    pub async fn discard(self, worker: &Worker, to: &Destination<'_>, request: &Request<'_>) {
        let Self { chosen, link, held, head } = self;
        // A stream of HTTP/2 is reset, and its connection stays.
        let Link::Http1(connection) = link else { return };
        let Held { buf, fields, .. } = &held;
        let framing = of_response(buf, fields, head.version, head.status, request.is_head());
        let is_over = match framing {
            Ok(framing) if framing != Framing::UntilClose && relay::keeps_alive(buf, fields, &head) => {
                let early = &buf[head.len..];
                let source =
                    FromHttp1::new(&connection.io, &worker.buffers, framing, early, to.view.heads.bytes);
                let stall = to.pool().timeout.response;
                let limits = BodyLimits { stall, at_most: None, rate_min: 0, bytes_max: Some(DRAIN_MAX) };
                let mut body = Body::new(Source::Http1(source), framing, worker.clock, limits);
                at_once(drain(&mut body)).await == Some(true)
                    && body.surplus().iter().all(|bytes| bytes.is_empty())
            }
            _ => false,
        };
        if is_over {
            to.upstream(chosen.server).keep(connection, worker.clock.now());
        }
        worker.buffers.give(held.buf);
        worker.buffers.give_fields(held.fields);
    }
}

/// True if the body was read to its end.
async fn drain(body: &mut Body<'_>) -> bool {
    loop {
        match body.advance() {
            Ok(Advance::Piece) => {}
            Ok(Advance::End) => return true,
            Ok(Advance::MustRead) if body.read().await.is_ok() => {}
            Ok(Advance::MustRead) | Err(_) => return false,
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
