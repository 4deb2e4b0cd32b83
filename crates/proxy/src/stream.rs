//! The body of a response that is sent piece by piece, wherever the pieces come from.

use std::fmt;

use evenkeel_observe::Ended;

use crate::body::Advance;
use crate::cache::body::{BrokeOff, CachedBody};
use crate::files::body::{FileBody, FileError};
use crate::filter::compress::body::Compressed;
use crate::filter::compress::encoder::EncoderFailed;
use crate::forward::body::ServerBody;
use crate::server::error::ServerError;
use crate::server::upload::Sending;
use crate::worker::buffers::ReadSize;

/// A body that is sent piece by piece. Each kind in a box of its own: all are large, and are moved from hand to hand.
#[derive(Debug)]
pub enum Stream<'x, 'c> {
    /// What a server sends.
    Server(Box<ServerBody<'x, 'c>>),
    /// What the cache has, or is being fetched for it.
    Cached(Box<CachedBody>),
    /// Another one, compressed on its way.
    Compressed(Box<Compressed<'x, 'c>>),
    /// A file.
    File(Box<FileBody>),
}

/// Why a body ends before its end.
#[derive(Debug)]
pub enum StreamError {
    /// The server failed.
    Server(ServerError),
    /// The fetch that it came from broke off.
    Fetch,
    /// Compressing it failed.
    Encoder(EncoderFailed),
    /// The file failed.
    File(FileError),
}

impl<'x, 'c> Stream<'x, 'c> {
    /// The rest of the request, which must be sent while the response is: a client that waits for the end of the one may not begin
    /// with the other.
    pub fn take_sending(&mut self) -> Sending<'x, 'c> {
        match self {
            Self::Server(body) => body.take_sending(),
            Self::Cached(_) => Sending::Done(Ok(())),
            Self::Compressed(body) => body.take_sending(),
            Self::File(_) => Sending::Done(Ok(())),
        }
    }

    /// Sets how much of a file is read at a time, by what `size` tells. Others learn it when they are read.
    pub fn read_in(&mut self, size: impl FnOnce() -> ReadSize) {
        if let Self::File(body) = self {
            body.read_in(size());
        }
    }

    /// Goes to the next piece, if it can be had at once.
    ///
    /// # Errors
    /// The body ends here, before its end.
    pub fn advance(&mut self) -> Result<Advance, StreamError> {
        match self {
            Self::Server(body) => body.advance().map_err(StreamError::Server),
            Self::Cached(body) => body.advance().map_err(|BrokeOff| StreamError::Fetch),
            Self::Compressed(body) => body.advance(),
            Self::File(body) => body.advance().map_err(StreamError::File),
        }
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        match self {
            Self::Server(body) => body.piece(),
            Self::Cached(body) => body.piece(),
            Self::Compressed(body) => body.piece(),
            Self::File(body) => body.piece(),
        }
    }

    /// Waits for more to be read, `size` at a time.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn read(&mut self, size: ReadSize) -> Result<(), StreamError> {
        match self {
            Self::Server(body) => body.read(size).await.map_err(StreamError::Server),
            Self::Cached(body) => {
                body.read().await;
                Ok(())
            }
            Self::Compressed(body) => body.read(size).await,
            Self::File(body) => body.read(size).await.map_err(StreamError::File),
        }
    }

    /// The trailer section with its empty line, at the end of a body that had one; empty if there is none to pass on.
    ///
    /// # Errors
    /// It is malformed.
    pub fn trailers(&self) -> Result<Vec<u8>, StreamError> {
        match self {
            Self::Server(body) => body.trailers().map_err(StreamError::Server),
            Self::Cached(body) => Ok(body.trailers().to_vec()),
            Self::Compressed(body) => body.trailers(),
            Self::File(_) => Ok(Vec::new()),
        }
    }

    /// All of it has been sent on, and of the request this much to the server.
    pub fn finish(self, sending: &Sending<'_, '_>) {
        match self {
            Self::Server(body) => body.finish(sending),
            Self::Cached(_) => {}
            Self::Compressed(body) => body.finish(sending),
            Self::File(_) => {}
        }
    }

    /// It broke off after a part of it had gone to the client. Tells how the request ended.
    pub fn broke_off(&self, error: &StreamError) -> Ended {
        match (self, error) {
            (Self::Server(body), StreamError::Server(error)) => body.broke_off(error),
            (Self::Compressed(body), error) => body.broke_off(error),
            // The fault is ours; the log says so.
            (_, StreamError::Encoder(_)) => Ended::Refused,
            (Self::File(_), _) | (_, StreamError::File(_)) => Ended::FileAborted,
            _ => Ended::BackendAborted,
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::Fetch => f.write_str("the response that was being fetched for the cache broke off"),
            Self::Encoder(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}
