//! Which requests are traced: by share, and by the decision of those who may decide.

use crate::support::{Collector, Evenkeel, Origin, pool};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

#[test]
fn a_share_of_the_requests_is_traced_and_all_pass_a_context_on() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = collector.traced("sample = \"50%\"", &[&origin], "");
    let mut client = evenkeel.client();
    for n in 0..400 {
        client.get(&format!("/{n}"));
    }
    let sampled =
        |request: &&crate::support::message::Request| request.header("traceparent").unwrap().ends_with("-01");
    let requests = origin.requests();
    let count = requests.iter().filter(sampled).count();
    // Ten standard deviations on either side.
    assert!((100..300).contains(&count), "{count} of 400");
    crate::support::eventually("all traces came", || {
        collector.spans().iter().filter(|span| span.parent.is_empty()).count() == count
    });
    assert_eq!(evenkeel.metric("evenkeel_spans_dropped_total", &[]), 0.0);
    crate::support::eventually("all are counted", || {
        evenkeel.metric("evenkeel_spans_exported_total", &[]) == 2.0 * count as f64
    });
}

/// Whether a request is traced that came with this decision to trace.
fn traced(tracing: &str, is_trusted: bool, flags: &str) -> bool {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let trusted = if is_trusted { "trusted_proxies = [\"127.0.0.0/8\"]\n" } else { "" };
    let listener = format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{trusted}");
    let evenkeel = Evenkeel::start(&(collector.tracing(tracing) + &listener + &pool(&[&origin], "")));
    evenkeel.client().get_with("/", &format!("traceparent: {PARENT}-{flags}\r\n"));
    let record = evenkeel.record(|record| record["target"] == "/");
    assert_eq!(record["trace_id"], PARENT[3..35], "the trace goes on in any case");
    record["trace_sampled"].as_bool().unwrap()
}

#[test]
fn only_trusted_proxies_decide_unless_the_configuration_says_otherwise() {
    assert!(traced("sample = \"0%\"", true, "01"));
    assert!(!traced("sample = \"100%\"", true, "00"));
    assert!(!traced("sample = \"0%\"", false, "01"), "a client cannot have its requests traced");
    assert!(traced("sample = \"100%\"", false, "00"), "nor hide them");
    assert!(traced("sample = \"0%\"\nparent_decides = \"all\"", false, "01"));
    assert!(!traced("sample = \"0%\"\nparent_decides = \"none\"", true, "01"));
}
