//! The clients: one loop for each kind of traffic.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::disrupt::Servers;
use super::http2;
use super::pattern::{Check, Digest, fill};
use super::tally::{Kind, Outcome, Tally};
use evenkeel_load::Wire;

/// How long a client waits for anything before it is [`Outcome::Silent`]: longer than all limits together.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many clients there are of each kind.
const CLIENTS: [(Kind, usize); 8] = [
    (Kind::KeepAlive, 4),
    (Kind::Short, 2),
    (Kind::Post, 2),
    (Kind::Tunnel, 3),
    (Kind::Download, 1),
    (Kind::Upload, 1),
    (Kind::Aborted, 2),
    (Kind::Http2, 1),
];

/// All clients, and what they have in common.
#[derive(Clone)]
pub struct Traffic {
    /// Where the balancer is.
    pub address: SocketAddr,
    /// What explains errors.
    pub servers: Rc<Servers>,
    /// What became of the requests.
    pub tally: Rc<Tally>,
    stopped: Rc<Cell<bool>>,
}

impl Traffic {
    /// To the balancer at `address`.
    pub fn new(address: SocketAddr, servers: Rc<Servers>) -> Self {
        Self { address, servers, tally: Rc::default(), stopped: Rc::default() }
    }

    /// Asks once over each of four connections, so that every worker has begun its work.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn greet(&self) -> anyhow::Result<()> {
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut wire = Wire::new(TcpStream::connect(self.address).await?);
            let (outcome, _) = timeout(PATIENCE, get(&mut wire, "/bytes/10/1", Check::new(10, 1))).await??;
            anyhow::ensure!(outcome == Outcome::Good, "the first request came to {outcome:?}");
            held.push(wire);
        }
        drop(held);
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// Starts all clients.
    pub fn spawn(&self, rng: &mut Rng) -> Vec<JoinHandle<()>> {
        let kinds = CLIENTS.iter().flat_map(|(kind, count)| [*kind].repeat(*count));
        kinds.map(|kind| spawn_local(self.clone().client(kind, rng.fork()))).collect()
    }

    /// Tells all to end with the request that they are at.
    pub fn stop(&self) {
        self.stopped.set(true);
    }

    async fn client(self, kind: Kind, mut rng: Rng) {
        let mut kept = None;
        while !self.stopped.get() {
            match kind {
                Kind::KeepAlive => self.keep_alive(&mut kept, &mut rng).await,
                Kind::Short => self.keep_alive(&mut None, &mut rng).await,
                Kind::Post => self.upload(kind, rng.usize(1..500), &mut rng).await,
                Kind::Upload => self.upload(kind, rng.usize(500_000..3_000_000), &mut rng).await,
                Kind::Download => self.download(&mut rng).await,
                Kind::Tunnel => self.tunnel(&mut rng).await,
                Kind::Aborted => self.abort(&mut rng).await,
                Kind::Http2 => http2::connection(&self, &mut rng).await,
            }
            sleep(Duration::from_millis(rng.u64(1..60))).await;
        }
    }

    /// True once [`Traffic::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    async fn keep_alive(&self, kept: &mut Option<Wire>, rng: &mut Rng) {
        let seed = rng.u64(..1000);
        let (target, length) = match rng.u8(..3) {
            0 => (format!("/bytes/200/{seed}"), 200),
            1 => (format!("/chunks/3000/{seed}"), 3000),
            _ => (format!("/wait/{}/{seed}", rng.u8(1..100)), 100),
        };
        let is_short = kept.is_none();
        let from = Instant::now();
        let outcome = within(async {
            let mut wire = match kept.take() {
                Some(wire) => wire,
                None => Wire::new(TcpStream::connect(self.address).await?),
            };
            let (outcome, stays) = get(&mut wire, &target, Check::new(length, seed)).await?;
            *kept = stays.then_some(wire);
            Ok(outcome)
        });
        let outcome = outcome.await;
        let kind = if is_short { Kind::Short } else { Kind::KeepAlive };
        self.tally.count(&self.servers, kind, true, from, &outcome);
    }

    async fn download(&self, rng: &mut Rng) {
        let (length, seed) = (rng.u64(500_000..5_000_000), rng.u64(..1000));
        let target = format!("/{}/{length}/{seed}", if rng.bool() { "bytes" } else { "chunks" });
        let from = Instant::now();
        let outcome = within(async {
            let mut wire = Wire::new(TcpStream::connect(self.address).await?);
            Ok(get(&mut wire, &target, Check::new(length, seed)).await?.0)
        });
        self.tally.count(&self.servers, Kind::Download, false, from, &outcome.await);
    }

    async fn upload(&self, kind: Kind, length: usize, rng: &mut Rng) {
        let (seed, chunked) = (rng.u64(..1000), rng.bool());
        let expected = Digest::of(length, seed).to_string();
        let mut body = vec![0; length];
        fill(&mut body, 0, seed);
        let from = Instant::now();
        let outcome = within(async {
            let mut wire = Wire::new(TcpStream::connect(self.address).await?);
            let framing = if chunked {
                "transfer-encoding: chunked".into()
            } else {
                format!("content-length: {length}")
            };
            let head = format!("POST /sum HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n");
            // Who refuses the request may stop reading it: the answer tells.
            let _ = send(&mut wire, &head, &body, chunked).await;
            let Some(head) = wire.head().await? else { return Ok(Outcome::Cut) };
            let mut text = Vec::new();
            wire.body(head.framing, |piece| text.extend_from_slice(piece)).await?;
            let text = String::from_utf8_lossy(&text);
            Ok(match head.second() {
                "200" if text == expected => Outcome::Good,
                "200" => Outcome::Wrong(format!("{text} arrived, {expected} was sent")),
                status => Outcome::Status(status.parse().unwrap_or_default()),
            })
        });
        self.tally.count(&self.servers, kind, false, from, &outcome.await);
    }

    /// Echoes for a while; each must come back before the next one goes.
    async fn tunnel(&self, rng: &mut Rng) {
        let from = Cell::new(Instant::now());
        let outcome = async {
            let mut wire = Wire::new(TcpStream::connect(self.address).await?);
            let upgrade = "GET /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                           sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
            wire.send(upgrade.as_bytes()).await?;
            match timeout(PATIENCE, wire.head()).await.map_err(io::Error::from)?? {
                Some(head) if head.second() == "101" => {}
                Some(head) => return Ok(Outcome::Status(head.second().parse().unwrap_or_default())),
                None => return Ok(Outcome::Cut),
            }
            let (mut check, mut offset) = (Check::new(0, 1), 0);
            for _ in 0..rng.u8(1..60) {
                if self.stopped.get() {
                    break;
                }
                let mut message = vec![0; rng.usize(1..5000)];
                fill(&mut message, offset, 1);
                offset += message.len() as u64;
                check.extend(message.len() as u64);
                wire.send(&message).await?;
                while check.seen() < offset {
                    let bytes = timeout(PATIENCE, wire.some()).await.map_err(io::Error::from)??;
                    if bytes.is_empty() {
                        return Ok(Outcome::Cut);
                    }
                    check.take(&bytes);
                }
                if !check.is_whole() {
                    return Ok(Outcome::Wrong("another echo".to_owned()));
                }
                // What happens in the pause is noticed by the next message.
                from.set(Instant::now());
                sleep(Duration::from_millis(rng.u64(1..150))).await;
            }
            Ok(Outcome::Good)
        };
        let outcome = judged(outcome.await);
        self.tally.count(&self.servers, Kind::Tunnel, false, from.get(), &outcome);
    }

    /// Leaves in the middle of something, by a FIN or a RST.
    async fn abort(&self, rng: &mut Rng) {
        let from = Instant::now();
        let begin = async {
            let mut wire = Wire::new(TcpStream::connect(self.address).await?);
            let request = match rng.u8(..5) {
                0 => "GET /bytes/5000000/1 HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
                1 => "GET /wait/900/1 HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
                2 => "GET /bytes/100/1 HTTP/1.1\r\nhost:".to_owned(),
                3 => format!(
                    "POST /sum HTTP/1.1\r\nhost: test\r\ncontent-length: 90000\r\n\r\n{}",
                    "x".repeat(9000)
                ),
                _ => "POST /sum HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"
                    .to_owned(),
            };
            wire.send(request.as_bytes()).await?;
            if rng.bool() {
                sleep(Duration::from_millis(rng.u64(..50))).await;
            }
            if rng.bool() {
                wire.stream.set_zero_linger()?;
            }
            Ok(Outcome::Good)
        };
        let outcome = within(begin).await;
        self.tally.count(&self.servers, Kind::Aborted, false, from, &outcome);
    }
}

