//! A long body that lies in the cache's memory goes out over HTTP/1.1 in clear: from a file in memory without a copy, or all that
//! the kernel takes in one call.

use std::future::poll_fn;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::rc::Rc;

use evenkeel_net::Io;

use super::send::Broken;
use super::{Progress, ResponseWriter, Way};
use crate::cache::body::CachedBody;
use crate::worker::timer::WriteError;

/// For fewer bytes, a call of its own costs more than the copy.
const FILE_PART_MIN: u64 = 32 << 10;

impl ResponseWriter<'_> {
    /// Sends stretches of a body as far as they lie in a file in memory, or in several pieces. What is left is sent piece by
    /// piece.
    pub(super) async fn send_kept(&mut self, body: &mut CachedBody) -> Result<(), Broken> {
        let Way::Http1(io) = &self.way else { return Ok(()) };
        if io.is_secure() || self.chunked || self.to_head {
            return Ok(());
        }
        let io = Rc::clone(io);
        if let Some((file, part)) = body.next_of_file()
            && part.end.saturating_sub(part.start) >= FILE_PART_MIN
        {
            self.flush_with_more(&io).await?;
            let mut at = part.start;
            let moved = self.move_file(&io, file.as_fd(), &mut at, part.end).await;
            body.skip(at - part.start);
            moved?;
        }
        Ok(self.send_pieces(&io, body).await?)
    }

    async fn send_pieces(&mut self, io: &Io, body: &mut CachedBody) -> Result<(), WriteError> {
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
