//! A connection to a database, over which answers are read within a limit.

use std::io::{self, IoSlice};
use std::sync::Arc;

use evenkeel_net::{Dial, Io};
use evenkeel_tls::ClientTls;
use evenkeel_types::Address;

use crate::failure::Failure;

/// Bytes of one answer at most; what is asked for takes some hundreds.
pub const ANSWER_MAX: usize = 64 * 1024;

/// What is read at once.
const READ: usize = 4 * 1024;

/// A database server, and how it is spoken with.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// Where it is.
    pub address: &'a Address,
    /// `None` is in clear.
    pub tls: Option<&'a ClientTls>,
    /// What the check signs in with.
    pub password: Option<&'a [u8]>,
    /// How it is connected to.
    pub dial: &'a Dial,
    /// The PROXY header that each connection begins with; empty if it wants none.
    pub header: &'a [u8],
}

impl Server<'_> {
    /// Opens a connection.
    pub async fn connect(&self) -> io::Result<Link> {
        let io = self.dial.connect_from_reserve(self.address).await?;
        io.write_all(&mut [IoSlice::new(self.header)]).await?;
        Ok(Link { io, buf: Vec::new() })
    }
}

/// A connection to a database, and what has come over it and is not read yet.
#[derive(Debug)]
pub struct Link {
    pub io: Io,
    pub buf: Vec<u8>,
}

impl Link {
    /// Begins TLS, with the protocol that ALPN is to name, if any.
    pub async fn secure(&mut self, tls: &ClientTls, server: &Address, alpn: &[&[u8]]) -> Result<(), Failure> {
        let name = tls.server_name(server).map_err(|error| Failure::refused(error.to_string()))?;
        let mut config = (*tls.config()).clone();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let shaken = self.io.connect_tls(Arc::new(config), name).await;
        shaken.map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Failure::refused(format!("TLS: {error}")),
            _ => error.into(),
        })
    }

    /// Sends a question.
    pub async fn send(&self, question: &[u8]) -> Result<(), Failure> {
        Ok(self.io.write_all(&mut [IoSlice::new(question)]).await?)
    }

    /// Reads on.
    pub async fn read_more(&mut self) -> Result<(), Failure> {
        if self.buf.len() >= ANSWER_MAX {
            return Err(Failure::malformed());
        }
        self.buf.reserve(READ);
        match self.io.read(&mut self.buf).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}
