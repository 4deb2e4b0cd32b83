//! A server that can do so much at a time, and can be slowed, made to fail, and killed.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::sleep;

use evenkeel_load::Wire;

/// A server, for as long as it is not killed.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    state: Rc<State>,
    running: RefCell<Option<JoinHandle<()>>>,
}

struct State {
    /// One permit for each request that it can work at.
    hands: Semaphore,
    work: Cell<Duration>,
    status: Cell<u16>,
    requests: Cell<u64>,
}

impl Server {
    /// Starts one that works at `hands` requests at a time, for `work` each; the others wait in the order in which they
    /// came, and are worked at even when their client has left.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(hands: usize, work: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (requests, status) = (Cell::new(0), Cell::new(200));
        let state = Rc::new(State { hands: Semaphore::new(hands), work: Cell::new(work), status, requests });
        let running = RefCell::new(Some(spawn_local(accept(listener, Rc::clone(&state)))));
        Ok(Self { address, state, running })
    }

    /// Makes each request take so long from now on.
    pub fn takes(&self, work: Duration) {
        self.state.work.set(work);
    }

    /// Answers with this status from now on.
    pub fn answers(&self, status: u16) {
        self.state.status.set(status);
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.state.requests.get()
    }

    /// Closes all sockets at once, as the kernel does for a process that is killed.
    pub fn kill(&self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn accept(listener: TcpListener, state: Rc<State>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn_local(serve(Wire::new(stream), Rc::clone(&state)));
    }
}

/// A peer that leaves early is its own affair.
async fn serve(mut wire: Wire, state: Rc<State>) {
    while let Ok(Some(_)) = wire.head().await {
        state.requests.set(state.requests.get() + 1);
        if let Ok(_hand) = state.hands.acquire().await {
            sleep(state.work.get()).await;
        }
        let answer = format!("HTTP/1.1 {} .\r\ncontent-length: 3\r\n\r\nok\n", state.status.get());
        if wire.send(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
