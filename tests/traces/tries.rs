//! A span for each try: retries, hedges, and what became of each.

use crate::support::collector::Span;
use crate::support::{Collector, Evenkeel, Gate, Origin, answer, eventually, pool};

#[test]
fn each_retry_is_a_span_of_its_own() {
    let collector = Collector::start();
    let (dead, bad) =
        (Origin::refusing("dead"), Origin::answering(|_| answer(503, "", "busy")).called("bad"));
    let good = Origin::named("good");
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npool = \"app\"\nretry = {{ attempts = 3, on = [\"connect\", \"503\"] }}\n{}",
        collector.tracing("sample = \"100%\""),
        pool(&[&dead, &bad, &good], "")
    ));
    for n in 0..3 {
        assert_eq!(evenkeel.get(&format!("/{n}")).text(), "good");
    }
    let (request, tries) = collector.trace(|span| span.has("evenkeel.tries") == Some("3"));
    request.assert_has(&[("evenkeel.server", "good"), ("http.response.status_code", "200")]);
    assert!(request.error.is_none());
    let what =
        |of: &Span| (of.has("evenkeel.server").unwrap().to_owned(), of.has("error.type").map(str::to_owned));
    let seen: Vec<_> = tries.iter().map(what).collect();
    let expected = |server: &str, error: Option<&str>| (server.to_owned(), error.map(str::to_owned));
    for failed in [expected("dead", Some("refused")), expected("bad", Some("503"))] {
        assert!(seen[..2].contains(&failed), "{tries:#?}");
    }
    assert_eq!(seen[2], expected("good", None));
    let counts: Vec<_> = tries.iter().map(|of| of.has("http.request.resend_count")).collect();
    assert_eq!(counts, [None, Some("1"), Some("2")]);
    let at_bad = tries.iter().find(|of| of.has("evenkeel.server") == Some("bad")).unwrap();
    for (server, of) in [(&bad, at_bad), (&good, &tries[2])] {
        let parents = server.requests();
        let parents: Vec<_> = parents.iter().map(|request| request.header("traceparent").unwrap()).collect();
        assert!(
            parents.contains(&format!("00-{}-{}-01", request.trace, of.id).as_str()),
            "{parents:?} {of:?}"
        );
    }
    assert!(
        tries.windows(2).all(|pair| pair[0].nanoseconds.1 <= pair[1].nanoseconds.0),
        "one after the other"
    );
}

#[test]
fn a_hedge_is_a_span_beside_the_first_which_is_cancelled() {
    let collector = Collector::start();
    let cancelled = Gate::default();
    let theirs = cancelled.clone();
    let slow = Origin::start(move |_, wire| {
        if wire.hold() {
            theirs.open();
        }
        wire.close();
    })
    .called("slow");
    let good = Origin::named("good");
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npool = \"app\"\nhedge = {{ after = \"30ms\" }}\n{}",
        collector.tracing("sample = \"100%\""),
        pool(&[&slow, &good], "")
    ));
    for n in 0..2 {
        assert_eq!(evenkeel.get(&format!("/{n}")).text(), "good");
    }
    let (request, tries) = collector.trace(|span| span.has("evenkeel.tries") == Some("2"));
    let [first, hedge] = &tries[..] else { panic!("{tries:?}") };
    first.assert_has(&[("evenkeel.server", "slow"), ("error.type", "cancelled")]);
    hedge.assert_has(&[
        ("evenkeel.server", "good"),
        ("evenkeel.hedge", "true"),
        ("http.response.status_code", "200"),
    ]);
    assert!(first.has("evenkeel.hedge").is_none());
    assert!(hedge.nanoseconds.0 < first.nanoseconds.1, "they overlap");
    let parents = good.requests();
    let expected = format!("00-{}-{}-01", request.trace, hedge.id);
    assert!(parents.iter().any(|request| request.header("traceparent") == Some(&expected)));
}

#[test]
fn a_client_that_leaves_ends_its_trace() {
    let (collector, gate) = (Collector::start(), Gate::default());
    let origin = Origin::held("a", &gate);
    let evenkeel = collector.traced("sample = \"100%\"", &[&origin], "");
    let mut client = evenkeel.client();
    client.send("GET /left HTTP/1.1\r\nhost: test\r\n\r\n");
    origin.last();
    drop(client);
    let (request, tries) = collector.trace_of("/left");
    request.assert_has(&[("evenkeel.ended", "client_aborted"), ("error.type", "client_aborted")]);
    assert_eq!((tries.len(), request.has("http.response.status_code")), (1, None));
    gate.open();
}

#[test]
fn a_try_at_a_server_that_came_with_a_reload_names_that_server() {
    let collector = Collector::start();
    let (late, added) = (Origin::refusing("late"), Origin::named("added"));
    let keys = "wait_for_server = \"30s\"\nhealth = { kind = \"tcp\", interval = \"20ms\", timeout = \"100ms\", fall = 1 }";
    let config = |servers: &[&Origin]| {
        let route = "[[route]]\npool = \"app\"\n";
        format!("{}{route}{}", collector.tracing("sample = \"100%\""), pool(servers, keys))
    };
    let evenkeel = Evenkeel::start(&config(&[&late]));
    evenkeel.wait_for_state("late", "down");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it waits", || evenkeel.metric("evenkeel_pool_waiting_for_server", &["pool=\"app\""]) == 1.0);
    // Its position is none in the pool that the request came to.
    assert_eq!(evenkeel.reload(&config(&[&late, &added])).status, 200);
    assert_eq!(client.answer("GET").text(), "added");
    let (_, tries) = collector.trace(|span| span.has("evenkeel.server") == Some("added"));
    let [only] = &tries[..] else { panic!("{tries:?}") };
    only.assert_has(&[("evenkeel.server", "added"), ("http.response.status_code", "200")]);
}
