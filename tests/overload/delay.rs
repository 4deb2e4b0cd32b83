//! `overload.delay`: a process that gets too little time withdraws.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use rustix::process::Signal;

use super::priorities::config;
use crate::support::{Evenkeel, Origin, eventually, ms};

/// Lets the process run for a fifth of the time only, until `enough`: it is stopped for ever so long each time.
fn starve(evenkeel: &Evenkeel, enough: &AtomicBool) {
    while !enough.load(SeqCst) {
        evenkeel.signal(Signal::STOP);
        thread::sleep(ms(200));
        evenkeel.signal(Signal::CONT);
        thread::sleep(ms(50));
    }
}

/// Ends it also when the test fails: who waits for the thread must not wait for ever.
struct Enough<'e>(&'e AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_process_that_is_starved_sheds_what_matters_least_and_comes_back() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&config(&server, "[overload]\ndelay = \"50ms\"\n"));
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| starve(&evenkeel, &enough));
        let _enough = Enough(&enough);
        eventually("requests of low priority are turned away", || {
            let shed = evenkeel.get("/low");
            shed.status == 503 && shed.header("retry-after") == Some("5")
        });
        assert_eq!(evenkeel.get("/high").status, 200);
    });
    eventually("it is told", || evenkeel.stderr.count(|line| line.contains("cause=\"delay\"")) > 0);
    eventually("it is over", || evenkeel.status()["overload"]["delay"] == 0);
    assert_eq!(evenkeel.get("/low").status, 200);
}
