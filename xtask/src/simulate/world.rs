//! The simulated world: clients, servers and time, as one queue of events. Same setup and seed, same course.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use evenkeel_config::Pool;
use evenkeel_core::health::{Administrative, Failure, ProbeFailure, State};
use evenkeel_types::Time;
use fastrand::Rng;

use super::balancer::{Balancer, Next};
use super::chance::{Service, exponential};
use super::outcome::Outcome;
use super::server::{Fault, Offered, Server};

/// For a refused connection, a failure, a probe, or an answer that costs no work.
const INSTANT: Duration = Duration::from_millis(1);

/// Who asks what of whom.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The pool.
    pub pool: Pool,
    /// Requests that a server works on at a time.
    pub slots: usize,
    /// How long a request takes.
    pub service: Service,
    /// Its mean.
    pub mean: Duration,
    /// How many requests come.
    pub requests: usize,
    /// Between two of them, on average.
    pub gap: Duration,
    /// The share of requests that one client alone sends. There are 100,000 others.
    pub hot: f64,
    /// What happens to which server, and when.
    pub faults: Vec<(Time, usize, Fault)>,
}

impl Setup {
    /// When about the last request comes.
    pub fn end(&self) -> Time {
        Time::ZERO + self.gap.mul_f64(self.requests as f64)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Fault(usize),
    Arrival,
    /// A server is done with a try that it began in this life, with this status.
    Done(u64, usize, u32, u16),
    /// A connection was refused, or a request turned away with this status.
    Rejected(u64, usize, Option<u16>),
    TimedOut(u64),
    Probe(usize),
    Probed(usize),
    Poll,
}

#[derive(Debug, Clone)]
struct Request {
    client: u32,
    began: Time,
    sent: Time,
    /// The server that has it, and the number of the try.
    on: Option<(usize, u64)>,
    tried: Vec<usize>,
    is_over: bool,
}

struct World<'s> {
    setup: &'s Setup,
    now: Time,
    rng: Rng,
    events: BinaryHeap<Reverse<(Time, u64, What)>>,
    events_total: u64,
    servers: Vec<Server>,
    balancer: Balancer,
    requests: Vec<Request>,
    /// The request of each try.
    attempts: Vec<usize>,
    poll_at: Option<Time>,
    outcome: Outcome,
}

/// Lets the world run to the end of the last request.
///
/// # Panics
/// When something happens that must not.
pub fn run(setup: &Setup, seed: u64) -> Outcome {
    let count = setup.pool.backends.len();
    let mut world = World {
        setup,
        now: Time::ZERO,
        rng: Rng::with_seed(seed),
        events: BinaryHeap::new(),
        events_total: 0,
        servers: vec![Server::new(setup.slots); count],
        balancer: Balancer::new(setup.pool.clone(), seed),
        requests: Vec::with_capacity(setup.requests),
        attempts: Vec::new(),
        poll_at: None,
        outcome: Outcome::new(count),
    };
    for (nth, (at, ..)) in setup.faults.iter().enumerate() {
        world.at(*at, What::Fault(nth));
    }
    for server in 0..count {
        world.plan_probe(server);
    }
    // Probes have had their first answers.
    world.at(Time::from_millis(50), What::Arrival);
    let mut left = setup.requests;
    while left > 0 {
        let Reverse((at, _, what)) = world.events.pop().expect("each request ends, by its timeout at last");
        assert!(at >= world.now, "time goes back");
        world.now = at;
        left -= world.happen(what);
        world.plan_poll();
    }
    world.finish()
}

