//! The simulated world: clients, servers and time, as one queue of events. Same setup and seed, same course.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use evenkeel_config::{Pool, Retry};
use evenkeel_core::health::{Administrative, Failure, ProbeFailure, State};
use evenkeel_types::Time;
use fastrand::Rng;

use super::balancer::{Balancer, Course, Next, Step};
use super::chance::{Service, exponential};
use super::outcome::{Counts, End, Outcome};
use super::server::{Fault, Offered, Server};

/// For a refused connection, a failure, a probe, or an answer that costs no work.
const INSTANT: Duration = Duration::from_millis(1);

/// Who asks what of whom.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The pool.
    pub pool: Pool,
    /// What the route does about failed tries.
    pub retry: Retry,
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
    /// The share of requests that must not be sent twice.
    pub writes: f64,
    /// How long clients wait for an answer; `None` is as long as it takes.
    pub patience: Option<Duration>,
    /// How long it takes at most until a request notices that it has the place that it waited for.
    pub lag: Duration,
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
    Rejected(u64, Option<u16>),
    TimedOut(u64),
    /// A request has paused before its retry.
    Again(usize),
    /// A client has had enough.
    Gone(usize),
    /// A request notices that its bell has rung.
    Woken(usize),
    /// A request has waited long enough for a place, which is the wait of this number.
    WaitedOut(usize, u64),
    Probe(usize),
    Probed(usize),
    Poll,
}

