//! A response over HTTP/2: one stream's head, data and trailers, paced by the windows of stream and connection.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{Response, StatusCode};

use super::wait::{ClientWait, Progress};
use crate::body::send::{poll_room, try_send};
use crate::http::lines;
use crate::worker::timer::WriteError;
use crate::worker::unsent::Unsent;

/// The way back over one stream.
#[derive(Debug)]
pub struct ToHttp2 {
    respond: SendResponse<Bytes>,
    /// What waits in all streams of the connection.
    pub unsent: Rc<Unsent>,
    /// Once the head has gone out.
    stream: Option<SendStream<Bytes>>,
    /// The status of a head that has not gone out yet, and how many bytes of lines it takes.
    pub head: Option<(u16, usize)>,
    /// The trailer section, once the end is reached; empty when there is none.
    pub trailers: Option<Vec<u8>>,
}

impl ToHttp2 {
    /// The way back that `respond` opens, over a connection in which `unsent` waits.
    pub fn new(respond: SendResponse<Bytes>, unsent: Rc<Unsent>) -> Self {
        Self { respond, unsent, stream: None, head: None, trailers: None }
    }

    /// Sends an interim head.
    pub fn interim(&mut self, status: u16, section: &[u8]) -> Result<(), WriteError> {
        let head = head(status, section)?;
        self.respond.send_informational(head).map_err(|_| WriteError::Failed)
    }

    /// Sends what waits in `out`, a head's lines first if there is one, and the end if it is reached. Gives the buffer back
    /// when its data has to wait.
    pub async fn flush(
        &mut self,
        out: &mut Vec<u8>,
        wait: &mut ClientWait,
        progress: Progress<'_>,
    ) -> Result<(), WriteError> {
        let ends = self.trailers.is_some();
        let trailers = self.trailers.take().filter(|trailers| !trailers.is_empty());
        let mut data = &out[..];
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
        let ends = ends && trailers.is_none();
        if !data.is_empty() || ends {
            let stream = self.stream.as_mut().ok_or(WriteError::Failed)?;
            if !try_send(stream, &mut data, ends)? {
                let left = data.to_vec();
                progress.worker.buffers.give(std::mem::take(out));
                self.send(&left, ends, wait, progress).await?;
            }
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
        wait: &mut ClientWait,
        progress: Progress<'_>,
    ) -> Result<(), WriteError> {
        let stream = self.stream.as_mut().ok_or(WriteError::Failed)?;
        let mut left = data;
        while !try_send(stream, &mut left, ends)? {
            let _held = self.unsent.hold(left.len());
            let room = poll_fn(|cx| poll_room(stream, cx));
            // In a box, because most windows are open.
            Box::pin(wait.wait(progress, left.len(), room)).await??;
        }
        Ok(())
    }

    /// Ready when the client has given the stream up.
    pub fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }

    /// Ends the stream before its end.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
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