impl World<'_> {
    fn at(&mut self, time: Time, what: What) {
        self.events_total += 1;
        self.events.push(Reverse((time, self.events_total, what)));
    }

    fn after(&mut self, wait: Duration, what: What) {
        self.at(self.now + wait, what);
    }

    /// How many requests have ended by it.
    fn happen(&mut self, what: What) -> usize {
        match what {
            What::Fault(nth) => return self.suffer(nth),
            What::Arrival => return self.arrive(),
            What::Done(attempt, server, life, status) => {
                if self.servers[server].life != life {
                    return 0;
                }
                if let Some(next) = self.servers[server].done() {
                    self.begin(next, server);
                }
                if let Some(request) = self.holder(attempt) {
                    return self.answer(request, server, status);
                }
            }
            What::Rejected(attempt, server, status) => {
                let Some(request) = self.holder(attempt) else { return 0 };
                return match status {
                    Some(status) => self.answer(request, server, status),
                    None => self.fail(request, server, Failure::Connect),
                };
            }
            What::TimedOut(attempt) => {
                if let Some(request) = self.holder(attempt)
                    && let Some((server, _)) = self.requests[request].on
                {
                    return self.fail(request, server, Failure::Timeout);
                }
            }
            What::Probe(server) => self.after(INSTANT, What::Probed(server)),
            What::Probed(server) => {
                let Server { is_dead, failing, .. } = self.servers[server];
                let result = match () {
                    () if is_dead => Err(ProbeFailure::Refused),
                    () if self.rng.f64() < failing => Err(ProbeFailure::Status(503)),
                    () => Ok(()),
                };
                self.balancer.probed(server, result, self.now);
                self.plan_probe(server);
            }
            What::Poll => {
                self.poll_at = None;
                self.balancer.poll(self.now);
            }
        }
        0
    }

    fn arrive(&mut self) -> usize {
        if self.requests.len() + 1 < self.setup.requests {
            let gap = exponential(self.setup.gap, &mut self.rng);
            self.after(gap, What::Arrival);
        }
        let client = if self.rng.f64() < self.setup.hot { 0 } else { 1 + self.rng.u32(..100_000) };
        let (began, sent) = (self.now, self.now);
        self.requests.push(Request { client, began, sent, on: None, tried: Vec::new(), is_over: false });
        self.send(self.requests.len() - 1)
    }

    /// Gives a request to the server that the balancer chooses.
    fn send(&mut self, nth: usize) -> usize {
        let request = &mut self.requests[nth];
        assert!(
            request.on.is_none() && !request.is_over,
            "a request is on two servers, or goes on after its end"
        );
        let Some(server) = self.balancer.choose(request.client, &request.tried, self.now) else {
            return self.end(nth, false);
        };
        let attempt = self.attempts.len() as u64;
        self.attempts.push(nth);
        request.on = Some((server, attempt));
        request.sent = self.now;
        self.outcome.sent(server);
        match self.servers[server].offer(attempt) {
            Offered::Refused => self.after(INSTANT, What::Rejected(attempt, server, None)),
            Offered::TurnedAway => self.after(INSTANT, What::Rejected(attempt, server, Some(503))),
            Offered::Begun => self.begin(attempt, server),
            Offered::Waits => {}
        }
        self.after(self.setup.pool.timeout.response, What::TimedOut(attempt));
        0
    }

    /// A server begins to work on a try.
    fn begin(&mut self, attempt: u64, server: usize) {
        let Server { slowness, failing, life, .. } = self.servers[server];
        let fails = self.rng.f64() < failing;
        let work = self.setup.service.draw(self.setup.mean, &mut self.rng).mul_f64(slowness);
        let (took, status) = if fails { (INSTANT, 503) } else { (work, 200) };
        self.after(took, What::Done(attempt, server, life, status));
    }

    /// The request whose try this is, if it still waits for it.
    fn holder(&self, attempt: u64) -> Option<usize> {
        let nth = self.attempts[attempt as usize];
        self.requests[nth].on.is_some_and(|(_, on)| on == attempt).then_some(nth)
    }

    fn answer(&mut self, nth: usize, server: usize, status: u16) -> usize {
        self.requests[nth].on = None;
        let took = self.now - self.requests[nth].sent;
        self.balancer.answered(server, status, took, self.now);
        if status < 500 { self.end(nth, true) } else { self.go_on(nth, server, Failure::Status(status)) }
    }

    fn fail(&mut self, nth: usize, server: usize, failure: Failure) -> usize {
        self.requests[nth].on = None;
        self.balancer.failed(server, failure, self.now);
        self.go_on(nth, server, failure)
    }

    fn go_on(&mut self, nth: usize, server: usize, failure: Failure) -> usize {
        self.requests[nth].tried.push(server);
        match self.balancer.after(failure, self.requests[nth].tried.len()) {
            Next::GiveUp => self.end(nth, false),
            Next::Elsewhere => self.send(nth),
        }
    }

    fn end(&mut self, nth: usize, is_good: bool) -> usize {
        let request = &mut self.requests[nth];
        assert!(!request.is_over, "a request ends twice");
        request.is_over = true;
        // The first tenth is for warming up.
        if nth * 10 >= self.setup.requests {
            self.outcome.ended(is_good.then_some(self.now - request.began));
        }
        1
    }

    fn suffer(&mut self, nth: usize) -> usize {
        let (_, server, fault) = self.setup.faults[nth];
        self.outcome.hurt(server);
        self.servers[server].suffer(fault);
        match fault {
            Fault::Drain => self.balancer.administer(server, Administrative::Drain, self.now),
            Fault::Ready => self.balancer.administer(server, Administrative::Ready, self.now),
            Fault::Dead => {
                let on_it = |it: &usize| self.requests[*it].on.is_some_and(|(on, _)| on == server);
                let lost: Vec<usize> = (0..self.requests.len()).filter(on_it).collect();
                return lost.into_iter().map(|request| self.fail(request, server, Failure::Reset)).sum();
            }
            _ => {}
        }
        0
    }

    fn plan_probe(&mut self, server: usize) {
        if let Some(at) = self.balancer.next_probe(server, self.now) {
            self.at(at.max(self.now), What::Probe(server));
        }
    }

    fn plan_poll(&mut self) {
        if let Some(due) = self.balancer.due()
            && self.poll_at.is_none_or(|at| at > due)
        {
            self.poll_at = Some(due);
            self.at(due.max(self.now), What::Poll);
        }
    }

    fn finish(mut self) -> Outcome {
        for server in 0..self.servers.len() {
            assert_eq!(
                self.balancer.in_flight(server),
                0,
                "server {server} has requests in flight after the end"
            );
        }
        let up = (0..self.servers.len()).map(|server| self.balancer.state(server) == State::Up).collect();
        let (ejections, panics) = (self.balancer.ejections, self.balancer.panics);
        self.outcome.close(self.balancer.config(), up, ejections, panics);
        self.outcome
    }
}
