//! A long body that lies in the cache's memory goes out over HTTP/1.1 in clear: all that the kernel takes in one call.

use std::future::poll_fn;
use std::io::IoSlice;
use std::rc::Rc;

use super::{Progress, ResponseWriter, Way};
use crate::cache::body::CachedBody;
use crate::worker::timer::WriteError;

impl ResponseWriter<'_> {
    /// Sends pieces of a body while there are several that follow one another. What is left is sent one by one.
    pub(super) async fn send_kept(&mut self, body: &mut CachedBody) -> Result<(), WriteError> {
        let Way::Http1(io) = &self.way else { return Ok(()) };
        if io.is_secure() || self.chunked || self.to_head {
            return Ok(());
        }
        let io = Rc::clone(io);
        loop {
            let pieces = body.next_pieces();
            if pieces.len() < 2 {
                return Ok(());
            }
            self.on_the_wire = true;
            let all = [&self.out[..]].into_iter().chain(pieces.iter().map(|piece| &piece[..]));
            let mut slices: Vec<IoSlice<'_>> = all.map(IoSlice::new).collect();
            let mut left = &mut slices[..];
            let is_done = io.write_some(&mut left).map_err(|_| WriteError::Failed)?;
            let unsent: usize = left.iter().map(|slice| slice.len()).sum();
            let length: usize = pieces.iter().map(|piece| piece.len()).sum();
            if unsent < length {
                body.skip((length - unsent) as u64);
                self.bytes += (length - unsent) as u64;
                self.worker.buffers.give(std::mem::take(&mut self.out));
            } else {
                self.out.drain(..self.out.len() + length - unsent);
            }
            if !is_done {
                let progress = Progress { worker: self.worker, bytes: self.bytes };
                let room = poll_fn(|cx| io.poll_writable(cx));
                // The cache holds the bytes, whether this client waits or not.
                self.wait.wait(progress, 0, room).await?.map_err(|_| WriteError::Failed)?;
            }
        }
    }
}
