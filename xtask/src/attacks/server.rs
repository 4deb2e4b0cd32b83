//! The servers behind the proxy: they count what they are made to do.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use anyhow::Context;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Where attackers send requests: one that is never answered, and those for small and large responses. All are below
/// [`ATTACK_PATH`](crate::bench::proxy::ATTACK_PATH).
pub const HOLD: &str = "/attack/hold";
pub const SMALL: &str = "/attack/small";
pub const LARGE: &str = "/attack/large";
/// Bytes of a response, and of a large one.
const BODY: usize = 128;
const LARGE_BODY: usize = 10_000_000;
/// Bytes of a request's head at most.
const HEAD_MAX: usize = 16 * 1024;
/// What the kernel keeps of a response that is not read: thousands of them must not take all of the machine's memory.
const SEND_BUFFER: usize = 64 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// What servers had to do so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that have come.
    pub requests: AtomicU64,
    /// Connections that were opened.
    pub connections: AtomicU64,
}

/// Servers that run until the process ends.
pub struct Servers {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    /// What they have seen.
    pub counts: Arc<Counts>,
}

impl Servers {
    /// Starts `count` of them, on one thread that is so `nice`.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(count: usize, nice: i32) -> anyhow::Result<Self> {
        let counts = Arc::<Counts>::default();
        let listeners = (0..count).map(|_| listen()).collect::<anyhow::Result<Vec<_>>>()?;
        let addresses = listeners.iter().map(|l| Ok(l.local_addr()?)).collect::<anyhow::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let theirs = Arc::clone(&counts);
        thread::spawn(move || {
            let _ = rustix::process::nice(nice);
            let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
            let all = LocalSet::new();
            for listener in listeners {
                let counts = Arc::clone(&theirs);
                all.spawn_local(async move { serve(listener, answers, counts).await });
            }
            runtime.block_on(all);
        });
        Ok(Self { addresses, counts })
    }
}

fn listen() -> anyhow::Result<Listener> {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    // Once more, with room for an attack.
    SockRef::from(&listener).listen(BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whole responses.
struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let [small, large] = [BODY, LARGE_BODY].map(|length| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            [head.as_bytes(), &vec![b'x'; length]].concat()
        });
        Self { small, large }
    }
}

async fn serve(listener: Listener, answers: &'static Answers, counts: Arc<Counts>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        // Without a descriptor: the next connection to end makes room.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        counts.connections.fetch_add(1, Relaxed);
        let counts = Arc::clone(&counts);
        // A proxy may leave at any time.
        tokio::task::spawn_local(async move { drop(requests(stream, answers, &counts).await) });
    }
}

/// Answers the requests of one connection, none of which has a body but for those that are never answered.
async fn requests(mut stream: TcpStream, answers: &Answers, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
    let mut held = Vec::with_capacity(1024);
    loop {
        let Some(end) = held.windows(4).position(|w| w == b"\r\n\r\n") else {
            if stream.read_buf(&mut held).await? == 0 || held.len() > HEAD_MAX {
                return Ok(());
            }
            continue;
        };
        let target = held.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        counts.requests.fetch_add(1, Relaxed);
        if target == HOLD.as_bytes() {
            return hold(stream).await;
        }
        let answer = if target == LARGE.as_bytes() { &answers.large } else { &answers.small };
        stream.write_all(answer).await?;
        held.drain(..end + 4);
    }
}

/// Reads until the proxy gives the request up.
async fn hold(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 256];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
