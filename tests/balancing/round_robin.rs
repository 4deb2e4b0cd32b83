//! Round robin: exactly even, and by weight.

use crate::support::{Client, Evenkeel, Origin, pool};

/// A pool of named servers with weights, and a `[server]` table with this many workers.
fn start(servers: &[(&Origin, u32)], workers: usize) -> Evenkeel {
    let mut backends = String::new();
    for (server, weight) in servers {
        let (address, name) = (server.address(), &server.name);
        backends += &format!("{{ address = \"{address}\", name = \"{name}\", weight = {weight} }}, ");
    }
    Evenkeel::start(&format!("[server]\nworkers = {workers}\n[pool.app]\nbackends = [{backends}]\n"))
}

#[test]
fn one_worker_is_exactly_even() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let evenkeel = start(&[(&a, 1), (&b, 1), (&c, 1)], 1);
    let mut client = evenkeel.client();
    let order: Vec<String> = (0..300).map(|_| client.get("/").text()).collect();
    assert_eq!([a.count(), b.count(), c.count()], [100, 100, 100]);
    for turn in order.windows(3) {
        assert!(turn[0] != turn[1] && turn[1] != turn[2] && turn[0] != turn[2], "{turn:?}");
    }
}

#[test]
fn several_workers_differ_by_no_more_than_their_number() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let workers = 2;
    let evenkeel = start(&[(&a, 1), (&b, 1), (&c, 1)], workers);
    let mut clients: Vec<Client> = (0..8).map(|_| evenkeel.client()).collect();
    for _ in 0..50 {
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
    }
    let counts = [a.count(), b.count(), c.count()];
    assert_eq!(counts.iter().sum::<usize>(), 400);
    let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
    assert!(spread <= workers, "{counts:?}");
}

#[test]
fn five_three_two_is_exact_and_smooth() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let evenkeel = start(&[(&a, 5), (&b, 3), (&c, 2)], 1);
    let mut client = evenkeel.client();
    let order: Vec<String> = (0..100).map(|_| client.get("/").text()).collect();
    assert_eq!([a.count(), b.count(), c.count()], [50, 30, 20]);
    for turn in order.windows(3) {
        assert!(turn.iter().any(|name| *name != turn[0]), "three in a row: {order:?}");
    }
}

#[test]
fn a_weight_of_zero_takes_no_request() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = start(&[(&a, 1), (&b, 0)], 1);
    let mut client = evenkeel.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "a");
    }
}

#[test]
fn every_algorithm_uses_every_server() {
    let servers: Vec<Origin> = ["a", "b", "c"].into_iter().map(Origin::named).collect();
    let list: Vec<&Origin> = servers.iter().collect();
    // Least response time has no such promise: a server that was slow once may get nothing for a while.
    for algorithm in ["round-robin", "least-connections", "power-of-two", "random"] {
        let before: Vec<usize> = servers.iter().map(Origin::count).collect();
        let evenkeel = Evenkeel::start(&pool(&list, &format!("algorithm = \"{algorithm}\"")));
        let mut client = evenkeel.client();
        for _ in 0..200 {
            assert_eq!(client.get("/").status, 200);
        }
        for (server, before) in servers.iter().zip(before) {
            let share = server.count() - before;
            assert!(share >= 10, "{algorithm}: {} got {share} of 200", server.name);
        }
    }
}
