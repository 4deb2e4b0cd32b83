//! The request on its way to a server: what is left of it behind its head, as it comes in.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_net::Io;
use h2::SendStream;

use crate::body::send::send as send_data;
use crate::body::{Advance, Body, BodyError};
use crate::forward::Destination;
use crate::http::chunks::Malformed;
use crate::http::framing::Framing;
use crate::http::lines;
use crate::http::{trailers, write};
use crate::server::h1::Ours;
use crate::worker::Worker;
use crate::worker::timer::{Limit, Timer};

/// By whose doing a request could not be sent.
pub enum UploadError {
    /// The client did not send its body.
    Client(BodyError),
    /// The server did not take it. It may have answered all the same.
    Server,
}

/// The request on its way to the server, beside which the answer is waited for.
pub struct Upload<W> {
    /// `None` if it has been sent already.
    pub work: Option<Pin<Box<W>>>,
    /// It is a head and nothing else.
    pub is_short: bool,
    /// How it ended; `None` while it goes on.
    pub result: Option<Result<(), UploadError>>,
}

impl Upload<std::future::Ready<Result<(), UploadError>>> {
    /// Of a request that was nothing but its head.
    pub fn done() -> Self {
        Self { work: None, is_short: true, result: Some(Ok(())) }
    }
}

impl<W: Future<Output = Result<(), UploadError>>> Upload<W> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.result.is_none()
            && let Some(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(cx)
        {
            self.result = Some(result);
        }
        if self.result.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Goes on until the upload has ended, `None`, or `other` is ready before that.
    pub async fn beside<F: Future>(&mut self, mut other: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            if self.poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            other.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Goes on until `other` is ready.
    pub async fn until<F: Future>(&mut self, mut other: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            let _ = self.poll(cx);
            other.as_mut().poll(cx)
        })
        .await
    }
}

/// Where a request goes.
pub enum Out<'o> {
    /// Behind this head, over a connection of its own.
    Http1(&'o Io, Vec<u8>),
    /// Over a stream that its head has opened.
    Http2(SendStream<Bytes>),
}

/// Sends what is left of the request: the body as it comes in.
pub async fn upload(
    worker: &Worker,
    to: &Destination<'_>,
    out: Out<'_>,
    stall: Limit,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    let mut timer = Timer::new(worker.clock);
    match out {
        Out::Http1(io, head) => upload_http1(worker, to, io, head, &mut timer, stall, body).await,
        Out::Http2(stream) => upload_http2(to, stream, &mut timer, stall, body).await,
    }
}

async fn upload_http1(
    worker: &Worker,
    to: &Destination<'_>,
    io: &Io,
    head: Vec<u8>,
    timer: &mut Timer,
    stall: Limit,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    let chunked = body.framing() == Framing::Chunked;
    // What came along with the head goes out along with the head.
    let mut waiting = head;
    loop {
        match body.advance().map_err(UploadError::Client)? {
            Advance::Piece => {}
            Advance::End => break,
            Advance::MustRead => {
                if !waiting.is_empty() {
                    send(timer, stall, io, &mut [IoSlice::new(&waiting)]).await?;
                    waiting.clear();
                }
                body.read().await.map_err(UploadError::Client)?;
                continue;
            }
        }
        let piece = body.piece();
        let mut line = [0; 18];
        let (before, after): (&[u8], &[u8]) =
            if chunked { (write::chunk_size(piece.len(), &mut line), b"\r\n") } else { (b"", b"") };
        let mut slices = [&waiting[..], before, piece, after].map(IoSlice::new);
        send(timer, stall, io, &mut slices).await?;
        waiting.clear();
    }
    if chunked {
        let trailers = trailers_of(to, body)?;
        waiting.extend_from_slice(b"0\r\n");
        waiting.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { &trailers });
    }
    if !waiting.is_empty() {
        send(timer, stall, io, &mut [IoSlice::new(&waiting)]).await?;
    }
    worker.buffers.give(waiting);
    Ok(())
}

async fn upload_http2(
    to: &Destination<'_>,
    mut stream: SendStream<Bytes>,
    timer: &mut Timer,
    stall: Limit,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    loop {
        match body.advance().map_err(UploadError::Client)? {
            Advance::Piece => {
                let sent = send_data(&mut stream, body.piece(), false, timer, stall).await;
                sent.map_err(|_| UploadError::Server)?;
            }
            Advance::End => break,
            Advance::MustRead => body.read().await.map_err(UploadError::Client)?,
        }
    }
    let trailers = trailers_of(to, body)?;
    if trailers.is_empty() {
        return stream.send_data(Bytes::new(), true).map_err(|_| UploadError::Server);
    }
    let fields = lines::to_fields(&trailers).map_err(|_| UploadError::Server)?;
    stream.send_trailers(fields).map_err(|_| UploadError::Server)
}

fn trailers_of(to: &Destination<'_>, body: &Body<'_>) -> Result<Vec<u8>, UploadError> {
    let route = to.route.1;
    let ours = Ours {
        reserved: &to.view.reserved,
        told: route.deadline_header.as_ref().map(|header| header.name()),
        edits: &route.request_headers,
    };
    let malformed = |_| UploadError::Client(BodyError::Malformed(Malformed("malformed trailers")));
    trailers::pass(body.trailers(), to.view.heads, |name| ours.holds(name)).map_err(malformed)
}

/// Sends bytes as they are.
pub async fn send(
    timer: &mut Timer,
    stall: Limit,
    io: &Io,
    slices: &mut [IoSlice<'_>],
) -> Result<(), UploadError> {
    timer.write_all(stall, io, slices).await.map_err(|_| UploadError::Server)
}
