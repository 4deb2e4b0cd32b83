//! A process that is killed in the middle of writes, a hundred times: each start finds a sound cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::cache::{fresh, is_hit};
use crate::support::disk::{DiskCache, content};
use crate::support::{Client, Fault, Origin};

const KILLS: usize = 100;
const TARGETS: usize = 24;

fn len(number: usize) -> usize {
    [0, 100, 5_000, 65_536, 70_000, 300_000, 900_000, 3_000_000][number % 8] + number
}

/// What a response says that it is, compared with what it should be. Returns whether it came from the cache.
fn check(client: &mut Client, number: usize) -> Result<bool, Fault> {
    let target = format!("/{number}");
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
    let response = client.response("GET")?;
    assert_eq!(response.status, 200, "{target}");
    let version = response.header("x-version").unwrap().parse().unwrap();
    assert!(response.text() == content(&target, version, len(number)), "{target}, version {version}");
    Ok(is_hit(&response))
}

#[test]
fn a_hundred_kills_in_the_middle_of_writes_leave_no_wrong_body() {
    let cache = DiskCache::of_size("4MiB", "24MiB");
    let versions = AtomicUsize::new(0);
    let origin = Origin::answering(move |request| {
        let number: usize = request.target()[1..].parse().unwrap();
        let version = versions.fetch_add(1, Ordering::SeqCst);
        fresh(&format!("x-version: {version}\r\n"), &content(request.target(), version, len(number)))
    });
    let hits = AtomicUsize::new(0);
    let mut rng = fastrand::Rng::with_seed(9);
    for kill in 0..KILLS {
        let mut evenkeel = cache.start(&origin, "true");
        let clients = [evenkeel.client(), evenkeel.client()];
        let stop = Arc::new(AtomicBool::new(false));
        let seed = rng.u64(..);
        let delay = Duration::from_micros(rng.u64(..60_000));
        thread::scope(|scope| {
            for (mut client, n) in clients.into_iter().zip(0..) {
                let (stop, hits) = (&stop, &hits);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed + n);
                    while !stop.load(Ordering::SeqCst) {
                        match check(&mut client, rng.usize(..TARGETS)) {
                            Ok(hit) => hits.fetch_add(usize::from(hit), Ordering::SeqCst),
                            // The kill is the only reason for it.
                            Err(fault) => return assert!(fault.is_end(), "kill {kill}: {fault:?}"),
                        };
                    }
                });
            }
            // When it is killed is the point of the test: anywhere in what it does.
            thread::sleep(delay);
            evenkeel.signal(Signal::KILL);
            evenkeel.wait_exit();
            stop.store(true, Ordering::SeqCst);
        });
    }
    assert!(hits.into_inner() > KILLS, "bodies came from the cache");
    let used = cache.used();
    assert!(used <= 24 << 20, "{used}");
    let evenkeel = cache.start(&origin, "true");
    let unfinished = std::fs::read_dir(cache.path().join("tmp")).unwrap().count();
    assert_eq!(unfinished, 0);
    let mut client = evenkeel.client();
    for number in 0..TARGETS {
        check(&mut client, number).unwrap();
    }
}
