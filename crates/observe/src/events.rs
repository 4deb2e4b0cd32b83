//! What has happened lately, for people: changes of state and what operators did, numbered, the last thousand of them.
//!
//! Nothing here lies on the path of a request: an event is a change of state, and each change is recorded once, where it
//! is logged.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_types::{BackendId, ListenerName, PoolName, cut, one_line};

use crate::names::label;

/// Events that are kept; at most 2 KiB each.
pub const EVENTS_MAX: usize = 1_000;
/// Bytes of a sentence of an event. Reasons may hold text from outside, such as the answer of a server.
pub const TEXT_BYTES_MAX: usize = 500;
/// Readers that wait for the next event. The admin API admits fewer streams than that.
const WAITING_MAX: usize = 256;

label! {
    /// What an event is about.
    EventKind {
        /// A server's state has changed.
        Health = "health",
        /// A server was ejected or has come back from that, or ejected servers are used because too few are left.
        Ejection = "ejection",
        /// A circuit breaker has changed its state.
        Breaker = "breaker",
        /// The configuration was read again, with or without success.
        Reload = "reload",
        /// A person or a program has changed something by the admin API.
        Operator = "operator",
        /// Servers were discovered or are gone, or discovery fails or works again.
        Discovery = "discovery",
        /// A certificate was replaced, could not be, or is near its end.
        Certificate = "certificate",
        /// The process withdraws, because it runs short of something, or no longer does.
        Overload = "overload",
        /// Another process takes over, or was to.
        Upgrade = "upgrade",
    }
}

label! {
    /// How bad an event is.
    Severity {
        /// It is as it should be.
        Info = "info",
        /// It should be looked at.
        Warning = "warning",
        /// Clients notice it, or will soon.
        Critical = "critical",
    }
}

impl EventKind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Grows by one with each event, from 1 when the process starts.
    pub seq: u64,
    /// When, as seconds since the Unix epoch.
    pub at: f64,
    /// What it is about.
    pub kind: EventKind,
    /// How bad it is.
    pub severity: Severity,
    /// What has happened, as a sentence.
    pub what: String,
    /// The pool that it concerns.
    pub pool: Option<PoolName>,
    /// The server that it concerns, of that pool.
    pub server: Option<BackendId>,
    /// The listener that it concerns.
    pub listener: Option<ListenerName>,
    /// The person or program that caused it, as far as that is known.
    pub who: Option<String>,
    /// The reason that the person or program gave.
    pub why: Option<String>,
}

impl Event {
    /// Something that happens now.
    pub fn new(kind: EventKind, severity: Severity, what: impl Into<String>) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        Self {
            seq: 0,
            at,
            kind,
            severity,
            what: plain(&what.into()),
            pool: None,
            server: None,
            listener: None,
            who: None,
            why: None,
        }
    }

    /// The same about a pool.
    pub fn pool(self, pool: &PoolName) -> Self {
        Self { pool: Some(pool.clone()), ..self }
    }

    /// The same about a server of a pool.
    pub fn server(self, pool: &PoolName, server: &BackendId) -> Self {
        Self { server: Some(server.clone()), ..self.pool(pool) }
    }

    /// The same about a listener.
    pub fn listener(self, listener: &ListenerName) -> Self {
        Self { listener: Some(listener.clone()), ..self }
    }

    /// The same with who caused it, and the reason that was given.
    pub fn by(self, who: Option<String>, why: Option<String>) -> Self {
        Self { who: who.as_deref().map(plain), why: why.as_deref().map(plain), ..self }
    }
}

/// The last [`EVENTS_MAX`] events. Any thread records and reads; both take a lock for a moment.
#[derive(Debug, Default)]
pub struct Events(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    /// The last one of each kind, in the order of the kinds, however long ago it was.
    lasts: [Option<Event>; EventKind::ALL.len()],
    /// The number of the last one.
    last: u64,
    waiting: Vec<Waker>,
}

impl Events {
    /// Records an event and wakes those that wait for one. Its number is returned.
    pub fn record(&self, event: Event) -> u64 {
        let mut ring = self.lock();
        ring.last += 1;
        let seq = ring.last;
        if ring.events.len() == EVENTS_MAX {
            ring.events.pop_front();
        }
        let event = Event { seq, ..event };
        ring.lasts[event.kind as usize] = Some(event.clone());
        ring.events.push_back(event);
        let waiting = std::mem::take(&mut ring.waiting);
        drop(ring);
        waiting.into_iter().for_each(Waker::wake);
        seq
    }

