//! Clients that send requests at a constant rate, over kept and over fresh connections, and WebSockets that stay open.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use evenkeel_load::Wire;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::report::Report;

/// Connections that requests are sent over.
const CONNECTIONS: u32 = 50;
/// A connection is closed after so many requests, so that there are always new ones.
const REQUESTS_PER_CONNECTION: u32 = 10;
/// How long a client waits for an answer, an echo, or a new connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two messages of a WebSocket.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(1);
/// Between two WebSockets that are opened.
const OPEN_INTERVAL: Duration = Duration::from_millis(2);

const REQUEST: &[u8] = b"GET /bytes/100/1 HTTP/1.1\r\nhost: test\r\n\r\n";
const UPGRADE: &[u8] =
    b"GET /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// The clients of one balancer.
pub struct Traffic {
    address: SocketAddr,
    stop: Cell<bool>,
    sockets: Cell<usize>,
    report: RefCell<Report>,
}

impl Traffic {
    /// Clients of the balancer at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stop: Cell::new(false), sockets: Cell::new(0), report: RefCell::default() }
    }

    /// Starts them; returns when all WebSockets are open.
    ///
    /// # Errors
    /// They do not open.
    pub async fn spawn(self: &Rc<Self>, rate: u32, sockets: usize) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let mut clients = Vec::new();
        for _ in 0..sockets {
            let traffic = Rc::clone(self);
            clients.push(tokio::task::spawn_local(async move { traffic.talk().await }));
            sleep(OPEN_INTERVAL).await;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.sockets() < sockets {
            ensure!(Instant::now() < deadline, "only {} of {sockets} WebSockets are open", self.sockets());
            sleep(OPEN_INTERVAL).await;
        }
        let connections = CONNECTIONS.min(rate);
        let pause = Duration::from_secs(1) * connections / rate;
        for _ in 0..connections {
            let traffic = Rc::clone(self);
            clients.push(tokio::task::spawn_local(async move { traffic.ask(pause).await }));
            sleep(pause / connections).await;
        }
        Ok(clients)
    }

    /// Stops all clients.
    pub fn stop(&self) {
        self.stop.set(true);
    }

    /// WebSockets that are open.
    pub fn sockets(&self) -> usize {
        self.sockets.get()
    }

    /// The latencies and failures so far.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Begins a phase: what follows counts in it.
    pub fn phase(&self, name: &str) {
        if let Err(error) = self.report.borrow_mut().phase(name) {
            self.fault(&error.to_string());
        }
    }

    /// A change was made.
    pub fn changed(&self) {
        self.report.borrow_mut().changed();
    }

    fn fault(&self, what: &str) {
        self.report.borrow_mut().fault(what);
    }

    /// One client: a request each `pause`.
    async fn ask(&self, pause: Duration) {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kept: Option<Wire> = None;
        let mut sent = 0;
        while !self.stop.get() {
            ticks.tick().await;
            let begun = Instant::now();
            match timeout(PATIENCE, self.request(&mut kept)).await {
                Ok(Ok(200)) => self.report.borrow_mut().answered(begun.elapsed()),
                Ok(Ok(status)) => self.fault(&format!("a request got {status}")),
                Ok(Err(error)) => self.fault(&format!("a request failed: {error}")),
                Err(_) => self.fault("a request got no answer within 10 s"),
            }
            sent += 1;
            if sent % REQUESTS_PER_CONNECTION == 0 {
                kept = None;
            }
        }
    }

    /// Sends one request, over the kept connection if there is one.
    async fn request(&self, kept: &mut Option<Wire>) -> io::Result<u16> {
        if let Some(mut wire) = kept.take() {
            if let Some(head) = wire.ask(REQUEST).await? {
                *kept = (!head.closes).then_some(wire);
                return head.status();
            }
            // RFC 9112, 9.3.1: a server may close an idle connection at any time, and a client repeats.
            self.report.borrow_mut().repeated();
        }
        let mut wire = Wire::new(TcpStream::connect(self.address).await?);
        let head = wire.ask(REQUEST).await?;
        let head = head.ok_or_else(|| io::Error::other("a fresh connection was closed without an answer"))?;
        *kept = (!head.closes).then_some(wire);
        head.status()
    }

    /// One WebSocket: a message each second, which comes back.
    async fn talk(&self) {
        match timeout(PATIENCE, self.open()).await {
            Ok(Ok(wire)) => {
                self.sockets.set(self.sockets() + 1);
                if let Err(error) = self.exchange(wire).await {
                    self.sockets.set(self.sockets() - 1);
                    self.fault(&format!("a WebSocket ended: {error}"));
                }
            }
            Ok(Err(error)) => self.fault(&format!("a WebSocket does not open: {error}")),
            Err(_) => self.fault("a WebSocket does not open within 10 s"),
        }
    }

    async fn open(&self) -> io::Result<Wire> {
        let mut wire = Wire::new(TcpStream::connect(self.address).await?);
        wire.send(UPGRADE).await?;
        match wire.head().await? {
            Some(head) if head.status()? == 101 => Ok(wire),
            Some(head) => Err(io::Error::other(head.start)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn exchange(&self, mut wire: Wire) -> io::Result<()> {
        let mut number = 0_u64;
        while !self.stop.get() {
            sleep(MESSAGE_INTERVAL).await;
            number += 1;
            let message = number.to_be_bytes();
            wire.send(&message).await?;
            let mut got = Vec::new();
            while got.len() < message.len() {
                let some = timeout(PATIENCE, wire.some()).await??;
                if some.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                got.extend(some);
            }
            if got != message {
                return Err(io::Error::other("the echo differs from the message that was sent"));
            }
        }
        Ok(())
    }
}
