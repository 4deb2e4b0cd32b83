//! The server's end of a connection, frame by frame.

use super::super::{Fault, Wire};
use super::frames::{Frame, HEADER, PREFACE, settings, settings_ack};

/// A connection that a client has opened.
pub struct Serving<'w> {
    /// What it runs over.
    pub wire: &'w mut Wire,
}

impl<'w> Serving<'w> {
    /// Reads the client's preface, and sends SETTINGS.
    pub fn greet(wire: &'w mut Wire) -> Result<Self, Fault> {
        wire.exactly(PREFACE.len())?;
        wire.send([settings(&[]), settings_ack()].concat());
        Ok(Self { wire })
    }

    /// The next frame.
    pub fn next(&mut self) -> Result<Frame, Fault> {
        let (mut frame, length) = Frame::announced(&self.wire.exactly(HEADER)?);
        frame.payload = self.wire.exactly(length)?;
        Ok(frame)
    }

    /// Writes `bytes`; a client that is gone is noticed by the next read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.send(bytes);
    }
}
