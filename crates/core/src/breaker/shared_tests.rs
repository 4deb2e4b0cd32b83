//! Tests of places and of queued requests: never more than the limit, and none forgotten.

use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::thread;

use super::*;
use crate::balance::Availability;
use crate::breaker::fixtures::{members, pool, without};

fn two_at_a_time() -> Pool {
    pool("breaker = { max_requests = 2, max_pending = 3 }\nqueue = { wait = \"1s\" }")
}

/// Under these limits.
fn under(pool: &Pool, loads: &[Arc<Load>]) -> Arc<Breaker> {
    let breaker = Arc::new(Breaker::default());
    breaker.reconfigure(pool, &members(loads), Time::ZERO);
    breaker
}

/// A place at any of these servers, or at one alone.
fn at(loads: &[Arc<Load>], only: Option<usize>, not: &[usize]) -> Want {
    Want::Server { of: Arc::clone(members(loads).positions()), only, not: not.into() }
}

fn at_once(breaker: &Breaker, ticket: Ticket) -> Option<Grant> {
    match breaker.poll(ticket, &Context::from_waker(Waker::noop())) {
        Poll::Ready(grant) => Some(grant),
        Poll::Pending => None,
    }
}

#[test]
fn the_least_of_the_limits_holds() {
    let breaker = Breaker::default();
    for (keys, limit) in [
        ("", (u32::MAX, Full::Requests)),
        ("breaker = { max_requests = 7, max_connections = 8 }", (7, Full::Requests)),
        ("breaker = { max_requests = 7, max_connections = 6 }", (6, Full::Connections)),
        ("breaker = { max_requests = 100 }\nconcurrency = { min = 5, max = 10 }", (10, Full::Concurrency)),
    ] {
        assert_eq!(Breaker::limit(&breaker, &pool(keys)), limit, "{keys}");
    }
}

#[test]
fn a_permit_that_is_given_back_goes_to_the_first_in_the_queue() {
    let pool = two_at_a_time();
    let breaker = under(&pool, &[]);
    assert_eq!([(); 3].map(|()| breaker.enter(&pool)), [Ok(()), Ok(()), Err(Full::Requests)]);
    let tickets = [(); 3].map(|()| breaker.wait(Want::Place, &pool, Time::ZERO).expect("room to wait"));
    assert_eq!(breaker.wait(Want::Place, &pool, Time::ZERO), None, "no fourth");
    breaker.leave(Time::ZERO);
    assert_eq!(tickets.map(|ticket| at_once(&breaker, ticket).is_some()), [true, false, false]);
    assert_eq!((breaker.in_flight(), breaker.waiting()), (2, 2));
    assert_eq!(breaker.enter(&pool), Err(Full::Requests), "no request overtakes queued ones");
}

#[test]
fn a_limit_that_grows_admits_queued_requests() {
    let keys = "concurrency = { min = 1, max = 1000 }\nqueue = { wait = \"1s\" }";
    let pool = pool(keys);
    let breaker = under(&pool, &[]);
    let before = std::iter::from_fn(|| breaker.enter(&pool).ok()).count();
    let ticket = breaker.wait(Want::Place, &pool, Time::ZERO).expect("room to wait");
    breaker.offer_place(Time::ZERO);
    assert!(at_once(&breaker, ticket).is_none());
    // Answers begin, and go on for as long as they like: no request leaves.
    let limits = (0..100)
        .filter_map(|ms| breaker.learn(&pool, Some(Duration::from_millis(10)), Time::from_millis(ms * 10)));
    assert!(limits.max().is_some_and(|limit| limit as usize > before));
    assert!(at_once(&breaker, ticket).is_some());
}

#[test]
fn a_request_that_leaves_before_it_notices_gives_its_permit_back() {
    let pool = two_at_a_time();
    let breaker = under(&pool, &[]);
    (0..2).for_each(|_| breaker.enter(&pool).expect("a place"));
    let [first, second] = [(); 2].map(|()| breaker.wait(Want::Place, &pool, Time::ZERO).expect("room"));
    breaker.leave(Time::ZERO);
    assert!(matches!(breaker.withdraw(first), Some(Grant::Place)));
    breaker.leave(Time::ZERO);
    assert!(at_once(&breaker, second).is_some());
    assert_eq!((breaker.in_flight(), breaker.waiting()), (2, 0));
}

#[test]
fn a_permit_of_a_server_goes_to_a_request_for_that_server() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let [a, b] = &loads;
    let pool = pool("queue = { wait = \"1s\" }");
    let breaker = under(&pool, &loads);
    assert!([a, a, b, b].iter().all(|load| load.try_begin(2)));
    let wants = [at(&loads, Some(1), &[]), at(&loads, None, &[0]), at(&loads, None, &[])];
    let [of_b, not_a, any] = wants.map(|want| breaker.wait(want, &pool, Time::ZERO).expect("room"));
    breaker.leave_server(a, Time::ZERO);
    assert!(matches!(at_once(&breaker, any), Some(Grant::Server(load)) if Arc::ptr_eq(&load, a)));
    assert!(at_once(&breaker, of_b).is_none() && at_once(&breaker, not_a).is_none());
    breaker.leave_server(b, Time::ZERO);
    assert!(at_once(&breaker, of_b).is_some());
    assert_eq!((a.in_flight(), b.in_flight(), breaker.waiting()), (2, 2, 1));
}

