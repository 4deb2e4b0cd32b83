//! One thread of the generator: its connections, each with a client that takes turns.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::connect::{Dialer, Slot};
use crate::cpu::{Busy, Reading};
use crate::options::{Load, Options};
use crate::pace::Pace;
use crate::record::{Answer, Ended, Failure, Fault, Record};
use crate::schedule::Schedule;

/// How long a connection of a closed loop rests after a failure to connect, so that it does not spin.
const REST: Duration = Duration::from_millis(100);

/// What all threads have in common.
pub struct Plan {
    /// What is asked for.
    pub options: Options,
    /// Opens connections.
    pub dialer: Dialer,
    /// Requests that ended, for those who watch.
    pub ended: AtomicU64,
    /// Those of them that failed.
    pub errors: AtomicU64,
    /// Lets all threads begin at once.
    pub ready: Barrier,
    /// The length of [`Record::intervals`].
    pub width: Duration,
}

/// What a thread did.
pub struct Done {
    /// What it counted.
    pub record: Record,
    /// How busy it was between the warm-up and the end.
    pub busy: Busy,
    /// When its last request ended, since the begin.
    pub ended: Duration,
}

impl Plan {
    /// When no more requests start.
    pub fn end(&self) -> Option<Duration> {
        self.options.duration.map(|duration| self.options.warmup + duration)
    }

    fn schedule(&self) -> Option<Schedule> {
        let (warmup, duration) = (self.options.warmup, self.options.duration.unwrap_or(Duration::MAX));
        match self.options.load {
            Load::Closed => None,
            Load::Rate(rate) => Some(Schedule::new(rate, rate, warmup, duration)),
            Load::Ramp { from, to } => Some(Schedule::new(from, to, warmup, duration)),
        }
    }
}

struct Thread {
    plan: Arc<Plan>,
    pace: Pace,
    record: RefCell<Record>,
    readings: Cell<(Option<Reading>, Option<Reading>)>,
}

/// Runs thread `number` to its end, or until `stop` says so.
///
/// # Errors
/// The system refuses what a thread needs.
pub fn run(plan: Arc<Plan>, number: usize, stop: watch::Receiver<bool>) -> io::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Whatever happens, the other threads wait for this one.
    plan.ready.wait();
    LocalSet::new().block_on(&runtime?, attend(plan, number, stop))
}

async fn attend(plan: Arc<Plan>, number: usize, mut stop: watch::Receiver<bool>) -> io::Result<Done> {
    let options = &plan.options;
    let share = (number as u64, options.threads as u64);
    let pace = Pace::new(Instant::now(), plan.schedule(), plan.end(), options.requests, share)?;
    let splits = options.split_by.is_some();
    let record = Record::new(options.scenario.requests().len(), options.warmup, plan.width, splits);
    let (record, readings) = (RefCell::new(record), Cell::default());
    let thread = Rc::new(Thread { plan: plan.clone(), pace, record, readings });
    let mut clients = JoinSet::new();
    let mut slots = Vec::new();
    let dialer = Rc::new(plan.dialer.clone());
    // Connections that do not divide evenly go to the first threads.
    for _ in (number..options.connections).step_by(options.threads) {
        let slot = Rc::new(Slot::new(dialer.clone(), options.new_connections));
        slots.push(slot.clone());
        for _ in 0..options.streams {
            clients.spawn_local(client(thread.clone(), slot.clone()));
        }
    }
    let readings = tokio::task::spawn_local(read(thread.clone()));
    let all = async {
        while let Some(client) = clients.join_next().await {
            client.map_err(io::Error::other)??;
        }
        io::Result::Ok(())
    };
    tokio::select! {
        ended = all => ended?,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    readings.abort();
    let ended = thread.pace.now();
    let last = Reading::of_thread();
    let (first, second) = thread.readings.get();
    let busy = first.map_or_else(Busy::default, |first| first.until(second.unwrap_or(last)));
    let mut record = thread.record.borrow().clone();
    record.connections = slots.iter().map(|slot| slot.opened()).sum();
    record.never_started = thread.pace.never_started(ended);
    Ok(Done { record, busy, ended })
}

/// Reads the thread's CPU time when the warm-up is over, and at the planned end: what follows is only waiting.
async fn read(thread: Rc<Thread>) {
    sleep(thread.plan.options.warmup).await;
    let first = Reading::of_thread();
    thread.readings.set((Some(first), None));
    if let Some(end) = thread.plan.end() {
        sleep(end.saturating_sub(thread.pace.now())).await;
        thread.readings.set((Some(first), Some(Reading::of_thread())));
    }
}

/// Sends one request after the other, in its turns.
async fn client(thread: Rc<Thread>, slot: Rc<Slot>) -> io::Result<()> {
    let options = &thread.plan.options;
    let mut random = |below: u64| fastrand::u64(..below);
    while let Some(turn) = thread.pace.turn().await? {
        let request = options.scenario.choose(&mut random);
        let message = options.scenario.message(request, &options.target, options.http2, &mut random);
        let exchange = slot.exchange(message, options.split_by.as_ref());
        let result = timeout(options.timeout, exchange).await.unwrap_or_else(|_| {
            let why = format!("no whole response within {:?}", options.timeout);
            Err(Failure { fault: Fault::Timeout, why })
        });
        let done = thread.pace.now();
        thread.record.borrow_mut().count(&Ended { request, turn, done, result: &result });
        thread.plan.ended.fetch_add(1, Ordering::Relaxed);
        if failed(&result) {
            thread.plan.errors.fetch_add(1, Ordering::Relaxed);
        }
        let unreachable = matches!(&result, Err(Failure { fault: Fault::Connect | Fault::Tls, .. }));
        if unreachable && options.load == Load::Closed {
            sleep(REST).await;
        }
    }
    Ok(())
}

fn failed(result: &Result<Answer, Failure>) -> bool {
    result.as_ref().map_or(true, |answer| answer.status >= 400)
}
