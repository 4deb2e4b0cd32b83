//! The span of a request and that of its try: ids, times, and what they say.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, fields};
use crate::support::{Collector, Evenkeel, Origin, answer, ok, pool};

#[test]
fn a_request_has_a_span_and_its_try_another_below_it() {
    let (collector, origin) = (Collector::start(), Origin::named("alpha"));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\nname = \"shop\"\npath = \"/cart/*\"\npool = \"app\"\n{}",
        collector.tracing("sample = \"100%\"\nservice_name = \"edge\""),
        pool(&[&origin], "")
    ));
    let response = evenkeel.client().get_with("/cart/7?item=1", "user-agent: probe/1\r\n");
    let (request, tries) = collector.trace_of("/cart/7");
    let id = response.header("x-request-id").unwrap();
    let port = evenkeel.address().port().to_string();
    request.assert_has(&[
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.query", "item=1"),
        ("http.route", "/cart/*"),
        ("http.response.status_code", "200"),
        ("server.address", "test"),
        ("server.port", &port),
        ("client.address", "127.0.0.1"),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "probe/1"),
        ("evenkeel.route", "shop"),
        ("evenkeel.pool", "app"),
        ("evenkeel.server", "alpha"),
        ("evenkeel.tries", "1"),
        ("evenkeel.request_id", id),
        ("evenkeel.ended", "complete"),
    ]);
    assert_eq!((request.name.as_str(), request.parent.as_str()), ("GET /cart/*", ""));
    assert_eq!(request.trace, id, "a trace that begins here has the id of the request");
    assert_eq!((request.error.as_deref(), request.has("error.type")), (None, None));
    assert_eq!(request.resource["service.name"], "edge");
    let [of] = &tries[..] else { panic!("{tries:?}") };
    let port = origin.address().port().to_string();
    of.assert_has(&[
        ("http.request.method", "GET"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("network.peer.address", "127.0.0.1"),
        ("network.peer.port", &port),
        ("http.response.status_code", "200"),
        ("evenkeel.pool", "app"),
        ("evenkeel.server", "alpha"),
    ]);
    assert_eq!((of.kind, of.name.as_str(), &of.trace), (SpanKind::Client, "GET", &request.trace));
    assert_eq!(of.has("http.request.resend_count"), None);
    assert!(request.nanoseconds.0 <= of.nanoseconds.0 && of.nanoseconds.1 <= request.nanoseconds.1);
    assert!(of.nanoseconds.0 <= of.nanoseconds.1);
    let passed = origin.last();
    let expected = format!("00-{}-{}-01", request.trace, of.id);
    assert_eq!(passed.header("traceparent"), Some(expected.as_str()), "the server's parent is the try");
}

#[test]
fn spans_hold_no_secret_of_the_query() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = Evenkeel::start(&format!(
        "[recorder]\nredact = \"customer\"\n{}{}",
        collector.tracing("sample = \"100%\""),
        pool(&[&origin], "")
    ));
    evenkeel.client().get_with("/login?a=1&token=hunter2&customer=me", "user-agent: x\r\n");
    let (request, _) = collector.trace_of("/login");
    request.assert_has(&[("url.query", "a=1&token=(redacted)&customer=(redacted)")]);
    assert!(origin.last().target().contains("hunter2"), "the server gets what the client sent");
}

#[test]
fn the_access_log_names_the_trace() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    evenkeel.get("/logged");
    let (request, _) = collector.trace_of("/logged");
    let record = evenkeel.record(|record| record["target"] == "/logged");
    assert_eq!((&record["trace_id"], &record["span_id"]), (&request.trace.into(), &request.id.into()));
    assert_eq!(record["trace_sampled"], true);
}

#[test]
fn without_tracing_the_log_has_no_such_keys_and_the_context_passes_through() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel
        .client()
        .get_with("/", "traceparent: anything\r\nb3: 0\r\ntracestate: a=b\r\nx-b3-sampled: 1\r\n");
    let record = evenkeel.record(|record| record["target"] == "/");
    assert!(record.get("trace_id").is_none() && record.get("span_id").is_none(), "{record}");
    let passed = origin.last();
    assert_eq!((passed.header("traceparent"), passed.header("b3")), (Some("anything"), Some("0")));
    assert_eq!((passed.header("tracestate"), passed.header("x-b3-sampled")), (Some("a=b"), Some("1")));
}

#[test]
fn errors_are_marked_as_such() {
    let collector = Collector::start();
    let origin = Origin::answering(|request| match request.target() {
        "/broken" => answer(500, "", "no"),
        "/missing" => answer(404, "", "no"),
        _ => ok("fine"),
    });
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    for path in ["/broken", "/missing"] {
        evenkeel.get(path);
    }
    let (request, tries) = collector.trace_of("/broken");
    assert_eq!((request.has("error.type"), tries[0].has("error.type")), (Some("500"), Some("500")));
    assert!(request.error.is_some() && tries[0].error.is_some());
    let (request, tries) = collector.trace_of("/missing");
    assert_eq!(request.error, None, "that is the client's error, not ours");
    assert_eq!(tries[0].has("error.type"), Some("404"));
}

#[test]
fn answers_of_our_own_are_traced_too() {
    let (collector, dead) = (Collector::start(), Origin::refusing("dead"));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npath = \"/own\"\nrespond = {{ status = 200, body = \"x\" }}\n\
         [[route]]\npath = \"/down\"\npool = \"app\"\n[listener.web]\nbind = \"127.0.0.1:0\"\n{}",
        collector.tracing("sample = \"100%\""),
        pool(&[&dead], "")
    ));
    for (path, status) in [("/own", 200), ("/none", 404), ("/down", 502)] {
        assert_eq!(evenkeel.get(path).status, status, "{path}");
    }
    let (own, tries) = collector.trace_of("/own");
    assert_eq!((own.has("http.response.status_code"), tries.len()), (Some("200"), 0));
    let (none, _) = collector.trace_of("/none");
    none.assert_has(&[("http.response.status_code", "404"), ("evenkeel.ended", "refused")]);
    assert!(none.has("evenkeel.reason").is_some() && none.error.is_none());
    assert_eq!(none.name, "GET", "no route, no pattern in the name");
    let (down, tries) = collector.trace_of("/down");
    down.assert_has(&[("http.response.status_code", "502"), ("error.type", "502")]);
    assert!(tries.iter().all(|of| of.has("error.type") == Some("refused")), "{tries:?}");
}

#[test]
fn requests_over_http2_are_traced_alike() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = [\"2\"]\n";
    let evenkeel =
        Evenkeel::start(&(collector.tracing("sample = \"100%\"") + listener + &pool(&[&origin], "")));
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    peer.response_end().unwrap();
    let (request, tries) = collector.trace(|_| true);
    request.assert_has(&[("network.protocol.version", "2"), ("http.response.status_code", "200")]);
    let expected = format!("00-{}-{}-01", request.trace, tries[0].id);
    assert_eq!(origin.last().header("traceparent"), Some(expected.as_str()));
}

#[test]
fn an_unusual_method_does_not_become_a_name() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    evenkeel.ask("BREW /pot HTTP/1.1\r\nhost: test\r\n\r\n");
    let (request, _) = collector.trace_of("/pot");
    request.assert_has(&[("http.request.method", "_OTHER"), ("http.request.method_original", "BREW")]);
    assert!(request.name.starts_with("HTTP"), "{}", request.name);
}