#[test]
fn what_began_before_there_were_limits_leaves_its_permit_to_a_queued_request() {
    let load = Arc::new(Load::default());
    load.begin();
    let mut pool = pool("queue = { wait = \"1s\" }");
    pool.backends[0].max_connections = Some(1);
    let breaker = under(&pool, std::slice::from_ref(&load));
    assert!(!load.try_begin(1));
    let ticket = breaker.wait(at(std::slice::from_ref(&load), None, &[]), &pool, Time::ZERO).expect("room");
    load.end_unlimited(|| Time::ZERO);
    assert!(at_once(&breaker, ticket).is_some());
    assert_eq!((load.in_flight(), breaker.waiting()), (1, 0));
}

/// So many of these have what they wait for.
fn granted(breaker: &Breaker, tickets: &[Ticket]) -> usize {
    tickets.iter().filter(|ticket| at_once(breaker, **ticket).is_some()).count()
}

#[test]
fn raised_limits_admit_queued_requests_and_lowered_ones_count_those_from_before() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let of = |max: u32| pool(&format!("breaker = {{ max_requests = {max} }}\nqueue = {{ wait = \"1s\" }}"));
    let before = of(1);
    let breaker = under(&before, &loads);
    breaker.enter(&before).expect("a place");
    let tickets: Vec<_> = (0..9).filter_map(|_| breaker.wait(Want::Place, &before, Time::ZERO)).collect();
    breaker.reconfigure(&of(4), &members(&loads), Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.in_flight()), (3, 4));
    breaker.reconfigure(&of(2), &members(&loads), Time::ZERO);
    (0..2).for_each(|_| breaker.leave(Time::ZERO));
    assert_eq!((granted(&breaker, &tickets), breaker.in_flight()), (0, 2));
    breaker.leave(Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.in_flight()), (1, 2));
    breaker.reconfigure(&pool(""), &members(&loads), Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.waiting()), (5, 0));
}

#[test]
fn the_same_holds_for_servers() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let mut pool = pool("queue = { wait = \"1s\" }");
    let breaker = under(&pool, &loads);
    (0..2).for_each(|_| assert!(loads[0].try_begin(2)));
    let want = || at(&loads, Some(0), &[]);
    let tickets: Vec<_> = (0..6).filter_map(|_| breaker.wait(want(), &pool, Time::ZERO)).collect();
    pool.backends[0].max_connections = Some(3);
    breaker.reconfigure(&pool, &members(&loads), Time::ZERO);
    assert_eq!(granted(&breaker, &tickets), 1);
    pool.backends[0].max_connections = Some(1);
    breaker.reconfigure(&pool, &members(&loads), Time::ZERO);
    (0..2).for_each(|_| breaker.leave_server(&loads[0], Time::ZERO));
    assert_eq!((granted(&breaker, &tickets), loads[0].in_flight()), (0, 1));
}

#[test]
fn a_removed_server_serves_only_requests_that_know_no_other() {
    let loads = [(); 3].map(|()| Arc::new(Load::default()));
    let mut both = pool("queue = { wait = \"1s\" }");
    both.backends.iter_mut().for_each(|backend| backend.max_connections = Some(1));
    let breaker = under(&both, &loads[..2]);
    assert!(loads[..2].iter().all(|load| load.try_begin(1)));
    let want = |only| breaker.wait(at(&loads[..2], only, &[]), &both, Time::ZERO).expect("room");
    let tickets = [want(Some(0)), want(None), want(Some(0))];
    let mut one = both.clone();
    one.backends.truncate(1);
    breaker.reconfigure(&one, &members(&loads[1..2]), Time::ZERO);
    breaker.leave_server(&loads[0], Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), loads[0].in_flight()), (0, 0));
    breaker.leave_server(&loads[1], Time::ZERO);
    assert!(at_once(&breaker, tickets[0]).is_some(), "it moves");
    breaker.reconfigure(&one, &members(&loads[2..]), Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), loads[2].in_flight()), (0, 0), "no request came for that one");
    breaker.leave_server(&loads[1], Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), loads[1].in_flight()), (1, 1));
    breaker.reconfigure(&both, &members(&loads[..2]), Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.waiting()), (1, 0), "the first is there again");
    let reload = || breaker.reconfigure(&one, &members(&loads[2..]), Time::ZERO);
    reload();
    let late = want(None);
    assert!(at_once(&breaker, late).is_none(), "it had come before, and waits");
    assert!(breaker.withdraw(late).is_none());
    reload();
    assert!(matches!(at_once(&breaker, want(None)), Some(Grant::NoServer)));
}

