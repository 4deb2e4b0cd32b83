//! What `demo --tcp` speaks, both sides of it: a line, answered by a line that names the server and repeats the first.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a line; a longer one is an error.
const LINE_MAX: u64 = 4096;
/// How long the server waits when it cannot accept, as when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves all connections, each in a task of this runtime.
pub async fn serve(listener: TcpListener, name: &'static str, latency_ms: RangeInclusive<u64>) {
    loop {
        match listener.accept().await {
            // A connection that breaks is the client's affair.
            Ok((stream, _)) => drop(tokio::spawn(answer(Session::new(stream), name, latency_ms.clone()))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn answer(mut session: Session, name: &str, latency_ms: RangeInclusive<u64>) -> io::Result<()> {
    while let Some(said) = session.line().await? {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(latency_ms.clone()))).await;
        session.send(&answer_to(&said, name)).await?;
    }
    Ok(())
}

fn answer_to(said: &str, name: &str) -> String {
    format!("This is server {name}. You said: {said}")
}

/// One end of a connection.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
}

impl Session {
    /// Takes over a connected stream.
    fn new(stream: TcpStream) -> Self {
        // A delay that the kernel adds would be taken for the server's.
        let _ = stream.set_nodelay(true);
        Self { stream: BufReader::new(stream) }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It is refused.
    pub async fn open(target: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(target).await.map(Self::new)
    }

    /// Sends a line and reads its answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is to something else ([`InvalidData`](io::ErrorKind::InvalidData)).
    pub async fn exchange(&mut self, text: &str) -> io::Result<()> {
        self.send(text).await?;
        let answer = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match answer.split_once(" You said: ") {
            Some((_, said)) if said == text => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{text}\n").as_bytes()).await
    }

    /// The next line; `None` when the peer has ended.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        (&mut self.stream).take(LINE_MAX).read_line(&mut line).await?;
        match line.strip_suffix('\n') {
            Some(text) => Ok(Some(text.trim_end_matches('\r').to_owned())),
            None if line.is_empty() => Ok(None),
            None if line.len() as u64 == LINE_MAX => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
