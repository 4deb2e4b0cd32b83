//! The running exporter as the rest of the process sees it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use evenkeel_observe::{Registry, TraceMessage, Traces, WorkerTraces};

use crate::client::Collector;
use crate::thread::Sending;

/// How long [`Exporter::finish`] waits for a collector that takes nothing.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(2);

/// Orders to the thread; apart from the channel, so that a full channel does not delay them.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Where spans go from now on, if that has changed.
    pub(crate) collector: Mutex<Option<Option<Collector>>>,
    /// Send the waiting spans, and end.
    pub(crate) finish: AtomicBool,
}

/// Sends spans to the collector of the last [`configure`](Self::configure). Its thread starts with the first collector.
#[derive(Debug)]
pub struct Exporter {
    traces: Traces,
    orders: Arc<Orders>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// No collector was ever configured.
    Idle(Receiver<TraceMessage>),
    Running {
        thread: JoinHandle<()>,
        /// Closed by the thread when it ends.
        ended: Receiver<()>,
    },
    Gone,
}

impl Exporter {
    /// One without a collector; it counts in `registry`.
    pub fn new(registry: Arc<Registry>) -> Self {
        let (traces, receiver) = Traces::new(registry);
        Self { traces, orders: Arc::default(), state: Mutex::new(State::Idle(receiver)) }
    }

    /// The handle by which one worker adds its requests.
    pub fn worker(&self) -> WorkerTraces {
        self.traces.worker()
    }

    /// Sends spans to this collector from now on; with `None`, spans that still wait are lost.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn configure(&self, collector: Option<Collector>) -> io::Result<()> {
        let mut state = lock(&self.state);
        if collector.is_none() && matches!(*state, State::Idle(_)) {
            return Ok(());
        }
        *lock(&self.orders.collector) = Some(collector);
        *state = match std::mem::replace(&mut *state, State::Gone) {
            State::Idle(receiver) => self.start(receiver)?,
            other => other,
        };
        self.traces.wake();
        Ok(())
    }

    fn start(&self, receiver: Receiver<TraceMessage>) -> io::Result<State> {
        let sending = Sending::new(Arc::clone(&self.orders), Arc::clone(self.traces.registry()))?;
        let (alive, ended) = sync_channel(0);
        let run = move || {
            sending.run(&receiver);
            drop(alive);
        };
        let thread = thread::Builder::new().name("traces".into()).spawn(run)?;
        Ok(State::Running { thread, ended })
    }

    /// Sends what the workers have handed over, and ends the thread. Waits up to 2 s for a collector that takes nothing. Workers
    /// flush (or are dropped) first.
    pub fn finish(&self) {
        self.orders.finish.store(true, Ordering::Release);
        self.traces.wake();
        let State::Running { thread, ended } = std::mem::replace(&mut *lock(&self.state), State::Gone) else {
            return;
        };
        match ended.recv_timeout(FINISH_WAIT_MAX) {
            Err(RecvTimeoutError::Disconnected) => drop(thread.join()),
            // The thread ends with the process.
            _ => tracing::warn!(
                "the collector of [tracing] did not take the last spans within 2 s; they are lost"
            ),
        }
    }
}

/// Locks, even after a panic of a holder: none leaves a change half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
