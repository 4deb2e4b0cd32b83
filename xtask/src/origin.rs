//! A server to measure proxies with: so cheap that it is never the bottleneck, always on keep-alive connections.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub mod http2;

/// Bytes of the answer to any other target than those below.
const SMALL_BODY: usize = 128;
/// Bytes of the answers to [`MEDIUM_PATH`] and [`TEXT_PATH`].
const MEDIUM_BODY: usize = 64 << 10;
/// Bytes of the answer to [`LARGE_PATH`], and of a large request's body.
pub const LARGE_BODY: usize = 1 << 20;
/// The target of the large answer.
pub const LARGE_PATH: &str = "/large";
/// The target of the answer of 64 KiB.
pub const MEDIUM_PATH: &str = "/medium";
/// The target of an answer that is worth compressing: 64 KiB of JSON, as an API has it.
pub const TEXT_PATH: &str = "/text";
/// The target of requests with a large body. Any other is as good, but nginx has settings for this one.
pub const UPLOAD_PATH: &str = "/upload";
/// The target of an answer of [`MESSAGE_BYTES`], head and body.
const MESSAGE_PATH: &str = "/message";
/// Bytes of a small message.
pub const MESSAGE_BYTES: usize = 128;
/// A small message that is answered with one: a request for [`MESSAGE_PATH`]. In a datagram any bytes are.
pub const MESSAGE: &[u8; MESSAGE_BYTES] = b"GET /message HTTP/1.1\r\nHost: localhost\r\n\
    Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n";
/// Bytes of a request's head; a longer one ends the connection.
const HEAD_MAX: usize = 32 * 1024;
/// Bytes of a body that are read at a time.
const PIECE: usize = 256 * 1024;

/// What `cargo xtask origin` takes.
#[derive(clap::Args)]
pub struct Options {
    /// A port of 127.0.0.1 to serve; may be given several times.
    #[arg(long = "port", value_name = "N", required = true)]
    ports: Vec<u16>,
    /// How long each answer is held back, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
}

/// Serves until the process is ended, on one thread.
///
/// # Errors
/// A port that cannot be bound.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let delay = Duration::from_millis(options.delay_ms);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut servers = tokio::task::JoinSet::new();
        for port in &options.ports {
            let address = SocketAddr::from(([127, 0, 0, 1], *port));
            let listener =
                TcpListener::bind(address).await.with_context(|| format!("cannot bind {address}"))?;
            let socket = UdpSocket::bind(address).await.with_context(|| format!("cannot bind {address}"))?;
            servers.spawn(serve(listener, delay));
            servers.spawn(echo(socket));
        }
        while servers.join_next().await.is_some() {}
        Ok(())
    })
}

/// Answers every request that `listener` brings, each after `delay`.
async fn serve(listener: TcpListener, delay: Duration) {
    let filler = |bytes| answer("text/plain", &vec![b'x'; bytes]);
    let answers = Answers {
        small: filler(SMALL_BODY),
        medium: filler(MEDIUM_BODY),
        large: filler(LARGE_BODY),
        text: answer("application/json", &records(MEDIUM_BODY)),
        message: filler(MESSAGE_BYTES - filler(10).len() + 10),
        delay,
    };
    let answers: &'static Answers = Box::leak(Box::new(answers));
    loop {
        // Out of descriptors, most likely: the next connection to end makes room.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // A peer that leaves early is its own affair.
        tokio::spawn(async move { drop(requests(stream, answers).await) });
    }
}

/// Sends every datagram back.
async fn echo(socket: UdpSocket) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        // An error is that of an earlier datagram whose sender is gone.
        if let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], peer).await;
        }
    }
}

struct Answers {
    small: Vec<u8>,
    medium: Vec<u8>,
    large: Vec<u8>,
    text: Vec<u8>,
    message: Vec<u8>,
    delay: Duration,
}

impl Answers {
    fn to(&self, target: &[u8]) -> &[u8] {
        let others = [
            (MESSAGE_PATH, &self.message),
            (MEDIUM_PATH, &self.medium),
            (LARGE_PATH, &self.large),
            (TEXT_PATH, &self.text),
        ];
        others.iter().find(|(path, _)| path.as_bytes() == target).map_or(&self.small, |(_, answer)| answer)
    }
}

