//! GETs at a constant rate, whether or not the earlier ones were answered, and what became of them.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use evenkeel_load::Wire;

/// What became of a number of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Answered with 200 within the client's patience.
    pub good: u64,
    /// Answered with another status, cut, or not answered in time.
    pub failed: u64,
}

impl Outcome {
    /// All requests.
    pub fn all(self) -> u64 {
        self.good + self.failed
    }
}

/// A client that sends `rate` requests a second to `address`, and waits for each answer as long as `patience`.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// Requests a second, 1 to 1,000.
    pub rate: u32,
    /// How long a request is worth waiting for.
    pub patience: Duration,
}

impl Load {
    /// Sends for as long as `length`, and waits for all answers.
    pub async fn run(self, length: Duration) -> Outcome {
        let kept: Rc<RefCell<Vec<Wire>>> = Rc::default();
        let mut requests = JoinSet::new();
        let mut due = interval(Duration::from_secs(1) / self.rate);
        let end = Instant::now() + length;
        while due.tick().await < end {
            requests.spawn_local(self.ask(Rc::clone(&kept)));
        }
        let mut outcome = Outcome::default();
        while let Some(answered) = requests.join_next().await {
            if answered.unwrap_or(false) { outcome.good += 1 } else { outcome.failed += 1 }
        }
        outcome
    }

    async fn ask(self, kept: Rc<RefCell<Vec<Wire>>>) -> bool {
        let wire = kept.borrow_mut().pop();
        match timeout(self.patience, get(self.address, wire)).await {
            Ok(Ok((wire, status))) => {
                kept.borrow_mut().push(wire);
                status == 200
            }
            _ => false,
        }
    }
}

async fn get(address: SocketAddr, wire: Option<Wire>) -> io::Result<(Wire, u16)> {
    let mut wire = match wire {
        Some(wire) => wire,
        None => Wire::new(TcpStream::connect(address).await?),
    };
    let head = wire.ask(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await?;
    let status = head.ok_or(io::ErrorKind::UnexpectedEof)?.status()?;
    Ok((wire, status))
}
