//! The content of the screen, and how keys change it. It knows no terminal and no clock.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::message::{Event, Message, Now, Pool, Server, Tick};

/// Seconds of the curve.
const SECONDS_MAX: usize = 300;
/// Events that are kept.
const EVENTS_MAX: usize = 200;
/// After so long without a message the figures are stale.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// Characters of a filter.
const FILTER_MAX: usize = 60;
/// Lines of a page.
const PAGE: usize = 10;

/// By what the servers of a pool, and the pools, are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// As in the configuration.
    Configured,
    /// Requests a second, the most first.
    Rate,
    /// Errors a second, the most first.
    Errors,
    /// 99 % of the requests took no longer, the longest first.
    Latency,
    /// Requests in flight, the most first.
    InFlight,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Configured, Self::Rate, Self::Errors, Self::Latency, Self::InFlight];

    /// For the line of keys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Configured => "configuration",
            Self::Rate => "requests",
            Self::Errors => "errors",
            Self::Latency => "p99",
            Self::InFlight => "in flight",
        }
    }

    fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    fn order(self, a: &Now, b: &Now) -> Ordering {
        let latency = |now: &Now| now.p99.unwrap_or(-1.0);
        match self {
            Self::Configured => Ordering::Equal,
            Self::Rate => b.rps.total_cmp(&a.rps),
            Self::Errors => b.errors.total_cmp(&a.errors),
            Self::Latency => latency(b).total_cmp(&latency(a)),
            Self::InFlight => b.in_flight.cmp(&a.in_flight),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub enum Row<'t> {
    /// A pool, and how many servers it has.
    Pool(&'t Pool),
    /// A server of it.
    Server(&'t Server),
}

/// All that the screen shows.
#[derive(Debug)]
pub struct State {
    /// The last second; none before the first.
    pub tick: Option<Box<Tick>>,
    /// Requests a second, the oldest first.
    pub rates: VecDeque<u64>,
    /// The newest first.
    pub events: VecDeque<Event>,
    /// When the last second came.
    received: Option<Instant>,
    /// Why there is no stream.
    pub trouble: Option<String>,
    /// The order of the table.
    pub sort: Sort,
    /// Only servers and pools that have this in their names.
    pub filter: String,
    /// The filter is being typed.
    pub is_typing: bool,
    /// Only servers that are not up.
    pub only_down: bool,
    /// The keys are explained.
    pub is_help: bool,
    /// Lines of the table above the first one shown.
    pub scroll: usize,
}

impl State {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            tick: None,
            rates: VecDeque::new(),
            events: VecDeque::new(),
            received: None,
            trouble: None,
            sort: Sort::Configured,
            filter: String::new(),
            is_typing: false,
            only_down: false,
            is_help: false,
            scroll: 0,
        }
    }

    /// Takes in a message.
    pub fn take(&mut self, message: Message, now: Instant) {
        match message {
            Message::History(points) => {
                self.rates = points.iter().map(|point| point.rps.round() as u64).collect();
            }
            Message::Tick(tick) => {
                push_bounded(&mut self.rates, tick.point.rps.round() as u64, SECONDS_MAX);
                (self.tick, self.received, self.trouble) = (Some(tick), Some(now), None);
            }
            Message::Event(event) => {
                self.events.truncate(EVENTS_MAX - 1);
                self.events.push_front(event);
            }
            Message::Lost(why) => self.trouble = Some(why),
        }
    }

    /// For how long nothing has come, if that is too long.
    pub fn stale(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.received?);
        (since > STALE_AFTER).then_some(since)
    }

    /// Carries out a key; false if it quits.
    pub fn press(&mut self, key: KeyEvent) -> bool {
        // In raw mode it is a key and no signal.
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code != KeyCode::Char('c');
        }
        if self.is_typing {
            self.type_filter(key.code);
            return true;
        }
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Esc if !self.is_help && self.filter.is_empty() => return false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_help = false;
            }
            KeyCode::Char('?' | 'h') => self.is_help = !self.is_help,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('d') => (self.only_down, self.scroll) = (!self.only_down, 0),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Down | KeyCode::Char('j') => self.scroll_to(self.scroll + 1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_to(self.scroll.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll_to(self.scroll + PAGE),
            KeyCode::PageUp => self.scroll_to(self.scroll.saturating_sub(PAGE)),
            KeyCode::Home => self.scroll = 0,
            KeyCode::End => self.scroll_to(usize::MAX),
            _ => {}
        }
        true
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(char) if self.filter.chars().count() < FILTER_MAX => self.filter.push(char),
            _ => {}
        }
        self.scroll = 0;
    }

    fn scroll_to(&mut self, line: usize) {
        self.scroll = line.min(self.rows().len().saturating_sub(1));
    }

    /// The lines of the table. A pool without servers to show is left out while something is left out.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let Some(tick) = &self.tick else { return Vec::new() };
        let mut pools: Vec<&Pool> = tick.status.pools.iter().collect();
        pools.sort_by(|a, b| self.sort.order(&a.now, &b.now));
        let filter = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&filter);
        let mut rows = Vec::new();
        for pool in pools {
            let is_named = has(&pool.name);
            let shows = |server: &&Server| {
                (!self.only_down || server.state != "up")
                    && (is_named || has(&server.id) || has(&server.address))
            };
            let mut servers: Vec<&Server> = pool.servers.iter().filter(shows).collect();
            let is_out = self.only_down && pool.usable > 0 || !is_named;
            if servers.is_empty() && is_out {
                continue;
            }
            servers.sort_by(|a, b| self.sort.order(&a.now, &b.now));
            rows.push(Row::Pool(pool));
            rows.extend(servers.into_iter().map(Row::Server));
        }
        rows
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}