#[test]
fn a_server_that_takes_no_requests_gets_none_and_one_that_does_again_gets_the_queued_ones() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let pool = pool("queue = { wait = \"1s\" }");
    let breaker = under(&pool, &loads);
    loads.iter().for_each(|load| (0..2).for_each(|_| assert!(load.try_begin(2))));
    let want = |only, not| breaker.wait(at(&loads, only, not), &pool, Time::ZERO).expect("room");
    let [of_a, any, not_b] = [want(Some(0), &[]), want(None, &[]), want(None, &[1])];
    let up = members(&loads);
    breaker.follow(&without(&up, &[0]), Time::ZERO);
    assert!(matches!(at_once(&breaker, not_b), Some(Grant::NoServer)));
    assert!(
        matches!(at_once(&breaker, want(None, &[1])), Some(Grant::NoServer)),
        "nor a request that comes now"
    );
    breaker.leave_server(&loads[0], Time::ZERO);
    assert_eq!((granted(&breaker, &[of_a, any]), loads[0].in_flight()), (0, 1));
    breaker.leave_server(&loads[1], Time::ZERO);
    assert!(matches!(at_once(&breaker, of_a), Some(Grant::Server(load)) if Arc::ptr_eq(&load, &loads[1])));
    breaker.follow(&up, Time::ZERO);
    assert!(matches!(at_once(&breaker, any), Some(Grant::Server(load)) if Arc::ptr_eq(&load, &loads[0])));
    assert_eq!((loads[0].in_flight(), breaker.waiting()), (2, 0));
}

#[test]
fn a_server_without_weight_serves_only_its_own_clients() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let pool = pool("queue = { wait = \"1s\" }");
    let breaker = under(&pool, &loads);
    loads.iter().for_each(|load| (0..2).for_each(|_| assert!(load.try_begin(2))));
    let [any, of_a] = [None, Some(0)]
        .map(|only| breaker.wait(at(&loads, only, &[]), &pool, Time::ZERO).expect("room to wait"));
    let weightless = members(&loads).with(|at, _| (at as u32, Availability::Up));
    breaker.follow(&weightless, Time::ZERO);
    (0..2).for_each(|_| breaker.leave_server(&loads[0], Time::ZERO));
    assert!(at_once(&breaker, any).is_none() && at_once(&breaker, of_a).is_some());
    let (version, standings) = breaker.standings(&members(&loads), 0).expect("that is news");
    assert_eq!(standings.iter().map(|(weight, ..)| *weight).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(breaker.standings(&members(&loads), version), None);
}

#[test]
fn retries_in_flight_are_limited_and_counted_back() {
    let (breaker, pool) = (Arc::new(Breaker::default()), pool("breaker = { max_retries = 2 }"));
    assert_eq!([(); 3].map(|()| breaker.begin_retry(&pool)), [true, true, false]);
    breaker.end_retry();
    assert!(breaker.begin_retry(&pool));
    assert_eq!(breaker.retries(), 2);
}

/// Unparks a thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits as a task would; every `n`th gives up after its first look.
fn wait(breaker: &Breaker, ticket: Ticket, gives_up: bool) -> Option<Grant> {
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match breaker.poll(ticket, &Context::from_waker(&waker)) {
            Poll::Ready(grant) => return Some(grant),
            Poll::Pending if gives_up => return breaker.withdraw(ticket),
            // A lost wake-up would hang here, and the test with it.
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn no_wake_up_is_lost_and_no_place_is_given_twice() {
    const THREADS: usize = 8;
    let mut pool = pool("breaker = { max_requests = 3, max_pending = 100 }\nqueue = { wait = \"1s\" }");
    pool.backends.iter_mut().for_each(|backend| backend.max_connections = Some(1));
    let servers = [(); 2].map(|()| Arc::new(Load::default()));
    let (breaker, all) = (under(&pool, &servers), members(&servers));
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let in_pool = |turn: usize| {
        if breaker.enter(&pool).is_ok() {
            return true;
        }
        let Some(ticket) = breaker.wait(Want::Place, &pool, Time::ZERO) else { return false };
        breaker.offer_place(Time::ZERO);
        wait(&breaker, ticket, turn.is_multiple_of(7)).is_some()
    };
    let at_server = |turn: usize| {
        if let Some(load) = servers.iter().find(|load| load.try_begin(1)) {
            return Some(Arc::clone(load));
        }
        let want = Want::Server { of: Arc::clone(all.positions()), only: None, not: Box::default() };
        let ticket = breaker.wait(want, &pool, Time::ZERO)?;
        breaker.offer_servers(&all, Time::ZERO);
        match wait(&breaker, ticket, turn.is_multiple_of(5))? {
            Grant::Server(load) => Some(load),
            Grant::Place | Grant::NoServer => unreachable!("it wants a server"),
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for turn in 0..3_000 {
                    if !in_pool(turn) {
                        continue;
                    }
                    if let Some(load) = at_server(turn) {
                        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                        breaker.leave_server(&load, Time::ZERO);
                    }
                    breaker.leave(Time::ZERO);
                }
            });
        }
    });
    assert!(most.load(SeqCst) <= 2, "{most:?} at two servers of one place each");
    assert_eq!((breaker.in_flight(), breaker.waiting()), (0, 0));
    assert!(servers.iter().all(|load| load.in_flight() == 0));
    assert!(breaker.lock().granted.is_empty());
}