    /// The number of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// The last event of a kind, however many others have come since.
    pub fn last_of(&self, kind: EventKind) -> Option<Event> {
        self.lock().lasts[kind as usize].clone()
    }

    /// At most `limit` of the kept events, the newest first; only those of `kind` if there is one.
    pub fn newest(&self, limit: usize, kind: Option<EventKind>) -> Vec<Event> {
        let ring = self.lock();
        let wanted = |event: &&Event| kind.is_none_or(|kind| event.kind == kind);
        ring.events.iter().rev().filter(wanted).take(limit).cloned().collect()
    }

    /// The kept events with numbers above `seq`, the oldest first. An empty list is never returned: while there is none, the
    /// task of `cx` is woken by the next one.
    pub fn poll_after(&self, seq: u64, cx: &Context<'_>) -> Poll<Vec<Event>> {
        let mut ring = self.lock();
        let newer = ring.last.saturating_sub(seq.min(ring.last));
        if newer > 0 {
            let skipped = ring.events.len().saturating_sub(usize::try_from(newer).unwrap_or(usize::MAX));
            return Poll::Ready(ring.events.iter().skip(skipped).cloned().collect());
        }
        let is_known = ring.waiting.iter().any(|waker| waker.will_wake(cx.waker()));
        if !is_known && ring.waiting.len() < WAITING_MAX {
            ring.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// No holder leaves a change half done, so what a panic left behind is sound.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text for a screen, whose lines become one, without the colours of terminals, and without what exceeds [`TEXT_BYTES_MAX`].
fn plain(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            // ECMA-48, 5.4: a control sequence ends with a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(if char.is_whitespace() { ' ' } else { char });
        }
    }
    cut(&one_line(&text), TEXT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn reload(what: &str) -> Event {
        Event::new(EventKind::Reload, Severity::Info, what)
    }

    #[test]
    fn the_last_thousand_events_are_kept_under_their_numbers() {
        let events = Events::default();
        assert_eq!((events.last(), events.newest(9, None)), (0, Vec::new()));
        for number in 1..=EVENTS_MAX as u64 + 5 {
            assert_eq!(events.record(reload(&number.to_string())), number);
        }
        let kept = events.newest(usize::MAX, None);
        assert_eq!(kept.len(), EVENTS_MAX);
        assert_eq!((kept[0].seq, kept.last().unwrap().seq), (1_005, 6));
        assert!(kept.iter().all(|event| event.what == event.seq.to_string()));
        assert_eq!(events.newest(3, None).len(), 3);
        events.record(Event::new(EventKind::Health, Severity::Info, "up"));
        (0..EVENTS_MAX).for_each(|_| _ = events.record(reload("again")));
        assert!(events.newest(1, Some(EventKind::Health)).is_empty());
        assert_eq!(events.last_of(EventKind::Health).unwrap().what, "up");
    }

    #[test]
    fn events_of_one_kind_are_found_among_others() {
        let events = Events::default();
        events.record(reload("a"));
        events.record(Event::new(EventKind::Health, Severity::Critical, "b"));
        events.record(reload("c"));
        let of = |kind| events.newest(9, kind).into_iter().map(|event| event.what).collect::<Vec<_>>();
        assert_eq!(of(Some(EventKind::Reload)), ["c", "a"]);
        assert_eq!(of(EventKind::named("health")), ["b"]);
        assert_eq!(EventKind::named("weather"), None);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = reload(&"ü".repeat(400)).what;
        assert!(cut.len() <= TEXT_BYTES_MAX && cut.ends_with("ü…"), "{cut}");
        assert_eq!(reload(&"x".repeat(TEXT_BYTES_MAX)).what.len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn what_comes_from_outside_cannot_paint_the_screen() {
        assert_eq!(reload("\u{1b}[1;31merror\u{1b}[0m: a\nb\u{7}").what, "error: a b\\u{7}");
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_reader_that_waits_is_woken_once_and_gets_what_is_new() {
        let (events, count) = (Events::default(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        assert!(events.poll_after(0, &cx).is_pending());
        assert!(events.poll_after(0, &cx).is_pending());
        events.record(reload("a"));
        events.record(reload("b"));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let new = |seq| match events.poll_after(seq, &cx) {
            Poll::Ready(events) => events.into_iter().map(|event| event.what).collect(),
            Poll::Pending => Vec::new(),
        };
        assert_eq!(new(0), ["a", "b"]);
        assert_eq!(new(1), ["b"]);
        assert_eq!(new(2), [""; 0]);
        // A number of another process, which had more of them.
        assert_eq!(new(77), [""; 0]);
    }
}