#[derive(Debug)]
struct Request {
    course: Course,
    began: Time,
    is_write: bool,
    /// The server that has it, and the number of the try.
    on: Option<(usize, u64)>,
    /// Servers that have looked at it.
    seen_by: u32,
    /// The number of its wait for a place.
    waits: Option<u64>,
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
        balancer: Balancer::new(setup.pool.clone(), setup.retry.clone(), seed),
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
        left -= world.wake();
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
                    return self.answer(request, status);
                }
            }
            What::Rejected(attempt, status) => {
                let Some(request) = self.holder(attempt) else { return 0 };
                return match status {
                    Some(status) => self.answer(request, status),
                    None => self.fail(request, Failure::Connect),
                };
            }
            What::TimedOut(attempt) => {
                if let Some(request) = self.holder(attempt) {
                    return self.fail(request, Failure::Timeout);
                }
            }
            What::Again(request) => return self.send(request),
            What::Gone(request) => return self.end(request, End::Gone),
            What::Woken(request) => return self.resume(request),
            What::WaitedOut(request, wait) => {
                if self.requests[request].waits == Some(wait) {
                    return self.end(request, End::Refused);
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
        let is_write = self.setup.writes > 0.0 && self.rng.f64() < self.setup.writes;
        let (nth, method) = (self.requests.len(), if is_write { "POST" } else { "GET" });
        let course = self.balancer.arrived(nth, client, method, self.now);
        let began = self.now;
        self.requests.push(Request {
            course,
            began,
            is_write,
            on: None,
            seen_by: 0,
            waits: None,
            is_over: false,
        });
        if let Some(patience) = self.setup.patience {
            self.after(patience, What::Gone(nth));
        }
        self.send(nth)
    }

    /// Gives a request to the server that the balancer picks, if there is one.
    fn send(&mut self, nth: usize) -> usize {
        let request = &mut self.requests[nth];
        if request.is_over {
            return 0;
        }
        assert!(request.on.is_none(), "a request is on two servers");
        let step = self.balancer.pick(&mut request.course, self.now);
        self.go(nth, step)
    }

    /// Lets those go on who have got a place.
    fn wake(&mut self) -> usize {
        let mut ended = 0;
        loop {
            let rung = self.balancer.rung();
            if rung.is_empty() {
                self.balancer.check_queue();
                return ended;
            }
            for nth in rung {
                if self.setup.lag.is_zero() {
                    ended += self.resume(nth);
                } else {
                    let lag = self.setup.lag.mul_f64(self.rng.f64());
                    self.after(lag, What::Woken(nth));
                }
            }
        }
    }

    fn resume(&mut self, nth: usize) -> usize {
        let step = self.balancer.resume(&mut self.requests[nth].course, self.now);
        step.map_or(0, |step| self.go(nth, step))
    }

    fn go(&mut self, nth: usize, step: Step) -> usize {
        self.requests[nth].waits = None;
        match step {
            Step::Send(server) => self.offer(nth, server),
            Step::Wait(until) => {
                let wait = self.events_total;
                self.requests[nth].waits = Some(wait);
                self.at(until, What::WaitedOut(nth, wait));
                return 0;
            }
            Step::NoServer => return self.end(nth, End::Failed),
            Step::Refuse => return self.end(nth, End::Refused),
        }
        0
    }

    fn offer(&mut self, nth: usize, server: usize) {
        let attempt = self.attempts.len() as u64;
        self.attempts.push(nth);
        self.outcome.sent(server);
        let offered = self.servers[server].offer(attempt);
        let request = &mut self.requests[nth];
        assert!(!request.is_over, "a request goes on after its end");
        request.on = Some((server, attempt));
        request.seen_by += u32::from(offered != Offered::Refused);
        let most = if request.is_write { 1 } else { self.setup.retry.attempts };
        assert!(request.seen_by <= most, "{} servers saw a request that {most} may", request.seen_by);
        match offered {
            Offered::Refused => self.after(INSTANT, What::Rejected(attempt, None)),
            Offered::TurnedAway => self.after(INSTANT, What::Rejected(attempt, Some(503))),
            Offered::Begun => self.begin(attempt, server),
            Offered::Waits => {}
        }
        let within = self.setup.pool.timeout.response;
        let within = self.setup.retry.per_try_timeout.map_or(within, |per_try| per_try.min(within));
        self.after(within, What::TimedOut(attempt));
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

    fn answer(&mut self, nth: usize, status: u16) -> usize {
        let request = &mut self.requests[nth];
        request.on = None;
        self.balancer.answered(&mut request.course, status, self.now);
        if status < 500 { self.end(nth, End::Answered) } else { self.go_on(nth, Failure::Status(status)) }
    }

    fn fail(&mut self, nth: usize, failure: Failure) -> usize {
        let request = &mut self.requests[nth];
        request.on = None;
        self.balancer.failed(&mut request.course, failure, self.now);
        self.go_on(nth, failure)
    }

    fn go_on(&mut self, nth: usize, failure: Failure) -> usize {
        match self.balancer.after(&mut self.requests[nth].course, failure, self.now) {
            Next::GiveUp => return self.end(nth, End::Failed),
            Next::Elsewhere(pause) if pause.is_zero() => return self.send(nth),
            Next::Elsewhere(pause) => self.after(pause, What::Again(nth)),
        }
        0
    }

    /// The request is over, if it is not already.
    fn end(&mut self, nth: usize, how: End) -> usize {
        let request = &mut self.requests[nth];
        if request.is_over {
            assert_eq!(how, End::Gone, "a request ends twice");
            return 0;
        }
        request.is_over = true;
        request.on = None;
        request.waits = None;
        self.balancer.over(&mut request.course, self.now);
        // The first tenth is for warming up.
        if nth * 10 >= self.setup.requests {
            self.outcome.ended(how, self.now - request.began);
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
                return lost.into_iter().map(|request| self.fail(request, Failure::Reset)).sum();
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
        self.balancer.check_given_back(self.now);
        let up = (0..self.servers.len()).map(|server| self.balancer.state(server) == State::Up).collect();
        let Balancer { ejections, panics, opened, retries, .. } = self.balancer;
        self.outcome.counts = Counts { ejections, panics, opened, retries };
        self.outcome.close(&self.setup.pool, up);
        self.outcome
    }
}
