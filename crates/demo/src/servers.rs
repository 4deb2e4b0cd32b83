//! The sample servers, of HTTP/1.1 or of lines over TCP: they can be stopped as a process can, and started again on their port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::oneshot;

use super::kind::Kind;
use super::messages;

/// Where ports are looked for. Below what kernels use for outgoing connections, so that none of those takes the port
/// of a server while it is stopped.
const PORTS: RangeInclusive<u16> = 5001..=5999;

/// Name, and how many milliseconds an answer takes, evenly spread.
const SAMPLES: [(&str, RangeInclusive<u64>); 3] = [("one", 2..=8), ("two", 2..=8), ("slow", 75..=85)];

/// One sample server.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    name: &'static str,
    latency_ms: RangeInclusive<u64>,
    address: SocketAddr,
    running: Option<Running>,
}

/// Dropping `stop` ends the thread.
#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Starts all of them on free loopback ports; they speak what `kind` says.
///
/// # Errors
/// When no port is free, or no thread can be had.
pub fn start_all(kind: Kind) -> io::Result<Vec<Server>> {
    let mut ports = PORTS;
    SAMPLES
        .iter()
        .map(|(name, latency_ms)| {
            let listener = ports
                .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no port is free"))?;
            let address = listener.local_addr()?;
            let running = Some(serve(kind, listener, name, latency_ms.clone())?);
            Ok(Server { kind, name, latency_ms: latency_ms.clone(), address, running })
        })
        .collect()
}

impl Server {
    /// What it calls itself, and the balancer it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens, or would if it ran.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// False while it is stopped.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Closes its listener and all of its connections, whatever they are in the middle of.
    pub fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            drop(stop);
            // A thread that panicked has closed its sockets as well.
            let _ = thread.join();
        }
    }

    /// Starts it again on the port that it had; one that runs is left alone.
    ///
    /// # Errors
    /// When another process took the port meanwhile.
    pub fn start(&mut self) -> io::Result<()> {
        if self.running.is_none() {
            let listener = TcpListener::bind(self.address)?;
            self.running = Some(serve(self.kind, listener, self.name, self.latency_ms.clone())?);
        }
        Ok(())
    }
}

/// A thread and a runtime for each server: ending the runtime is what closes every connection at once.
fn serve(
    kind: Kind,
    listener: TcpListener,
    name: &'static str,
    latency_ms: RangeInclusive<u64>,
) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::Builder::new().name(format!("sample-{name}")).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = speak(kind, listener, name, latency_ms) => {}
            }
        });
    })?;
    Ok(Running { stop, thread })
}

async fn speak(
    kind: Kind,
    listener: tokio::net::TcpListener,
    name: &'static str,
    latency_ms: RangeInclusive<u64>,
) {
    if kind == Kind::Tcp {
        return messages::serve(listener, name, latency_ms).await;
    }
    let answer = move || {
        let latency = Duration::from_millis(fastrand::u64(latency_ms.clone()));
        async move {
            tokio::time::sleep(latency).await;
            format!("This is server {name}.\n")
        }
    };
    let router = Router::new().route("/health", get(async || "ok\n")).fallback(answer);
    // It ends with the runtime.
    let _ = axum::serve(listener, router).await;
}
