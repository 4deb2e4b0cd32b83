//! A file goes out over HTTP/1.1 in clear: the kernel moves its bytes from its memory to the socket, without a copy.

use std::future::poll_fn;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use evenkeel_net::Io;
use rustix::io::Errno;

use super::send::Broken;
use super::{Progress, ResponseWriter, Way};
use crate::files::body::{FileBody, FileError, Part};
use crate::stream::StreamError;
use crate::worker::timer::WriteError;

/// What came of giving the kernel a stretch of a file.
pub(super) enum Moved {
    /// The socket has all of it.
    All,
    /// This kind of file has to be read and written.
    Unsupported,
}

impl ResponseWriter<'_> {
    /// Sends the parts of a body, if the connection is one to which the kernel can send files. What is left of the body must be
    /// read and written.
    pub(super) async fn send_file(&mut self, body: &mut FileBody) -> Result<(), Broken> {
        let Way::Http1(io) = &self.way else { return Ok(()) };
        if io.is_secure() {
            return Ok(());
        }
        let io = Rc::clone(io);
        while let Some(part) = body.part() {
            if let Part::Bytes(_) = part {
                body.advance().map_err(of_file)?;
                self.data(body.piece()).await?;
                continue;
            }
            let mut ready = body.ready();
            if ready == 0 {
                // What is there goes out before we wait for the disk.
                self.flush().await?;
                ready = self.unless_gone(body.load()).await?.map_err(of_file)?;
            }
            self.flush_with_more(&io).await?;
            let Some(Part::File(from, _)) = body.part() else { break };
            let (begin, mut at) = (*from, *from);
            let moved = self.move_file(&io, body.file(), &mut at, begin + ready).await;
            body.sent(at - begin);
            if let Moved::Unsupported = moved? {
                return Ok(());
            }
            body.pause().await;
        }
        Ok(())
    }

    /// Gives the kernel the bytes of a file from `at` to `end`, as it takes them. `at` goes along.
    pub(super) async fn move_file(
        &mut self,
        io: &Io,
        file: BorrowedFd<'_>,
        at: &mut u64,
        end: u64,
    ) -> Result<Moved, Broken> {
        while *at < end {
            match io.try_send_file(file, at, usize::try_from(end - *at).unwrap_or(usize::MAX)) {
                Ok(0) => return Err(of_file(FileError::Shrunk)),
                Ok(moved) => {
                    self.on_the_wire = true;
                    self.bytes += moved as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let progress = Progress { worker: self.worker, bytes: self.bytes };
                    let room = poll_fn(|cx| io.poll_writable(cx));
                    // None of it is held in memory for this client.
                    self.wait.wait(progress, 0, room).await?.map_err(|_| WriteError::Failed)?;
                }
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(Moved::Unsupported),
                    Some(Errno::IO | Errno::STALE) => return Err(of_file(FileError::Io(error))),
                    _ => return Err(WriteError::Failed.into()),
                },
            }
        }
        Ok(Moved::All)
    }

    /// Sends whatever waits, in one packet with what follows at once.
    pub(super) async fn flush_with_more(&mut self, io: &Io) -> Result<(), WriteError> {
        if self.out.is_empty() {
            return Ok(());
        }
        match io.try_write_more(&self.out) {
            Ok(written) => {
                self.on_the_wire = true;
                self.out.drain(..written);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(WriteError::Failed),
        }
        if self.out.is_empty() {
            self.worker.buffers.give(std::mem::take(&mut self.out));
            return Ok(());
        }
        self.flush().await
    }
}

fn of_file(error: FileError) -> Broken {
    Broken::Source(StreamError::File(error))
}
