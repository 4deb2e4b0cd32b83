//! `GET /events`: what has happened lately.

use evenkeel_observe::events::{Event, EventKind, Severity};

use crate::fixture::Api;

#[test]
fn events_come_newest_first_and_are_chosen_by_kind_and_number() {
    let api = Api::start();
    assert_eq!(api.get("/events").body, r#"{"events":[]}"#);
    let events = &api.registry.events;
    events.record(Event::new(EventKind::Reload, Severity::Info, "reloaded"));
    let down = Event::new(EventKind::Health, Severity::Critical, "server a went from up to down");
    events.record(down.server(&"app".into(), &"a".into()));
    let change = Event::new(EventKind::Operator, Severity::Info, "weight of a set to 5");
    events.record(change.by(Some("uid 0".into()), Some("a release".into())));

    let all = api.get("/events").json();
    let of = |list: &serde_json::Value, key: &str| -> Vec<String> {
        list["events"].as_array().unwrap().iter().map(|event| event[key].to_string()).collect()
    };
    assert_eq!(of(&all, "seq"), ["3", "2", "1"]);
    assert_eq!(of(&all, "kind"), [r#""operator""#, r#""health""#, r#""reload""#]);
    let [operator, health] = [&all["events"][0], &all["events"][1]];
    assert_eq!((operator["who"].as_str(), operator["why"].as_str()), (Some("uid 0"), Some("a release")));
    assert_eq!((health["pool"].as_str(), health["server"].as_str()), (Some("app"), Some("a")));
    assert_eq!(health["severity"], "critical");
    assert!(health.get("who").is_none() && health["at"].as_f64().unwrap() > 1.7e9);

    assert_eq!(of(&api.get("/events?limit=1").json(), "seq"), ["3"]);
    assert_eq!(of(&api.get("/events?kind=health&limit=9").json(), "seq"), ["2"]);
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    let api = Api::start();
    let wrong = api.get("/events?kind=weather");
    assert_eq!(wrong.status, 400);
    assert!(wrong.error().contains("weather") && wrong.error().contains("health"), "{}", wrong.error());
    assert_eq!(api.get("/events?limit=many").status, 400);
    assert_eq!(api.get("/events?since=1").status, 400);
}
