//! A client that writes one row after the other, and comes back at once when its session ends: what it notices of a failover.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::session::{Fault, Session};

/// How long the client waits before it comes back after a session that it could not have.
const PAUSE: Duration = Duration::from_millis(1);

/// A client at work.
pub struct Writer {
    stop: Arc<AtomicBool>,
    tries: Arc<Mutex<Vec<Try>>>,
    thread: Option<JoinHandle<()>>,
}

/// What came of the try to write one row.
#[derive(Debug, Clone)]
pub struct Try {
    /// The row's number; each has another one.
    pub number: u64,
    /// When the client began, with connecting if it had no session.
    pub began: Instant,
    /// When it knew what came of it.
    pub ended: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server on this port has written the row, and said so.
    Written(u16),
    /// There was no session, for this reason; the row was not sent.
    NoSession(String),
    /// The row was sent, and the session ended without an answer.
    Unknown(String),
    /// The server has answered with an error of this code.
    Refused(String),
}

impl Writer {
    /// Begins to write into the table `writes`.
    pub fn start(address: SocketAddr) -> Self {
        let (stop, tries) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Try>>>::default());
        let (stopped, kept) = (Arc::clone(&stop), Arc::clone(&tries));
        let thread = thread::spawn(move || {
            let mut session = None;
            for number in 0.. {
                if stopped.load(SeqCst) {
                    return;
                }
                let began = Instant::now();
                let outcome = write(&mut session, address, number);
                let is_shut_out = matches!(outcome, Outcome::NoSession(_));
                kept.lock().unwrap().push(Try { number, began, ended: Instant::now(), outcome });
                if is_shut_out {
                    thread::sleep(PAUSE);
                }
            }
        });
        Self { stop, tries, thread: Some(thread) }
    }

    /// All tries so far.
    pub fn tries(&self) -> Vec<Try> {
        self.tries.lock().unwrap().clone()
    }

    /// Ends the client; all that it has tried.
    pub fn finish(mut self) -> Vec<Try> {
        self.stop.store(true, SeqCst);
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
        self.tries()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

/// Writes one row, over the session if there is one. A session that fails is dropped.
fn write(session: &mut Option<Session>, address: SocketAddr, number: u64) -> Outcome {
    let mut open = match session.take() {
        Some(open) => open,
        None => match Session::open(address) {
            Ok(open) => open,
            Err(fault) => return Outcome::NoSession(fault.to_string()),
        },
    };
    let sql = format!("INSERT INTO writes (number) VALUES ({number}) RETURNING port");
    match open.query(&sql) {
        Ok(row) => {
            *session = Some(open);
            Outcome::Written(row.first().and_then(|port| port.parse().ok()).expect("the row has a port"))
        }
        Err(Fault::Server { code, .. }) => Outcome::Refused(code),
        Err(fault) => Outcome::Unknown(fault.to_string()),
    }
}

/// The longest time between two rows that were written one after the other, and when it began; `None` with less than two.
pub fn longest_gap(tries: &[Try]) -> Option<(Instant, Duration)> {
    let written: Vec<Instant> =
        (tries.iter()).filter(|it| matches!(it.outcome, Outcome::Written(_))).map(|it| it.ended).collect();
    let gaps = written.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    gaps.max_by_key(|(_, gap)| *gap)
}
