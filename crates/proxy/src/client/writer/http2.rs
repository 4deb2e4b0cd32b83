//! A response over HTTP/2: one stream's head, data and trailers, paced by the windows of stream and connection.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use evenkeel_http2::Code;

use super::wait::{ClientWait, Progress};
use crate::http2::Exchange;
use crate::worker::buffers::ReadSize;
use crate::worker::timer::WriteError;

/// The way back over one stream.
#[derive(Debug)]
pub struct ToHttp2 {
    exchange: Rc<Exchange>,
    /// The status of a head that has not gone out yet, and how many bytes of lines it takes.
    pub head: Option<(u16, usize)>,
    /// The trailer section, once the end is reached; empty when there is none.
    pub trailers: Option<Vec<u8>>,
}

impl ToHttp2 {
    /// The way back over a stream.
    pub fn new(exchange: Rc<Exchange>) -> Self {
        Self { exchange, head: None, trailers: None }
    }

    /// Sends an interim head.
    pub fn interim(&mut self, status: u16, section: &[u8]) -> Result<(), WriteError> {
        self.exchange.interim(status, section).map_err(|_| WriteError::Failed)
    }

    /// How much of a response is to be read at a time, by what all streams keep waiting.
    pub fn read_size(&self) -> ReadSize {
        self.exchange.session.unsent.read_size()
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
            self.exchange.respond(status, section, is_all).map_err(|_| WriteError::Failed)?;
            if is_all {
                return Ok(());
            }
        }
        let ends = ends && trailers.is_none();
        if !data.is_empty() || ends {
            let sent = self.exchange.send(data, ends).map_err(|_| WriteError::Failed)?;
            if sent < data.len() {
                let left = data[sent..].to_vec();
                progress.worker.buffers.give(std::mem::take(out));
                self.send(&left, ends, wait, progress).await?;
            }
        }
        if let Some(section) = trailers {
            self.exchange.send_trailers(&section).map_err(|_| WriteError::Failed)?;
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
        let mut left = &data[self.exchange.send(data, ends).map_err(|_| WriteError::Failed)?..];
        while !left.is_empty() {
            let _held = self.exchange.session.unsent.hold(left.len());
            let exchange = &self.exchange;
            // The connection's task polls it when it is its turn.
            let room = poll_fn(|cx| match exchange.send(left, ends) {
                Ok(0) => exchange.poll_failed(cx).map(|()| Err(WriteError::Failed)),
                Ok(sent) => Poll::Ready(Ok(sent)),
                Err(_) => Poll::Ready(Err(WriteError::Failed)),
            });
            // In a box, because most windows are open.
            let sent = Box::pin(wait.wait(progress, left.len(), room)).await??;
            left = &left[sent..];
        }
        Ok(())
    }

    /// Waits until the client takes more.
    pub async fn room(&mut self, wait: &mut ClientWait, progress: Progress<'_>) -> Result<(), WriteError> {
        let exchange = &self.exchange;
        // The connection's task polls it when it is its turn.
        let room = poll_fn(|cx| match exchange.may_send() {
            Ok(0) => exchange.poll_failed(cx).map(|()| Err(WriteError::Failed)),
            Ok(_) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(WriteError::Failed)),
        });
        wait.wait(progress, 0, room).await?
    }

    /// Its stream.
    pub fn exchange(&self) -> &Rc<Exchange> {
        &self.exchange
    }

    /// Ready when the client has given the stream up.
    pub fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.exchange.poll_failed(cx)
    }

    /// Ends the stream before its end.
    pub fn reset(&mut self, code: Code) {
        self.exchange.reset(code);
    }
}
