//! Tests of places and of those who wait for them: nobody too many, nobody forgotten.

use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::thread;

use super::*;
use crate::breaker::fixtures::pool;

fn two_at_a_time() -> Pool {
    pool("breaker = { max_requests = 2, max_pending = 3 }\nqueue = { wait = \"1s\" }")
}

/// Under these limits.
fn under(pool: &Pool, loads: &[Arc<Load>]) -> Arc<Breaker> {
    let breaker = Arc::new(Breaker::default());
    breaker.reconfigure(pool, loads, Time::ZERO);
    breaker
}

fn at_once(breaker: &Breaker, ticket: Ticket) -> Option<Grant> {
    match breaker.poll(ticket, &Context::from_waker(Waker::noop())) {
        Poll::Ready(grant) => Some(grant),
        Poll::Pending => None,
    }
}

const ANY: fn() -> Want = || Want::Server { only: None, not: Box::default() };

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
fn a_place_that_is_given_back_goes_to_who_came_first() {
    let pool = two_at_a_time();
    let breaker = under(&pool, &[]);
    assert_eq!([(); 3].map(|()| breaker.enter(&pool)), [Ok(()), Ok(()), Err(Full::Requests)]);
    let tickets = [(); 3].map(|()| breaker.wait(Want::Place, &pool, Time::ZERO).expect("room to wait"));
    assert_eq!(breaker.wait(Want::Place, &pool, Time::ZERO), None, "no fourth");
    breaker.leave(Time::ZERO);
    assert_eq!(tickets.map(|ticket| at_once(&breaker, ticket).is_some()), [true, false, false]);
    assert_eq!((breaker.in_flight(), breaker.waiting()), (2, 2));
    assert_eq!(breaker.enter(&pool), Err(Full::Requests), "nobody overtakes those who wait");
}

#[test]
fn a_limit_that_grows_makes_place_for_who_waits() {
    let keys = "concurrency = { min = 1, max = 1000 }\nqueue = { wait = \"1s\" }";
    let pool = pool(keys);
    let breaker = under(&pool, &[]);
    let before = std::iter::from_fn(|| breaker.enter(&pool).ok()).count();
    let ticket = breaker.wait(Want::Place, &pool, Time::ZERO).expect("room to wait");
    breaker.offer_place(Time::ZERO);
    assert!(at_once(&breaker, ticket).is_none());
    // Answers begin, and go on for as long as anybody likes: nobody leaves.
    let limits = (0..100)
        .filter_map(|ms| breaker.learn(&pool, Some(Duration::from_millis(10)), Time::from_millis(ms * 10)));
    assert!(limits.max().is_some_and(|limit| limit as usize > before));
    assert!(at_once(&breaker, ticket).is_some());
}

