//! A simulated server: so many requests at a time, a queue, and what may be wrong with it.

use std::collections::VecDeque;

/// Requests that wait at a server; it turns away what comes beyond.
const QUEUE_MAX: usize = 128;

/// What happens to a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// It takes so many times as long.
    Slow(f64),
    /// It fails this share of its requests, in a millisecond.
    Failing(f64),
    /// It dies: what it works on is lost, and connections are refused.
    Dead,
    /// It is well again.
    Well,
    /// The operator drains it.
    Drain,
    /// The operator takes it back.
    Ready,
}

/// What became of a request that was offered to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// No process listens.
    Refused,
    /// It is worked on at once.
    Begun,
    /// It waits.
    Waits,
    /// The queue is full, and the server says so.
    TurnedAway,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Server {
    slots: usize,
    busy: usize,
    waiting: VecDeque<u64>,
    /// It takes so many times as long as a server that is well.
    pub slowness: f64,
    /// The share of requests that it fails.
    pub failing: f64,
    /// It refuses connections.
    pub is_dead: bool,
    /// How often it has died: what it began in an earlier life never ends.
    pub life: u32,
}

impl Server {
    /// A server that is well and works on so many requests at a time.
    pub fn new(slots: usize) -> Self {
        let waiting = VecDeque::new();
        Self { slots, busy: 0, waiting, slowness: 1.0, failing: 0.0, is_dead: false, life: 0 }
    }

    /// Takes what happens to it; the operator's word is none of its business.
    pub fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Slow(times) => self.slowness = times,
            Fault::Failing(share) => self.failing = share,
            Fault::Dead => {
                self.is_dead = true;
                self.life += 1;
                self.busy = 0;
                self.waiting.clear();
            }
            Fault::Well => {
                self.slowness = 1.0;
                self.failing = 0.0;
                self.is_dead = false;
            }
            Fault::Drain | Fault::Ready => {}
        }
    }

    /// Offers it the try of a request.
    pub fn offer(&mut self, attempt: u64) -> Offered {
        if self.is_dead {
            Offered::Refused
        } else if self.busy < self.slots {
            self.busy += 1;
            Offered::Begun
        } else if self.waiting.len() < QUEUE_MAX {
            self.waiting.push_back(attempt);
            Offered::Waits
        } else {
            Offered::TurnedAway
        }
    }

    /// It is done with one: the next that it begins, if one waits. It does not know that a client has given up.
    pub fn done(&mut self) -> Option<u64> {
        let next = self.waiting.pop_front();
        self.busy -= usize::from(next.is_none());
        next
    }
}
