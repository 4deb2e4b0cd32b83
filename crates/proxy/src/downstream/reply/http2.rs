//! A response over HTTP/2: one stream's head, data and trailers, paced by the windows of stream and connection.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{Response, StatusCode};

use crate::h2::lines;
use crate::timer::{Elapsed, Limit, Timer, WriteError};

/// The way back over one stream.
#[derive(Debug)]
pub struct ToHttp2 {
    respond: SendResponse<Bytes>,
    /// Once the head has gone out.
    stream: Option<SendStream<Bytes>>,
    /// The status of a head that has not gone out yet, and how many bytes of lines it takes.
    pub head: Option<(u16, usize)>,
    /// The trailer section, once the end is reached; empty when there is none.
    pub trailers: Option<Vec<u8>>,
}

impl ToHttp2 {
    /// The way back that `respond` opens.
    pub fn new(respond: SendResponse<Bytes>) -> Self {
        Self { respond, stream: None, head: None, trailers: None }
    }

    /// Sends an interim head.
    pub fn interim(&mut self, status: u16, section: &[u8]) -> Result<(), WriteError> {
        let head = head(status, section)?;
        self.respond.send_informational(head).map_err(|_| WriteError::Failed)
    }

    /// Sends what waits in `out`, a head's lines first if there is one, and the end if it is reached.
    pub async fn flush(&mut self, out: &[u8], timer: &mut Timer, stall: Limit) -> Result<(), WriteError> {
        let ends = self.trailers.is_some();
        let trailers = self.trailers.take().filter(|trailers| !trailers.is_empty());
        let mut data = out;
        if let Some((status, len)) = self.head.take() {
            let (section, rest) = out.split_at(len);
            data = rest;
            let is_all = ends && data.is_empty() && trailers.is_none();
            let sent = self.respond.send_response(head(status, section)?, is_all);
            self.stream = Some(sent.map_err(|_| WriteError::Failed)?);
            if is_all {
                return Ok(());
            }
        }
        if !data.is_empty() || ends && trailers.is_none() {
            self.send(data, ends && trailers.is_none(), timer, stall).await?;
        }
        if let (Some(section), Some(stream)) = (trailers, &mut self.stream) {
            let fields = lines::to_fields(&section).map_err(|_| WriteError::Failed)?;
            stream.send_trailers(fields).map_err(|_| WriteError::Failed)?;
        }
        Ok(())
    }

    /// Sends data as the windows allow; `ends` with the last of it.
    pub async fn send(
        &mut self,
        data: &[u8],
        ends: bool,
        timer: &mut Timer,
        stall: Limit,
    ) -> Result<(), WriteError> {
        let stream = self.stream.as_mut().ok_or(WriteError::Failed)?;
        let mut left = Bytes::copy_from_slice(data);
        loop {
            if !left.is_empty() {
                stream.reserve_capacity(left.len());
                if stream.capacity() == 0 {
                    match timer.within(stall, poll_fn(|cx| poll_room(stream, cx))).await {
                        Ok(room) => room?,
                        Err(Elapsed) => return Err(WriteError::Stalled),
                    }
                }
            }
            let part = left.split_to(stream.capacity().min(left.len()));
            let is_last = left.is_empty();
            stream.send_data(part, ends && is_last).map_err(|_| WriteError::Failed)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Ready when the client has given the stream up.
    pub fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }

    /// Ends the stream so that nobody can take what was sent for all of it.
    pub fn cut(&mut self) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

fn poll_room(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
    loop {
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(0)) => {}
            Some(Ok(_)) => return Poll::Ready(Ok(())),
            Some(Err(_)) | None => return Poll::Ready(Err(WriteError::Failed)),
        }
    }
}

/// A head made of its lines, which we have written ourselves of what was valid.
fn head(status: u16, section: &[u8]) -> Result<Response<()>, WriteError> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::from_u16(status).map_err(|_| WriteError::Failed)?;
    *head.headers_mut() = lines::to_fields(section).map_err(|_| WriteError::Failed)?;
    Ok(head)
}
