//! Routes that are traced otherwise than the rest; what the cache and mirrors do to a trace.

use crate::support::cache::fresh;
use crate::support::{Collector, Evenkeel, Origin, eventually, pool};

#[test]
fn a_route_may_be_traced_more_than_others_or_not_at_all() {
    let (collector, origin) = (Collector::start(), Origin::named("a"));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npath = \"/all\"\npool = \"app\"\ntrace = true\n\
         [[route]]\npath = \"/none\"\npool = \"app\"\ntrace = false\n{}",
        collector.tracing("sample = \"0%\""),
        pool(&[&origin], "")
    ));
    evenkeel.client().get_with("/none", "traceparent: as-it-came\r\nb3: 0\r\n");
    let passed = origin.last();
    assert_eq!((passed.header("traceparent"), passed.header("b3")), (Some("as-it-came"), Some("0")));
    let record = evenkeel.record(|record| record["target"] == "/none");
    assert!(record.get("trace_id").is_none(), "{record}");
    evenkeel.get("/rest");
    assert!(origin.last().header("traceparent").unwrap().ends_with("-00"));
    evenkeel.get("/all");
    collector.trace_of("/all");
    assert!(collector.spans().iter().all(|span| span.has("url.path").is_none_or(|path| path == "/all")));
}

#[test]
fn a_hit_has_no_try_and_a_miss_has_that_of_its_fetch() {
    let (collector, origin) = (Collector::start(), Origin::answering(|_| fresh("", "hello")));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npool = \"app\"\ncache = true\n{}",
        collector.tracing("sample = \"100%\""),
        pool(&[&origin], "")
    ));
    evenkeel.get("/page?1");
    evenkeel.get("/page?1");
    let of = |cache: &str| collector.trace(|span| span.has("evenkeel.cache") == Some(cache));
    let (miss, tries) = of("miss");
    assert_eq!(tries.len(), 1, "{tries:?}");
    let expected = format!("00-{}-{}-01", miss.trace, tries[0].id);
    assert_eq!(origin.last().header("traceparent"), Some(expected.as_str()));
    let (hit, tries) = of("hit");
    assert_eq!((hit.has("evenkeel.tries"), tries.len()), (Some("0"), 0));
    assert!(hit.trace != miss.trace);
}

#[test]
fn a_copy_belongs_to_the_trace_of_its_request() {
    let (collector, origin, shadow) = (Collector::start(), Origin::named("a"), Origin::named("shadow"));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npool = \"app\"\nmirror = {{ pool = \"shadow\" }}\n[pool.shadow]\nbackends = [\"{}\"]\n{}",
        collector.tracing("sample = \"100%\""),
        shadow.address(),
        pool(&[&origin], "")
    ));
    evenkeel.get("/copied");
    let (request, _) = collector.trace_of("/copied");
    eventually("the copy came", || shadow.count() == 1);
    let expected = format!("00-{}-{}-01", request.trace, request.id);
    assert_eq!(shadow.last().header("traceparent"), Some(expected.as_str()));
}
