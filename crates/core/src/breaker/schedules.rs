//! The breaker's places under thousands of schedules, with `shuttle` as the scheduler: a lost wake-up is a deadlock there.
//!
//! `cargo test -p evenkeel-core --features shuttle --lib schedules`

use std::future::poll_fn;
use std::sync::Arc;

use evenkeel_config::Pool;
use evenkeel_types::Time;
use shuttle::future::block_on;
use shuttle::thread;

use super::fixtures::{members, pool, without};
use super::{Breaker, Grant, Want};
use crate::balance::Load;

/// Schedules of each test, half of them at random and half with few, well-placed preemptions (PCT, Burckhardt et al. 2010).
const SCHEDULES: usize = 6_000;

fn on_all_schedules(test: fn()) {
    shuttle::check_random(test, SCHEDULES / 2);
    shuttle::check_pct(test, SCHEDULES / 2, 3);
}

fn under(pool: &Pool, loads: &[Arc<Load>]) -> Arc<Breaker> {
    let breaker = Arc::new(Breaker::default());
    breaker.reconfigure(pool, &members(loads), Time::ZERO);
    breaker
}

/// Waits for a place in the pool as the data path does.
fn enter(breaker: &Breaker, pool: &Pool) {
    if breaker.enter(pool).is_err() {
        let ticket = breaker.wait(Want::Place, pool, Time::ZERO).expect("room to wait");
        breaker.offer_place(Time::ZERO);
        block_on(poll_fn(|cx| breaker.poll(ticket, cx)));
    }
}

/// Waits for a place at any of the servers.
fn sit_down(breaker: &Breaker, loads: &[Arc<Load>], pool: &Pool) -> Arc<Load> {
    if let Some(load) = loads.iter().find(|load| load.try_begin(1)) {
        return Arc::clone(load);
    }
    wait_for_seat(breaker, loads, pool).expect("there are servers")
}

/// Waits for a place at any of the servers, while one of them takes requests.
fn wait_for_seat(breaker: &Breaker, loads: &[Arc<Load>], pool: &Pool) -> Option<Arc<Load>> {
    let of = members(loads);
    let want = Want::Server { of: Arc::clone(of.positions()), only: None, not: Box::default() };
    let ticket = breaker.wait(want, pool, Time::ZERO).expect("room to wait");
    breaker.offer_servers(&of, Time::ZERO);
    match block_on(poll_fn(|cx| breaker.poll(ticket, cx))) {
        Grant::Server(load) => Some(load),
        Grant::NoServer => None,
        Grant::Place => unreachable!("it wants a server"),
    }
}

/// Stops waiting after one look, with whatever it was given meanwhile.
fn change_its_mind(breaker: &Breaker, pool: &Pool) {
    let Some(ticket) = breaker.wait(Want::Place, pool, Time::ZERO) else { return };
    breaker.offer_place(Time::ZERO);
    thread::yield_now();
    if breaker.withdraw(ticket).is_some() {
        breaker.leave(Time::ZERO);
    }
}

fn nothing_is_left(breaker: &Breaker, loads: &[Arc<Load>]) {
    assert_eq!((breaker.in_flight(), breaker.waiting()), (0, 0));
    assert!(loads.iter().all(|load| load.in_flight() == 0));
}

