//! Steady traffic from several connections, to show that a change loses no request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Client, eventually};

/// Clients that ask for `/` over and over.
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicUsize,
    tally: Mutex<Tally>,
}

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many 200s each server gave, by the body, which is its name.
    pub by_server: BTreeMap<String, usize>,
    /// What was not a whole 200.
    pub lost: Vec<String>,
}

impl Traffic {
    /// Starts `clients` of them, each over a connection that it keeps as long as it may.
    pub fn start(address: SocketAddr, clients: usize) -> Self {
        Self::paced(address, clients, Duration::ZERO)
    }

    /// The same, and each waits for `pause` between an answer and its next request.
    pub fn paced(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        Self::paced_at(address, "/", clients, pause)
    }

    /// The same, asking for another target.
    pub fn paced_at(address: SocketAddr, target: &'static str, clients: usize, pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..clients).map(|_| {
            let shared = shared.clone();
            thread::spawn(move || ask(address, target, &shared, pause))
        });
        Self { threads: threads.collect(), shared }
    }

    /// Waits until `count` more requests have ended.
    pub fn more(&self, count: usize) {
        let goal = self.shared.done.load(Ordering::SeqCst) + count;
        eventually("traffic flows", || self.shared.done.load(Ordering::SeqCst) >= goal);
    }

    /// The tally so far.
    pub fn tally(&self) -> Tally {
        self.shared.tally.lock().unwrap().clone()
    }

    /// How many requests a server has answered so far.
    pub fn of(&self, server: &str) -> usize {
        self.tally().by_server.get(server).copied().unwrap_or_default()
    }

    /// Stops and returns the tally.
    pub fn stop(mut self) -> Tally {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.tally()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

fn ask(address: SocketAddr, target: &str, shared: &Shared, pause: Duration) {
    let mut connection: Option<Client> = None;
    while !shared.stop.load(Ordering::SeqCst) {
        let client = connection.get_or_insert_with(|| Client::connect(address));
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let result = client.response("GET");
        let mut tally = shared.tally.lock().unwrap();
        match result {
            Ok(response) => {
                if response.lists("connection", "close") {
                    connection = None;
                }
                if response.status == 200 {
                    *tally.by_server.entry(response.text()).or_default() += 1;
                } else {
                    tally.lost.push(format!("{} {}", response.status, response.text()));
                }
            }
            Err(fault) => {
                connection = None;
                tally.lost.push(format!("{fault:?}"));
            }
        }
        drop(tally);
        shared.done.fetch_add(1, Ordering::SeqCst);
        thread::sleep(pause);
    }
}
