//! Tests of admission as its drivers see it.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use evenkeel_config::{Config, Pool as PoolConfig};
use evenkeel_types::Time;

use super::*;
use crate::balance::{Availability, Members, Server};
use crate::choose::Keys;
use crate::health::{Failure, LiveTraffic};
use crate::retry::Cause;
use crate::route::Facts;
use crate::snapshot::{Guard, Pool, PoolState};

mod hedges;
mod limits;
mod properties;
mod retries;
mod waiting;

/// A request without a body, which belongs to the server of this user.
struct Asked(&'static str, [u8; 1]);

impl Facts for Asked {
    fn method(&self) -> &str {
        self.0
    }
    fn host(&self) -> &str {
        "example.com"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn client(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
    fn has_header(&self, name: &str, _: &str) -> bool {
        name == "x-user"
    }
}

impl Keys for Asked {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-user").then_some(&self.1)
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// A driver that keeps the notices it gets.
#[derive(Debug, Clone, Default)]
struct Log(Rc<(Cell<Time>, RefCell<Vec<Notice>>)>);

impl Driver for Log {
    fn now(&self) -> Time {
        self.0.0.get()
    }

    fn notice(&self, _: &PoolConfig, notice: Notice) {
        self.0.1.borrow_mut().push(notice);
    }
}

/// A pool, a route to it, and a clock.
struct Scene {
    config: Arc<Config>,
    gate: Rc<Gate<Log>>,
    log: Log,
    asked: Asked,
    deadline: Option<Time>,
}

type Request = Admission<Log>;

impl Scene {
    /// A pool with these servers and keys, and a route with these.
    fn new(backends: &str, pool: &str, route: &str) -> Self {
        let text = format!(
            "[listener.web]\nbind = 80\n[[route]]\npool = \"app\"\n{route}\n[pool.app]\nbackends = {backends}\n{pool}\n"
        );
        let parsed = evenkeel_config::parse("test.toml", &text).unwrap_or_else(|faults| panic!("{faults}"));
        let config = Arc::new(parsed.config);
        let of = &config.pools[0];
        let server = |backend: &evenkeel_config::Backend| {
            let (id, weight, backup) = (backend.id.clone(), backend.weight, backend.backup);
            (Server { id, weight, backup, load: Arc::default() }, Availability::Up)
        };
        let members = Arc::new(Members::new(&of.algorithm, of.backends.iter().map(server).collect()));
        let watched = of.server_breaker.iter().flat_map(|_| &of.backends);
        let servers = watched.map(|_| Arc::default()).collect();
        let guard = of.is_guarded().then(|| Guard { breaker: Arc::default(), servers });
        if let Some(guard) = &guard {
            guard.breaker.reconfigure(of, &members, Time::ZERO);
        }
        let affinity = of.sticky.as_ref().map(|_| Arc::new(crate::sticky::Sessions::new(100)));
        let (states, retries) = (Arc::new([]), Arc::default());
        let pool = Pool {
            members,
            states,
            panic: None,
            cookie: None,
            affinity,
            retries,
            guard,
            arrivals: Arc::default(),
            edition: 1,
        };
        let log = Log::default();
        let local = Rc::new(Local::new(1));
        let state = PoolState { version: 1, config: Arc::new(of.clone()), servers: pool };
        let gate = Rc::new(Gate::new(Arc::new(state), local, true, log.clone()));
        Self { config, gate, log, asked: Asked("GET", [1]), deadline: None }
    }

    fn terms(&self) -> Terms<'_, Asked> {
        let route = &self.config.routes[0];
        let (retry, hedge) = (&route.retry, route.hedge.as_ref());
        Terms {
            of: LiveTraffic::Requests,
            request: &self.asked,
            owner_of: None,
            retry,
            hedge,
            is_short: true,
            deadline: self.deadline,
        }
    }

    fn request(&self) -> Request {
        Admission::new(&self.gate, &self.terms(), self.log.now())
    }

    fn at(&self, ms: u64) -> Time {
        let now = Time::from_millis(ms);
        self.log.0.0.set(now);
        now
    }

    fn poll(&self, request: &mut Request, ms: u64) -> Step {
        request.poll(&self.terms(), self.at(ms), &Context::from_waker(Waker::noop()))
    }

    /// Polls a request that is sent to a server by that.
    fn sent(&self, request: &mut Request, ms: u64) -> (Leg, usize) {
        match self.poll(request, ms) {
            Step::Send { leg, chosen, .. } => (leg, chosen.server),
            other => panic!("{other:?}"),
        }
    }

    fn head(&self, request: &mut Request, leg: Leg, status: u16, ms: u64) -> AfterHead {
        let now = self.at(ms);
        request.handle_head(leg, &Answer::whole(status, now, now), &self.terms())
    }

    fn fail(&self, request: &mut Request, leg: Leg, failed: FailedTry, ms: u64) -> AfterFailure {
        request.handle_failure(leg, &failed, &self.terms(), self.at(ms))
    }

    fn in_flight(&self) -> Vec<u32> {
        let members = &self.gate.pool().members;
        (0..members.len()).map(|at| members.server(at).load.in_flight()).collect()
    }

    /// Requests in flight in the pool, waiting, and retries.
    fn in_pool(&self) -> (u32, usize, u32) {
        let breaker = self.gate.breaker();
        (breaker.in_flight(), breaker.waiting(), breaker.retries())
    }

    fn notices(&self) -> Vec<Notice> {
        self.log.0.1.take()
    }
}

fn failed(cause: Cause, blame: Failure) -> FailedTry {
    let (timed_out, cause) = (cause == Cause::Timeout, Some(cause));
    FailedTry { cause, blame: Some(blame), timed_out, has_begun: false, replayable: true }
}

fn refused() -> FailedTry {
    failed(Cause::Connect, Failure::Connect)
}

fn reset() -> FailedTry {
    failed(Cause::Reset, Failure::Reset)
}
