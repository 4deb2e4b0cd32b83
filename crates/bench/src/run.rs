//! Starts the threads, shows how it goes, and adds up what they counted.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::connect::Dialer;
use crate::options::{Load, Options};
use crate::record::Record;
use crate::report::{Report, Target};
use crate::thread::{Done, Plan};
use crate::{cpu, tls, verdict};

/// How often the line on the terminal changes.
const SHOWN_EVERY: Duration = Duration::from_millis(500);
/// Stretches of time that a report has at most, or a few more.
const INTERVALS_MAX: u32 = 300;

/// Puts load on the target, until the duration is over, the requests are sent, or a signal ends it.
///
/// # Errors
/// The target has no address, or the system refuses what the run needs.
pub fn run(options: Options) -> Result<Report, String> {
    let addresses = options.target.resolve()?;
    let is_near = addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
    let pids = match &options.target_pids {
        pids if pids.is_empty() && is_near => cpu::listeners(options.target.port),
        pids => pids.clone(),
    };
    if let Some(pid) = options.target_pids.iter().find(|pid| cpu::of_processes(&[**pid]).is_none()) {
        return Err(format!("cannot read the CPU time of process {pid}: /proc/{pid}/stat"));
    }
    let dialer = Dialer { addresses: addresses.into(), tls: tls::connector(&options)?, http2: options.http2 };
    let (width, ready) = (width(options.duration), Barrier::new(options.threads + 1));
    let (ended, errors) = (AtomicU64::new(0), AtomicU64::new(0));
    let plan = Arc::new(Plan { options, dialer, ended, errors, ready, width });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let watched = runtime.and_then(|runtime| runtime.block_on(watch(&plan, &pids)));
    Ok(watched.map_err(|why| format!("the load cannot run: {why}"))?.report(&plan, pids))
}

/// How long the stretches are whose figures are kept apart.
fn width(duration: Option<Duration>) -> Duration {
    let second = Duration::from_secs(1);
    match duration {
        Some(duration) if duration <= 10 * second => Duration::from_millis(100),
        Some(duration) => second.max(Duration::from_secs(duration.as_secs().div_ceil(INTERVALS_MAX.into()))),
        None => second,
    }
}

/// A run that is over.
struct Watched {
    threads: Vec<Done>,
    target: Option<(Instant, Duration)>,
    target_end: Option<(Instant, Duration)>,
    interrupted: bool,
}

async fn watch(plan: &Arc<Plan>, pids: &[u32]) -> io::Result<Watched> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (stop, stopped) = watch::channel(false);
    let (done, mut finished) = mpsc::channel(plan.options.threads);
    for number in 0..plan.options.threads {
        let (plan, done, stopped) = (plan.clone(), done.clone(), stopped.clone());
        thread::Builder::new().name(format!("bench-{number}")).spawn(move || {
            let result = crate::thread::run(plan, number, stopped);
            let _ = done.blocking_send(result);
        })?;
    }
    plan.ready.wait();
    let begun = tokio::time::Instant::now();
    let mut line = Line::new(plan);
    let mut tick = interval(SHOWN_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let used = || cpu::of_processes(pids).map(|used| (Instant::now(), used));
    let mut watched = Watched { threads: Vec::new(), target: None, target_end: None, interrupted: false };
    let (mut is_warm, mut is_over) = (false, false);
    let warm = begun + plan.options.warmup;
    let over = begun + plan.end().unwrap_or(Duration::from_secs(86_400 * 365));
    while watched.threads.len() < plan.options.threads {
        tokio::select! {
            () = sleep_until(warm), if !is_warm => (is_warm, watched.target) = (true, used()),
            () = sleep_until(over), if !is_over => (is_over, watched.target_end) = (true, used()),
            _ = interrupt.recv() => watched.interrupted = stop.send(true).is_ok(),
            _ = terminate.recv() => watched.interrupted = stop.send(true).is_ok(),
            _ = tick.tick() => line.show(begun.elapsed()),
            Some(result) = finished.recv() => watched.threads.push(result?),
        }
    }
    line.clear();
    watched.target_end = watched.target_end.or_else(used);
    Ok(watched)
}

impl Watched {
    fn report(self, plan: &Plan, pids: Vec<u32>) -> Report {
        let options = &plan.options;
        let splits = options.split_by.is_some();
        let mut record = Record::new(options.scenario.requests().len(), options.warmup, plan.width, splits);
        for thread in &self.threads {
            record.add(&thread.record);
        }
        let ended = self.threads.iter().map(|thread| thread.ended).max().unwrap_or_default();
        // A run that was not cut short lasts as long as planned, although its last response may have come earlier.
        let is_short =
            self.interrupted || options.requests.is_some_and(|max| max <= plan.ended.load(Ordering::Relaxed));
        let end = plan.end().map_or(ended, |end| if is_short { end.min(ended) } else { end });
        let elapsed = end.saturating_sub(options.warmup);
        let target = match (self.target, self.target_end) {
            (Some((from, before)), Some((to, after))) if to > from => {
                let cores =
                    after.saturating_sub(before).as_secs_f64() / to.duration_since(from).as_secs_f64();
                Some(Target { pids, cores })
            }
            _ => None,
        };
        let generator: Vec<_> = self.threads.iter().map(|thread| thread.busy).collect();
        let lateness = Duration::from_micros(record.lateness.value_at_quantile(0.99));
        let is_open = options.load != Load::Closed;
        let invalid = verdict::reasons(is_open, elapsed, &generator, lateness, options.late_max);
        let options = options.clone();
        Report { options, record, elapsed, interrupted: self.interrupted, generator, target, invalid }
    }
}

/// The line on the terminal that says how it goes.
struct Line<'a> {
    plan: &'a Plan,
    shown: bool,
    before: (Duration, u64),
}

impl<'a> Line<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self { plan, shown: io::stderr().is_terminal(), before: (Duration::ZERO, 0) }
    }

    fn show(&mut self, now: Duration) {
        let ended = self.plan.ended.load(Ordering::Relaxed);
        let (then, before) = self.before;
        if !self.shown || now <= then {
            return;
        }
        let rate = (ended - before) as f64 / (now - then).as_secs_f64();
        self.before = (now, ended);
        let errors = self.plan.errors.load(Ordering::Relaxed);
        let of = self.plan.end().map_or_else(String::new, |end| format!(" of {:.0} s", end.as_secs_f64()));
        let phase = if now < self.plan.options.warmup { ", warming up" } else { "" };
        let text =
            format!("{:.0} s{of}{phase}: {ended} requests, {rate:.0}/s, {errors} errors", now.as_secs_f64());
        let _ = write!(io::stderr(), "\r\x1b[K{text}").and_then(|()| io::stderr().flush());
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K").and_then(|()| io::stderr().flush());
        }
    }
}
