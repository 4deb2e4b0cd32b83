//! `cargo xtask soak-origin`: the server behind the soak, one process of its own so that it can be killed and stalled.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

use super::pattern::{Digest, fill};
use evenkeel_load::Wire;

/// Bytes of a body written at a time.
const PIECE: usize = 16 * 1024;

/// What `cargo xtask soak-origin` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The port of 127.0.0.1 to serve.
    #[arg(long, value_name = "N")]
    port: u16,
}

/// Serves until the process is ended: `/bytes/LENGTH/SEED`, `/chunks/LENGTH/SEED`, `/wait/MS/SEED`, `/sum` (of the
/// request's body), `/echo` (of what follows an upgrade).
///
/// # Errors
/// The port cannot be bound.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot bind {address}"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            // A peer that leaves early is its own affair.
            tokio::spawn(async move { drop(serve(stream).await) });
        }
    })
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head().await? {
        let mut digest = Digest::EMPTY;
        wire.body(head.framing, |piece| digest.take(piece)).await?;
        let target = head.second().to_owned();
        let mut parts = target.split('/').skip(1);
        let kind = parts.next().unwrap_or_default();
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).unwrap_or_default();
        match kind {
            "bytes" => sized(&mut wire, number(), number()).await?,
            "chunks" => chunked(&mut wire, number(), number()).await?,
            "wait" => {
                tokio::time::sleep(Duration::from_millis(number().min(1000))).await;
                sized(&mut wire, 100, number()).await?;
            }
            "sum" => text(&mut wire, &digest.to_string()).await?,
            "echo" if head.upgrades => return echo(wire).await,
            _ => text(&mut wire, "ok").await?,
        }
    }
    Ok(())
}

async fn text(wire: &mut Wire, text: &str) -> io::Result<()> {
    wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).as_bytes()).await
}

async fn sized(wire: &mut Wire, length: u64, seed: u64) -> io::Result<()> {
    wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes()).await?;
    let mut offset = 0;
    while offset < length {
        let piece = piece(length, offset, seed);
        wire.send(&piece).await?;
        offset += piece.len() as u64;
    }
    Ok(())
}

async fn chunked(wire: &mut Wire, length: u64, seed: u64) -> io::Result<()> {
    wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    let mut offset = 0;
    while offset < length {
        let piece = piece(length, offset, seed);
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        wire.send(&chunk).await?;
        offset += piece.len() as u64;
    }
    wire.send(b"0\r\n\r\n").await
}

fn piece(length: u64, offset: u64, seed: u64) -> Vec<u8> {
    let mut piece = vec![0; usize::try_from(length - offset).unwrap_or(PIECE).min(PIECE)];
    fill(&mut piece, offset, seed);
    piece
}

async fn echo(mut wire: Wire) -> io::Result<()> {
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await?;
    loop {
        let bytes = wire.some().await?;
        if bytes.is_empty() {
            return Ok(());
        }
        wire.send(&bytes).await?;
    }
}