#[test]
fn who_leaves_before_it_notices_gives_its_place_back() {
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
fn a_place_at_a_server_goes_to_who_wants_that_server() {
    let [a, b] = [(); 2].map(|()| Arc::new(Load::default()));
    let pool = pool("queue = { wait = \"1s\" }");
    let breaker = under(&pool, &[a.clone(), b.clone()]);
    assert!([&a, &a, &b, &b].iter().all(|load| load.try_begin(2)));
    let of_b = Want::Server { only: Some(Breaker::key(&b)), not: Box::default() };
    let not_a = Want::Server { only: None, not: [Breaker::key(&a)].into() };
    let [of_b, not_a, any] =
        [of_b, not_a, ANY()].map(|want| breaker.wait(want, &pool, Time::ZERO).expect("room"));
    breaker.leave_server(&a, Some(2), Time::ZERO);
    assert!(matches!(at_once(&breaker, any), Some(Grant::Server(load)) if Arc::ptr_eq(&load, &a)));
    assert!(at_once(&breaker, of_b).is_none() && at_once(&breaker, not_a).is_none());
    breaker.leave_server(&b, Some(2), Time::ZERO);
    assert!(at_once(&breaker, of_b).is_some());
    assert_eq!((a.in_flight(), b.in_flight(), breaker.waiting()), (2, 2, 1));
}

#[test]
fn what_began_before_there_were_limits_leaves_its_place_to_who_waits() {
    let load = Arc::new(Load::default());
    load.begin();
    let mut pool = pool("queue = { wait = \"1s\" }");
    pool.backends[0].max_connections = Some(1);
    let breaker = under(&pool, std::slice::from_ref(&load));
    assert!(!load.try_begin(1));
    let ticket = breaker.wait(ANY(), &pool, Time::ZERO).expect("room");
    load.end_unlimited(|| Time::ZERO);
    assert!(at_once(&breaker, ticket).is_some());
    assert_eq!((load.in_flight(), breaker.waiting()), (1, 0));
}

/// So many of these have what they wait for.
fn granted(breaker: &Breaker, tickets: &[Ticket]) -> usize {
    tickets.iter().filter(|ticket| at_once(breaker, **ticket).is_some()).count()
}

#[test]
fn limits_that_are_raised_let_in_who_waits_and_lowered_ones_hold_for_who_began_before() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let of = |max: u32| pool(&format!("breaker = {{ max_requests = {max} }}\nqueue = {{ wait = \"1s\" }}"));
    let before = of(1);
    let breaker = under(&before, &loads);
    breaker.enter(&before).expect("a place");
    let tickets: Vec<_> = (0..9).filter_map(|_| breaker.wait(Want::Place, &before, Time::ZERO)).collect();
    breaker.reconfigure(&of(4), &loads, Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.in_flight()), (3, 4));
    breaker.reconfigure(&of(2), &loads, Time::ZERO);
    (0..2).for_each(|_| breaker.leave(Time::ZERO));
    assert_eq!((granted(&breaker, &tickets), breaker.in_flight()), (0, 2));
    breaker.leave(Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.in_flight()), (1, 2));
    breaker.reconfigure(&pool(""), &loads, Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), breaker.waiting()), (5, 0));
}

#[test]
fn the_same_holds_for_servers_and_one_that_is_gone_keeps_its_own_limit() {
    let loads = [(); 2].map(|()| Arc::new(Load::default()));
    let mut pool = pool("queue = { wait = \"1s\" }");
    let breaker = under(&pool, &loads);
    (0..2).for_each(|_| assert!(loads[0].try_begin(2)));
    let want = || Want::Server { only: Some(Breaker::key(&loads[0])), not: Box::default() };
    let tickets: Vec<_> = (0..6).filter_map(|_| breaker.wait(want(), &pool, Time::ZERO)).collect();
    pool.backends[0].max_connections = Some(3);
    breaker.reconfigure(&pool, &loads, Time::ZERO);
    assert_eq!(granted(&breaker, &tickets), 1);
    pool.backends[0].max_connections = Some(1);
    breaker.reconfigure(&pool, &loads, Time::ZERO);
    (0..2).for_each(|_| breaker.leave_server(&loads[0], Some(2), Time::ZERO));
    assert_eq!((granted(&breaker, &tickets), loads[0].in_flight()), (0, 1));
    pool.backends.remove(0);
    breaker.reconfigure(&pool, &loads[1..], Time::ZERO);
    breaker.leave_server(&loads[0], Some(2), Time::ZERO);
    assert_eq!((granted(&breaker, &tickets), loads[0].in_flight()), (2, 2));
}

#[test]
fn retries_in_flight_are_limited_and_counted_back() {
    let (breaker, pool) = (Arc::new(Breaker::default()), pool("breaker = { max_retries = 2 }"));
    let held = [(); 2].map(|()| breaker.try_retry(&pool).expect("a retry"));
    assert!(breaker.try_retry(&pool).is_none());
    drop(held);
    assert!(breaker.try_retry(&pool).is_some());
    assert_eq!(breaker.retries(), 0);
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
    let pool = pool("breaker = { max_requests = 3, max_pending = 100 }\nqueue = { wait = \"1s\" }");
    let breaker = under(&pool, &[]);
    let servers = [(); 2].map(|()| Arc::new(Load::default()));
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
        let ticket = breaker.wait(ANY(), &pool, Time::ZERO)?;
        servers.iter().for_each(|load| breaker.offer_server(load, Some(1), Time::ZERO));
        match wait(&breaker, ticket, turn.is_multiple_of(5))? {
            Grant::Server(load) => Some(load),
            Grant::Place => unreachable!("it wants a server"),
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
                        breaker.leave_server(&load, Some(1), Time::ZERO);
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
