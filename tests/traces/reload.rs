//! Traces follow the configuration: they begin, change and end with a reload.

use crate::support::{Collector, Evenkeel, Origin, pool};

#[test]
fn a_reload_begins_moves_and_ends_tracing() {
    let (one, two, origin) = (Collector::start(), Collector::start(), Origin::named("a"));
    let servers = pool(&[&origin], "");
    let evenkeel = Evenkeel::start(&servers);
    evenkeel.get("/before");
    assert_eq!(origin.last().header("traceparent"), None);
    assert_eq!(evenkeel.reload(&(one.tracing("sample = \"100%\"") + &servers)).status, 200);
    evenkeel.get("/one");
    one.trace_of("/one");
    assert_eq!(evenkeel.reload(&(two.tracing("sample = \"100%\"") + &servers)).status, 200);
    evenkeel.get("/two");
    two.trace_of("/two");
    assert_eq!(evenkeel.reload(&servers).status, 200);
    evenkeel.get("/after");
    assert_eq!(origin.last().header("traceparent"), None);
    assert_eq!((one.spans().len(), two.spans().len()), (2, 2));
}
