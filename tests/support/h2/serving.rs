//! The server's end of a connection, frame by frame.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

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
        Self::greet_with(wire, &[])
    }

    /// The same with these settings.
    pub fn greet_with(wire: &'w mut Wire, values: &[(u16, u32)]) -> Result<Self, Fault> {
        wire.exactly(PREFACE.len())?;
        wire.send([settings(values), settings_ack()].concat());
        Ok(Self { wire })
    }

    /// The next frame of that type.
    pub fn frame(&mut self, wanted: u8) -> Result<Frame, Fault> {
        loop {
            let frame = self.next()?;
            if frame.kind == wanted {
                return Ok(frame);
            }
        }
    }

    /// Takes all frames that come until the client leaves.
    pub fn hold(&mut self) {
        while self.next().is_ok() {}
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

/// A server that serves each connection by `serve`, on a thread of its own.
pub fn serving(serve: impl Fn(&mut Wire) -> Result<(), Fault> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            // How the connection ends is the balancer's affair.
            thread::spawn(move || serve(&mut Wire::new(stream.unwrap())));
        }
    });
    address
}