/// Runs them all at once, and to their end.
fn together(all: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = all.into_iter().map(thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

#[test]
fn a_queued_request_gets_a_permit_of_the_pool() {
    on_all_schedules(|| {
        let pool = Arc::new(pool("breaker = { max_requests = 1, max_pending = 9 }\nqueue = {}"));
        let breaker = under(&pool, &[]);
        let mut all: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        for _ in 0..3 {
            let (breaker, pool) = (Arc::clone(&breaker), Arc::clone(&pool));
            all.push(Box::new(move || {
                enter(&breaker, &pool);
                assert_eq!(breaker.in_flight(), 1);
                breaker.leave(Time::ZERO);
            }));
        }
        let (theirs, its) = (Arc::clone(&breaker), Arc::clone(&pool));
        all.push(Box::new(move || change_its_mind(&theirs, &its)));
        together(all);
        nothing_is_left(&breaker, &[]);
    });
}

#[test]
fn a_queued_request_gets_a_permit_of_a_server() {
    on_all_schedules(|| {
        let loads = [(); 2].map(|()| Arc::new(Load::default()));
        let mut pool = pool("queue = {}");
        pool.backends.iter_mut().for_each(|backend| backend.max_connections = Some(1));
        let pool = Arc::new(pool);
        let breaker = under(&pool, &loads);
        let one = |_| {
            let (breaker, pool, loads) = (Arc::clone(&breaker), Arc::clone(&pool), loads.clone());
            Box::new(move || {
                let load = sit_down(&breaker, &loads, &pool);
                assert_eq!(load.in_flight(), 1);
                breaker.leave_server(&load, Time::ZERO);
            }) as Box<dyn FnOnce() + Send>
        };
        together((0..4).map(one).collect());
        nothing_is_left(&breaker, &loads);
    });
}

#[test]
fn a_limit_that_is_raised_meanwhile_leaves_no_request_queued() {
    on_all_schedules(|| {
        let of = |max: u32| pool(&format!("breaker = {{ max_requests = {max} }}\nqueue = {{}}"));
        let (before, after) = (Arc::new(of(1)), of(3));
        let breaker = under(&before, &[]);
        // It never leaves.
        breaker.enter(&before).expect("a place");
        let one = |_| {
            let (breaker, before) = (Arc::clone(&breaker), Arc::clone(&before));
            Box::new(move || enter(&breaker, &before)) as Box<dyn FnOnce() + Send>
        };
        let theirs = Arc::clone(&breaker);
        let mut all: Vec<_> = (0..2).map(one).collect();
        all.push(Box::new(move || theirs.reconfigure(&after, &members(&[]), Time::ZERO)));
        together(all);
        assert_eq!((breaker.in_flight(), breaker.waiting()), (3, 0));
    });
}

#[test]
fn a_request_from_before_there_were_limits_gives_its_permit_to_a_queued_one() {
    on_all_schedules(|| {
        let loads = [Arc::new(Load::default())];
        let mut limited = pool("queue = {}");
        limited.backends.truncate(1);
        limited.backends[0].max_connections = Some(1);
        let limited = Arc::new(limited);
        loads[0].begin();
        let breaker = under(&limited, &loads);
        let (theirs, its, them) = (Arc::clone(&breaker), Arc::clone(&limited), loads.clone());
        let waits = Box::new(move || {
            let load = sit_down(&theirs, &them, &its);
            theirs.leave_server(&load, Time::ZERO);
        });
        let load = Arc::clone(&loads[0]);
        let ends = Box::new(move || load.end_unlimited(|| Time::ZERO));
        together(vec![waits, ends]);
        nothing_is_left(&breaker, &loads);
    });
}

#[test]
fn no_request_waits_for_a_server_that_takes_none_nor_misses_one_that_does_again() {
    on_all_schedules(|| {
        let loads = [(); 2].map(|()| Arc::new(Load::default()));
        let mut pool = pool("queue = {}");
        pool.backends.iter_mut().for_each(|backend| backend.max_connections = Some(1));
        let pool = Arc::new(pool);
        let breaker = under(&pool, &loads);
        // The first never ends, and the second is out.
        assert!(loads[0].try_begin(1));
        let all = members(&loads);
        breaker.follow(&without(&all, &[1]), Time::ZERO);
        let one = |_| {
            let (breaker, pool, loads) = (Arc::clone(&breaker), Arc::clone(&pool), loads.clone());
            Box::new(move || {
                if let Some(load) = wait_for_seat(&breaker, &loads, &pool) {
                    assert_eq!(load.in_flight(), 1);
                    breaker.leave_server(&load, Time::ZERO);
                }
            }) as Box<dyn FnOnce() + Send>
        };
        let mut threads: Vec<_> = (0..3).map(one).collect();
        let theirs = Arc::clone(&breaker);
        threads.push(Box::new(move || {
            theirs.follow(&all, Time::ZERO);
            thread::yield_now();
            theirs.follow(&without(&all, &[0, 1]), Time::ZERO);
        }));
        together(threads);
        loads[0].end();
        nothing_is_left(&breaker, &loads);
    });
}
