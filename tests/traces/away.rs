//! A collector that is away, slow, or refuses: requests go on, memory stays bounded, and the log says it once.

use std::time::Instant;

use crate::support::{Collector, Evenkeel, Origin, answer, cli, eventually, ms, pool};

fn says(evenkeel: &Evenkeel, what: &str) -> usize {
    evenkeel.stderr.count(|line| line.contains(what))
}

const CANNOT: &str = "cannot send spans to the collector";
const AGAIN: &str = "takes spans again";

#[test]
fn a_collector_that_is_away_costs_spans_alone_and_is_found_again() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    collector.origin.stop();
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    let mut client = evenkeel.client();
    for n in 0..50 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    let line = evenkeel.stderr.wait_for("the failure is logged", |line| line.contains(CANNOT));
    assert!(line.contains(&format!("http://{}/v1/traces", collector.origin.address())), "{line}");
    assert!(line.contains("onnection refused"), "{line}");
    collector.origin.resume();
    evenkeel.stderr.wait_for("it works again", |line| line.contains(AGAIN));
    eventually("what had waited came", || collector.spans().len() == 100);
    assert_eq!((says(&evenkeel, CANNOT), says(&evenkeel, AGAIN)), (1, 1));
    assert_eq!(evenkeel.metric("evenkeel_spans_dropped_total", &[]), 0.0);
}

#[test]
fn a_collector_that_does_not_answer_slows_nothing_down_and_fills_no_memory() {
    let origin = Origin::named("a");
    let collector = Collector::answering(|_, wire| {
        wire.hold();
    });
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    let mut client = evenkeel.client();
    let mut get = |n: usize| assert_eq!(client.get(&format!("/{n}")).status, 200);
    (0..1_000).for_each(&mut get);
    let (before, begun) = (evenkeel.allocated(), Instant::now());
    let mut n = 1_000;
    while evenkeel.metric("evenkeel_spans_dropped_total", &[]) == 0.0 {
        (n..n + 500).for_each(&mut get);
        n += 500;
        assert!(n < 100_000, "spans wait without bound");
    }
    (n..n + 3_000).for_each(&mut get);
    assert!(evenkeel.allocated() < before + (24 << 20), "{} from {before}", evenkeel.allocated());
    assert!(begun.elapsed() < ms(60_000));
    let mut line = None;
    eventually("the failure is logged", || {
        get(n);
        line = evenkeel.stderr.lines().into_iter().find(|line| line.contains(CANNOT));
        line.is_some()
    });
    let line = line.unwrap();
    let url = format!("http://{}/v1/traces", collector.origin.address());
    for part in ["WARN", &url, "no answer within 10 s", "spans are dropped if this persists"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert_eq!(evenkeel.metric("evenkeel_client_aborts_total", &[]), 0.0);
    assert_eq!(says(&evenkeel, CANNOT), 1);
}

#[test]
fn spans_that_the_collector_refuses_are_dropped_at_once() {
    let origin = Origin::named("a");
    let collector = Collector::answering(|_, wire| {
        wire.send(answer(400, "", "no"));
    });
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    evenkeel.get("/");
    let line = evenkeel.stderr.wait_for("the refusal is logged", |line| line.contains(CANNOT));
    assert!(line.contains("400"), "{line}");
    eventually("they are counted", || evenkeel.metric("evenkeel_spans_dropped_total", &[]) == 2.0);
}

#[test]
fn the_last_spans_are_sent_before_the_process_leaves() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let mut evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    evenkeel.get("/last");
    evenkeel.signal(rustix::process::Signal::TERM);
    assert!(evenkeel.wait_exit().success());
    assert_eq!(collector.trace_of("/last").1.len(), 1);
}

#[test]
fn the_collector_gets_the_header_fields_of_the_file() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let folder = crate::support::Folder::new();
    folder.write("headers", "# for the collector\nAuthorization: Bearer s3cret\n\nx-scope: a b\n");
    let tracing = collector.tracing("sample = \"100%\"\nheaders_file = \"headers\"");
    let evenkeel = Evenkeel::start_in(folder, &(tracing + &pool(&[&origin], "")));
    evenkeel.get("/");
    collector.trace_of("/");
    let post = collector.origin.last();
    assert_eq!((post.header("authorization"), post.header("x-scope")), (Some("Bearer s3cret"), Some("a b")));
}

#[test]
fn a_headers_file_that_holds_something_else_is_found_by_check() {
    let folder = crate::support::Folder::new();
    folder.write("headers", "just-a-token\n");
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 8080\npool = \"app\"\n[pool.app]\nbackends = [1]\n\
         [tracing]\notlp = \"http://127.0.0.1:4318\"\nheaders_file = \"headers\"\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("line 1 of") && outcome.stderr.contains("NAME: VALUE"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("just-a-token"), "it may be a secret: {}", outcome.stderr);
}
