//! The body of a server's response goes out over HTTP/1.1 in clear: the kernel moves its bytes from one socket to the other
//! (splice(2)), without a copy.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use evenkeel_net::Io;

use super::send::Broken;
use super::{Progress, ResponseWriter, Way};
use crate::forward::body::ServerBody;
use crate::stream::StreamError;
use crate::worker::buffers::{LARGE, ReadSize};
use crate::worker::pipes::Lent;
use crate::worker::timer::WriteError;

impl ResponseWriter<'_> {
    /// True if what is left of a body is best moved by the kernel: no less than would be read at a time, between connections in
    /// clear, and while clients take what waits for them.
    pub(super) fn splices(&self, body: &ServerBody<'_, '_>) -> bool {
        let Way::Http1(io) = &self.way else { return false };
        body.left_unseen() >= LARGE as u64 && io.splices() && self.read_size() == ReadSize::Large
    }

    /// Moves what is left of a body, for as long as there is a pipe. What is left of it then must be read and written.
    pub(super) async fn splice(&mut self, body: &mut ServerBody<'_, '_>) -> Result<(), Broken> {
        let Way::Http1(io) = &self.way else { return Ok(()) };
        let io = Rc::clone(io);
        // What is there goes out before we wait for more.
        self.flush().await?;
        while body.left_unseen() > 0 {
            let pipes = &self.worker.pipes;
            let filled = self.unless_gone(body.fill(pipes)).await?;
            match filled.map_err(|error| Broken::Source(StreamError::Server(error)))? {
                Some(mut lent) => self.drain(&io, &mut lent).await?,
                None => break,
            }
        }
        Ok(())
    }

    /// Sends all that is in a pipe.
    async fn drain(&mut self, io: &Io, lent: &mut Lent<'_>) -> Result<(), WriteError> {
        while lent.held() > 0 {
            match lent.drain(io) {
                Ok(0) => return Err(WriteError::Failed),
                Ok(moved) => {
                    self.on_the_wire = true;
                    self.bytes += moved as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = lent.held();
                    let progress = Progress { worker: self.worker, bytes: self.bytes + left as u64 };
                    let room = poll_fn(|cx| io.poll_writable(cx));
                    self.wait.wait(progress, left, room).await?.map_err(|_| WriteError::Failed)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(WriteError::Failed),
            }
        }
        Ok(())
    }
}
