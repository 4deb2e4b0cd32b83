//! Least connections: a server that is slow gets less.

use std::thread;

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ok, pool};

/// Holds every request until the gate opens.
fn held(name: &str, gate: &Gate) -> Origin {
    let (gate, text) = (gate.clone(), ok(name));
    Origin::start(move |_, wire| {
        gate.wait();
        wire.send(&text);
    })
    .called(name)
}

#[test]
fn requests_avoid_the_server_that_still_works_on_others() {
    let gate = Gate::default();
    let (slow, fast) = (held("slow", &gate), Origin::named("fast"));
    let evenkeel = Evenkeel::start(&pool(&[&slow, &fast], "algorithm = \"least-connections\""));
    let address = evenkeel.address();
    // Two at once: ties are broken in turn, so one of them is held by the slow server before long.
    let mut waiting = Vec::new();
    while slow.count() == 0 {
        let asked = slow.count() + fast.count();
        waiting.push(thread::spawn(move || Client::connect(address).get("/").text()));
        eventually("a server is asked", || slow.count() + fast.count() > asked);
        assert!(waiting.len() <= 4, "the slow server is never tried");
    }
    let mut client = evenkeel.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "fast");
    }
    assert_eq!(slow.count(), 1);
    gate.open();
    for request in waiting {
        request.join().unwrap();
    }
}

#[test]
fn the_load_counts_per_unit_of_weight() {
    let gate = Gate::default();
    let (small, big) = (held("small", &gate), held("big", &gate));
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nalgorithm = \"least-connections\"\n\
         backends = [\"{}\", {{ address = \"{}\", weight = 3 }}]\n",
        small.address(),
        big.address()
    ));
    let address = evenkeel.address();
    let waiting: Vec<_> = (1..=12)
        .map(|asked| {
            let thread = thread::spawn(move || Client::connect(address).get("/").status);
            eventually("a server is asked", || small.count() + big.count() == asked);
            thread
        })
        .collect();
    assert_eq!((small.count(), big.count()), (3, 9));
    gate.open();
    for request in waiting {
        assert_eq!(request.join().unwrap(), 200);
    }
}
