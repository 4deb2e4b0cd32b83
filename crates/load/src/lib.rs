//! HTTP/1.1 as our own load clients and sample servers speak it: one message at a time on a connection that stays open.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of a head; a longer one is an error.
const HEAD_MAX: usize = 16 * 1024;
/// Bytes read at a time.
const PIECE: usize = 16 * 1024;

/// One end of a connection.
pub struct Wire {
    /// The socket.
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a head says that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// How long the body is.
    pub framing: Framing,
    /// The connection ends behind this message.
    pub closes: bool,
    /// Another protocol is asked for, or agreed to.
    pub upgrades: bool,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// None is announced.
    #[default]
    Absent,
    /// So many bytes.
    Length(u64),
    /// Chunked.
    Chunked,
}

impl Head {
    /// The second word of the first line: the target of a request, the status of a response.
    pub fn second(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    ///
    /// # Errors
    /// It has none.
    pub fn status(&self) -> io::Result<u16> {
        if !self.start.starts_with("HTTP/1.") {
            return Err(malformed("not HTTP/1"));
        }
        self.second().parse().map_err(malformed)
    }

    fn parse(text: &str) -> io::Result<Self> {
        let mut lines = text.split("\r\n");
        let mut head = Self { start: lines.next().unwrap_or_default().to_owned(), ..Self::default() };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.framing = Framing::Length(value.parse().map_err(malformed)?),
                "transfer-encoding" => head.framing = Framing::Chunked,
                "connection" => head.closes |= value.eq_ignore_ascii_case("close"),
                "upgrade" => head.upgrades = true,
                _ => {}
            }
        }
        Ok(head)
    }
}

impl Wire {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        // A delay that the kernel adds would be taken for the server's.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    /// Sends a request and reads its response whole; `None` when the server closed the connection before the first
    /// byte, as it may do with one that was idle. A client may then repeat a GET (RFC 9110, 9.2.2).
    ///
    /// # Errors
    /// The response breaks off ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)) or is malformed
    /// ([`InvalidData`](io::ErrorKind::InvalidData)).
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Option<Head>> {
        let sent = match self.send(request).await {
            Ok(()) => self.head().await,
            Err(error) => Err(error),
        };
        let head = match sent {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(error) if self.buffer.is_empty() && is_closed(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.body(head.framing, |_| ()).await?;
        Ok(Some(head))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next head, of at most 16 KiB; `None` when the peer closed before its first byte.
    ///
    /// # Errors
    /// It breaks off, is too long or malformed.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return Head::parse(&text).map(Some);
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(malformed("a head without an end"));
            }
            let empty = self.buffer.is_empty();
            match self.fill().await {
                Err(error) if empty && error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            }
        }
    }

    /// Reads a body, and gives its pieces to `take`.
    ///
    /// # Errors
    /// It breaks off, or its chunks are malformed.
    pub async fn body(&mut self, framing: Framing, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        match framing {
            Framing::Absent => Ok(()),
            Framing::Length(length) => self.pieces(length, &mut take).await,
            Framing::Chunked => loop {
                let line = self.line().await?;
                let size = u64::from_str_radix(&line, 16).map_err(malformed)?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    return Ok(());
                }
                self.pieces(size, &mut take).await?;
                if !self.line().await?.is_empty() {
                    return Err(malformed("a chunk without an end"));
                }
            },
        }
    }

    /// Some bytes, as they come; none when the peer has ended.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            match self.fill().await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                other => other?,
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn pieces(&mut self, mut left: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            take(&self.buffer[..count]);
            self.buffer.drain(..count);
            left -= count as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(malformed("a line without an end"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(PIECE);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// True when the other side has closed the connection, whichever way the kernel says it.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn malformed(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
