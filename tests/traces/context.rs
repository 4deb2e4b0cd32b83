//! Trace contexts from clients and to servers, in all forms; what is malformed is replaced.

use crate::support::{Collector, Evenkeel, Origin, pool};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A balancer whose clients are trusted.
fn trusting(collector: &Collector, origin: &Origin, tracing: &str) -> Evenkeel {
    let listener =
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    Evenkeel::start(&(collector.tracing(tracing) + listener + &pool(&[origin], "")))
}

#[test]
fn a_request_goes_on_with_the_trace_that_it_came_with() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = trusting(&collector, &origin, "sample = \"0%\"");
    let sent =
        format!("traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: one=1\r\ntracestate: two=2,three=3\r\n");
    evenkeel.client().get_with("/on", &sent);
    let (request, tries) = collector.trace_of("/on");
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, SPAN));
    assert_eq!(request.state, "one=1,two=2,three=3");
    let passed = origin.last();
    let expected = format!("00-{TRACE}-{}-01", tries[0].id);
    assert_eq!(passed.header("traceparent"), Some(expected.as_str()));
    assert_eq!(passed.headers("tracestate"), ["one=1", "two=2,three=3"]);
}

#[test]
fn the_decision_not_to_trace_is_passed_on() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = trusting(&collector, &origin, "sample = \"100%\"\npropagate = [\"tracecontext\", \"b3\"]");
    evenkeel.client().get_with("/off", &format!("traceparent: 00-{TRACE}-{SPAN}-00\r\n"));
    evenkeel.get("/on");
    collector.trace_of("/on");
    assert!(collector.spans().iter().all(|span| span.trace != TRACE));
    let passed = &origin.requests()[0];
    let (parent, b3) = (passed.header("traceparent").unwrap(), passed.header("b3").unwrap());
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    assert!(b3.starts_with(TRACE) && b3.ends_with("-0"), "{b3}");
    let record = evenkeel.record(|record| record["target"] == "/off");
    assert_eq!((&record["trace_id"], &record["trace_sampled"]), (&TRACE.into(), &false.into()));
}

#[test]
fn what_is_malformed_is_replaced() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = trusting(&collector, &origin, "sample = \"100%\"");
    let good = format!("00-{TRACE}-{SPAN}-01");
    let cases = [
        format!("traceparent: ff-{TRACE}-{SPAN}-01\r\n"),
        format!("traceparent: 00-{}-{SPAN}-01\r\n", "0".repeat(32)),
        format!("traceparent: 00-{TRACE}-{}-01\r\n", "0".repeat(16)),
        format!("traceparent: {}\r\n", good.to_uppercase()),
        format!("traceparent: {good}-more\r\n"),
        format!("traceparent: {good}\r\ntraceparent: {good}\r\n"),
        "traceparent: \r\n".to_owned(),
        format!("traceparent: {}\r\n", "a".repeat(4_000)),
        format!("b3: {TRACE}-{SPAN}-1\r\n"),
    ];
    for (at, case) in cases.iter().enumerate() {
        let path = format!("/{at}");
        evenkeel.client().get_with(&path, &format!("{case}tracestate: a=b\r\n"));
        let (request, tries) = collector.trace_of(&path);
        assert!(
            request.trace != TRACE && request.parent.is_empty() && request.state.is_empty(),
            "{case}: {request:?}"
        );
        let passed = origin.last();
        let expected = format!("00-{}-{}-01", request.trace, tries[0].id);
        assert_eq!(passed.header("traceparent"), Some(expected.as_str()), "{case}");
        assert_eq!(passed.header("tracestate"), None, "{case}: it belongs to no trace");
    }
    assert!(origin.last().header("b3").is_some(), "a form that is not listed passes through");
}

#[test]
fn b3_goes_in_and_out() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = trusting(&collector, &origin, "sample = \"0%\"\npropagate = \"b3\"");
    let multi = format!(
        "X-B3-TraceId: {TRACE}\r\nX-B3-SpanId: {SPAN}\r\nX-B3-Sampled: 1\r\nX-B3-ParentSpanId: {SPAN}\r\n"
    );
    for (path, sent) in [("/single", format!("b3: {TRACE}-{SPAN}-1-{SPAN}\r\n")), ("/multi", multi)] {
        evenkeel.client().get_with(path, &sent);
        let (request, tries) = collector.trace_of(path);
        assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, SPAN), "{path}");
        let passed = origin.last();
        assert_eq!(passed.header("b3"), Some(format!("{TRACE}-{}-1", tries[0].id).as_str()), "{path}");
        for gone in ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-parentspanid", "traceparent"] {
            assert_eq!(passed.header(gone), None, "{path}");
        }
    }
    evenkeel.client().get_with("/short", "b3: a3ce929d0e0e4736-00f067aa0ba902b7-d\r\n");
    assert_eq!(collector.trace_of("/short").0.trace, "0000000000000000a3ce929d0e0e4736");
}

#[test]
fn b3_in_several_headers_is_written_where_that_is_asked_for() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = trusting(&collector, &origin, "propagate = [\"b3multi\", \"tracecontext\"]");
    evenkeel.client().get_with("/", &format!("b3: {TRACE}-{SPAN}-1\r\ntraceparent: nonsense\r\n"));
    let (request, tries) = collector.trace_of("/");
    let passed = origin.last();
    for (name, value) in [
        ("x-b3-traceid", TRACE.to_owned()),
        ("x-b3-spanid", tries[0].id.clone()),
        ("x-b3-parentspanid", request.id.clone()),
        ("x-b3-sampled", "1".to_owned()),
        ("traceparent", format!("00-{TRACE}-{}-01", tries[0].id)),
    ] {
        assert_eq!(passed.header(name), Some(value.as_str()));
    }
    assert_eq!(passed.header("b3"), None);
}

#[test]
fn a_route_has_the_last_word_about_the_headers() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npool = \"app\"\nrequest_headers = {{ remove = [\"traceparent\"] }}\n{}",
        collector.tracing("sample = \"100%\""),
        pool(&[&origin], "")
    ));
    evenkeel.client().get_with("/", &format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n"));
    assert_eq!(origin.last().header("traceparent"), None);
    assert_eq!(collector.trace_of("/").0.trace, TRACE);
}
