//! The thread that sends spans in batches. It tries each until the collector has taken it or the tries are used up, and logs once
//! when the collector fails and once when it takes spans again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use evenkeel_observe::{Registry, RequestTrace, TraceMessage};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::runtime::Runtime;

use crate::client::{Collector, Failure, Posting};
use crate::exporter::{Orders, lock};
use crate::span::spans;

/// Spans in one post at most; about 300 KiB.
const POST_MAX: usize = 512;
/// The most spans that wait here, beside those in the channel.
const WAITING_MAX: usize = 4_096;
/// How long spans wait for others to be sent with.
const DELAY: Duration = Duration::from_millis(500);
/// How often a post is tried.
const TRIES_MAX: u32 = 5;
/// The pause after the first failure; it doubles with each that follows.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What the thread owns.
pub(crate) struct Sending {
    runtime: Runtime,
    orders: Arc<Orders>,
    registry: Arc<Registry>,
    collector: Option<(Collector, Option<Posting>)>,
    waiting: VecDeque<SpanData>,
    /// Since when spans wait.
    since: Option<Instant>,
    /// How often the post at the front of what waits has failed.
    tries: u32,
    failing: Option<Failing>,
}

/// The collector takes nothing.
struct Failing {
    since: Instant,
    /// Failures in a row.
    count: u32,
    /// When to try again.
    until: Instant,
    /// Spans that had been lost before.
    dropped: u64,
}

impl Sending {
    pub(crate) fn new(orders: Arc<Orders>, registry: Arc<Registry>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            runtime,
            orders,
            registry,
            collector: None,
            waiting: VecDeque::new(),
            since: None,
            tries: 0,
            failing: None,
        })
    }

    pub(crate) fn run(mut self, receiver: &Receiver<TraceMessage>) {
        loop {
            let wait = self.due().map(|due| due.saturating_duration_since(Instant::now()));
            let message = match wait {
                Some(wait) => match receiver.recv_timeout(wait) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match receiver.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                },
            };
            self.obey();
            message.into_iter().for_each(|message| self.take(message));
            let finishes = self.orders.finish.load(Ordering::Acquire);
            if finishes {
                receiver.try_iter().for_each(|message| self.take(message));
                self.until_empty();
                return;
            }
            if self.due().is_some_and(|due| due <= Instant::now()) || self.waiting.len() >= POST_MAX {
                self.post_if_due();
            }
        }
    }

    /// When to send the next batch.
    fn due(&self) -> Option<Instant> {
        let since = self.since?;
        let due = if self.waiting.len() >= POST_MAX { since } else { since + DELAY };
        Some(self.failing.as_ref().map_or(due, |failing| failing.until.max(due)))
    }

    fn obey(&mut self) {
        let Some(collector) = lock(&self.orders.collector).take() else { return };
        if collector.as_ref() != self.collector.as_ref().map(|(collector, _)| collector) {
            self.collector = collector.map(|collector| (collector, None));
            (self.failing, self.tries) = (None, 0);
        }
    }

    fn take(&mut self, message: TraceMessage) {
        let TraceMessage::Batch(batch) = message else { return };
        for request in batch {
            self.add(request);
        }
    }

    fn add(&mut self, request: RequestTrace) {
        let count = request.spans();
        if self.collector.is_none() || self.waiting.len() + count as usize > WAITING_MAX {
            return self.registry.spans_dropped.add(count);
        }
        self.since.get_or_insert_with(Instant::now);
        self.waiting.extend(spans(request));
    }

    /// Sends a batch now, unless a failing collector has to wait for its next try.
    fn post_if_due(&mut self) {
        if self.failing.as_ref().is_none_or(|failing| failing.until <= Instant::now()) {
            self.post();
        }
    }

    /// Sends all that waits, as long as the collector takes it.
    fn until_empty(&mut self) {
        while !self.waiting.is_empty() && self.post() {}
        self.registry.spans_dropped.add(self.waiting.len() as u64);
    }

    /// Sends one batch; true if the collector has taken it.
    fn post(&mut self) -> bool {
        let count = self.waiting.len().min(POST_MAX);
        if count == 0 {
            self.since = None;
            return false;
        }
        match self.send(count) {
            Ok(()) => {
                self.registry.spans_exported.add(count as u64);
                self.forget(count);
                self.works_again();
                true
            }
            Err(failure) => {
                self.tries += 1;
                self.fails(&failure);
                if !failure.is_passing || self.tries >= TRIES_MAX {
                    self.registry.spans_dropped.add(count as u64);
                    self.forget(count);
                }
                false
            }
        }
    }

    fn forget(&mut self, count: usize) {
        self.waiting.drain(..count);
        self.tries = 0;
        self.since = (!self.waiting.is_empty()).then(Instant::now);
    }

    fn send(&mut self, count: usize) -> Result<(), Failure> {
        let Some((collector, posting)) = &mut self.collector else {
            return Err(Failure { why: "[tracing] names no collector any more".into(), is_passing: false });
        };
        let posting = match posting {
            Some(posting) => posting,
            None => {
                let made = collector.connect().map_err(|why| Failure { why, is_passing: true })?;
                posting.insert(made)
            }
        };
        let batch: Vec<_> = self.waiting.iter().take(count).cloned().collect();
        // The spans stay until they are taken.
        match self.runtime.block_on(posting.exporter.export(batch)) {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(posting.failure().unwrap_or(Failure { why: error.to_string(), is_passing: false }))
            }
        }
    }

    fn fails(&mut self, failure: &Failure) {
        let now = Instant::now();
        let url = self.collector.as_ref().map_or("", |(collector, _)| collector.url());
        let failing = self.failing.get_or_insert_with(|| {
            let why = &failure.why;
            tracing::warn!(
                url,
                "cannot send spans to the collector of [tracing]: {why}; spans are dropped if this persists"
            );
            Failing { since: now, count: 0, until: now, dropped: self.registry.spans_dropped.value() }
        });
        failing.until = now + (PAUSE * 2_u32.saturating_pow(failing.count.min(8))).min(PAUSE_MAX);
        failing.count += 1;
    }

    fn works_again(&mut self) {
        let Some(failing) = self.failing.take() else { return };
        let dropped = self.registry.spans_dropped.value().saturating_sub(failing.dropped);
        let seconds = failing.since.elapsed().as_secs();
        let url = self.collector.as_ref().map_or("", |(collector, _)| collector.url());
        tracing::info!(url, dropped, "the collector of [tracing] takes spans again, after {seconds} s");
    }
}