fn answer(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// JSON of exactly so many `bytes`, the same every time: records whose names repeat and whose values do not.
fn records(bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["harbour", "sail", "keel", "anchor", "tide", "compass", "mast", "rudder"];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut text = String::from("[");
    while text.len() < bytes {
        let [id, word, other, price] = [1 << 32, 8, 8, 100_000].map(|below| rng.u64(..below));
        let (name, tag) = (WORDS[word as usize], WORDS[other as usize]);
        let _ = writeln!(
            text,
            r#"{{"id":{id},"name":"{name} {id:x}","tags":["{tag}","{name}"],"price":{price},"stock":true}},"#
        );
    }
    text.truncate(bytes - 1);
    text.push(']');
    text.into_bytes()
}

/// Answers the requests of one connection. A body needs a `Content-Length`.
async fn requests(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; HEAD_MAX];
    let mut held = 0;
    loop {
        let read = stream.read(&mut buffer[held..]).await?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        if buffer[..held].starts_with(http2::START) {
            return http2::serve(stream, &buffer[..held]).await;
        }
        let mut start = 0;
        while let Some(length) = request_length(&buffer[start..held]) {
            let here = length.min(held - start);
            discard(&mut stream, length - here).await?;
            if !answers.delay.is_zero() {
                tokio::time::sleep(answers.delay).await;
            }
            stream.write_all(answers.to(target(&buffer[start..]))).await?;
            start += here;
        }
        buffer.copy_within(start..held, 0);
        held -= start;
    }
}

/// Reads so many `bytes`, which are of no interest.
async fn discard(stream: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    let mut left = bytes;
    let mut piece = vec![0; left.min(PIECE)];
    while left > 0 {
        let most = left.min(PIECE);
        left -= match stream.read(&mut piece[..most]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
    }
    Ok(())
}

/// Bytes of the first request, head and body; `None` until its head is there.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)?;
    // Only a POST has one: what is measured shall not wait for a search in every head.
    let body = if bytes.starts_with(b"POST ") { body_length(&bytes[..head])? } else { 0 };
    Some(head + body)
}

/// What `Content-Length` says; `None` when it does not.
fn body_length(head: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).ok()?;
    let field = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"))?;
    std::str::from_utf8(field.value).ok()?.trim().parse().ok()
}

/// The second word of the request line.
fn target(head: &[u8]) -> &[u8] {
    head.split(|b| *b == b' ').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Instant;

    /// Sends `request` in one piece and reads `bytes` of what comes back.
    fn exchange(delay: Duration, request: &[u8], bytes: usize) -> (String, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, delay));
            let mut stream = TcpStream::connect(address).await.unwrap();
            let start = Instant::now();
            stream.write_all(request).await.unwrap();
            let mut got = vec![0; bytes];
            stream.read_exact(&mut got).await.unwrap();
            (String::from_utf8(got).unwrap(), start.elapsed())
        })
    }

    #[test]
    fn pipelined_requests_are_answered_on_one_connection() {
        let small = answer("text/plain", &[b'x'; SMALL_BODY]).len();
        let (text, _) = exchange(Duration::ZERO, &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3), 3 * small);
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3);
        assert_eq!(text.matches("content-length: 128\r\n").count(), 3);
    }

    #[test]
    fn a_message_is_answered_with_as_many_bytes() {
        let (text, _) = exchange(Duration::ZERO, &MESSAGE.repeat(2), 2 * MESSAGE_BYTES);
        let starts: Vec<usize> = text.match_indices("HTTP/1.1 200 OK\r\n").map(|(at, _)| at).collect();
        assert_eq!(starts, [0, MESSAGE_BYTES]);
        assert!(text.ends_with('x'));
    }

    #[test]
    fn a_body_belongs_to_its_request() {
        let small = answer("text/plain", &[b'x'; SMALL_BODY]).len();
        let request =
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n".repeat(2);
        let (text, _) = exchange(Duration::ZERO, &request, 2 * small);
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2);
        assert_eq!(request_length(&request[..30]), None, "the head is not whole");
        assert_eq!(request_length(&request[..60]), Some(request.len() / 2));
    }

    #[test]
    fn a_body_may_be_larger_than_what_is_read_at_a_time() {
        let small = answer("text/plain", &[b'x'; SMALL_BODY]).len();
        let head = format!("POST {UPLOAD_PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE_BODY}\r\n\r\n");
        let request = [head.as_bytes(), &vec![b'\n'; LARGE_BODY]].concat().repeat(2);
        let (text, _) = exchange(Duration::ZERO, &request, 2 * small);
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2);
    }

    #[test]
    fn the_large_answer_is_a_mebibyte() {
        let large = answer("text/plain", &vec![b'x'; LARGE_BODY]).len();
        let (text, _) = exchange(Duration::ZERO, b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n", large);
        assert!(text.contains("content-length: 1048576\r\n"));
    }

    #[test]
    fn the_text_has_its_length_and_is_no_filler() {
        let text = records(MEDIUM_BODY);
        assert_eq!(text.len(), MEDIUM_BODY);
        assert_eq!(text, records(MEDIUM_BODY));
        assert!(text.starts_with(b"[{\"id\":") && text.ends_with(b"]"));
    }

    #[test]
    fn an_answer_can_be_held_back() {
        let small = answer("text/plain", &[b'x'; SMALL_BODY]).len();
        let (_, took) = exchange(Duration::from_millis(30), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", small);
        assert!(took >= Duration::from_millis(30), "{took:?}");
    }
}