/// What `exchange` comes to; an error is a visible end.
async fn within(exchange: impl Future<Output = io::Result<Outcome>>) -> Outcome {
    judged(timeout(PATIENCE, exchange).await.unwrap_or_else(|late| Err(late.into())))
}

fn judged(exchange: io::Result<Outcome>) -> Outcome {
    exchange.unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData => Outcome::Wrong(error.to_string()),
        io::ErrorKind::TimedOut => Outcome::Silent,
        _ => Outcome::Cut,
    })
}

/// Asks for `target`; and whether the connection may be used again.
async fn get(wire: &mut Wire, target: &str, mut check: Check) -> io::Result<(Outcome, bool)> {
    wire.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await?;
    let Some(head) = wire.head().await? else { return Ok((Outcome::Cut, false)) };
    if head.second() != "200" {
        wire.body(head.framing, |_| {}).await?;
        return Ok((Outcome::Status(head.second().parse().unwrap_or_default()), !head.closes));
    }
    let read = wire.body(head.framing, |piece| check.take(piece)).await;
    if !check.is_right() || read.is_ok() && !check.is_whole() {
        return Ok((Outcome::Wrong(format!("{check:?}")), false));
    }
    read?;
    Ok((Outcome::Good, !head.closes))
}

async fn send(wire: &mut Wire, head: &str, body: &[u8], chunked: bool) -> io::Result<()> {
    wire.send(head.as_bytes()).await?;
    if !chunked {
        return wire.send(body).await;
    }
    for piece in body.chunks(50_000) {
        wire.send(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        wire.send(piece).await?;
        wire.send(b"\r\n").await?;
    }
    wire.send(b"0\r\n\r\n").await
}
