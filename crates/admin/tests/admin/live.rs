//! `GET /live`: the stream as its watchers get it, how many there may be, and that none of them makes the process keep
//! what is not read.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use evenkeel_observe::events::{Event, EventKind, Severity};
use serde_json::Value;

use crate::fixture::{Api, DEADLINE};

/// One message of a stream.
#[derive(Debug)]
struct Message {
    event: String,
    id: Option<u64>,
    data: Value,
}

struct Watcher(BufReader<TcpStream>);

impl Watcher {
    fn open(api: &Api, path: &str, fields: &str) -> Self {
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // HTTP/1.0: without chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n{fields}\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    /// The head of the answer, in lower case.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        head.to_lowercase()
    }

    /// The next message; `None` at the end of the stream.
    fn next(&mut self) -> Option<Message> {
        let mut message = Message { event: String::new(), id: None, data: Value::Null };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => message.event = name.into(),
                Some(("id", id)) => message.id = Some(id.parse().unwrap()),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                Some(("retry", ms)) => assert_eq!(ms, "1000"),
                Some(other) => panic!("{other:?}"),
                None if message.event.is_empty() => {}
                None => return Some(message),
            }
        }
    }

    /// The next message of this kind.
    fn find(&mut self, event: &str) -> Message {
        loop {
            let message = self.next().unwrap();
            if message.event == event {
                return message;
            }
        }
    }
}

fn watch(api: &Api, path: &str, fields: &str) -> Watcher {
    let mut watcher = Watcher::open(api, path, fields);
    let head = watcher.head();
    assert!(head.starts_with("http/1.0 200") || head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    watcher
}

#[test]
fn a_stream_begins_with_the_past_and_goes_on_every_second() {
    let api = Api::start();
    let mut watcher = watch(&api, "/live", "");
    let history = watcher.next().unwrap();
    assert_eq!((history.event.as_str(), &history.data["interval_s"]), ("history", &1.into()));
    assert!(history.data["points"].is_array());
    let last = loop {
        let at = watcher.find("tick").data["point"]["at"].as_f64().unwrap();
        if at > 0.0 {
            break at;
        }
    };
    let web = api.registry.listener(&"web".into());
    for _ in 0..30 {
        web.shard(1).record(true);
    }
    let begun = Instant::now();
    let (mut seen, mut before) = (0.0, last);
    while seen < 29.5 {
        assert!(begun.elapsed() < DEADLINE, "{seen}");
        let tick = watcher.find("tick").data;
        let at = tick["point"]["at"].as_f64().unwrap();
        // The same point stands in the message that a stream begins with.
        seen += tick["point"]["listeners"]["web"]["rps"].as_f64().unwrap_or(0.0) * (at - before);
        before = at;
        for key in ["rps", "errors", "p50", "p95", "p99", "in_flight", "connections", "pools", "cache"] {
            assert!(tick["point"].get(key).is_some(), "{key} is not in {tick}");
        }
        let pool = &tick["status"]["pools"][0];
        assert!(pool["now"]["rps"].is_number() && pool["servers"][0]["now"]["rps"].is_number(), "{pool}");
        assert!(tick["problems"].is_array() && tick["at"].as_f64().unwrap() > 1.7e9);
    }
    let mut later = watch(&api, "/live", "");
    let points = later.next().unwrap().data["points"].as_array().unwrap().len();
    assert!(points >= 1, "the past is there when a stream begins");
}

#[test]
fn events_are_sent_as_they_happen_and_none_is_missed_between_two_streams() {
    let api = Api::start();
    let record = |what: &str| api.registry.events.record(Event::new(EventKind::Reload, Severity::Info, what));
    record("one");
    let mut watcher = watch(&api, "/live", "");
    watcher.find("tick");
    record("two");
    let two = watcher.find("event");
    assert_eq!((two.id, two.data["what"].as_str()), (Some(2), Some("two")));
    drop(watcher);
    record("three");
    let mut again = watch(&api, "/live", "last-event-id: 2\r\n");
    assert_eq!(again.find("event").data["what"], "three");
    let mut all = watch(&api, "/live?events_after=0", "");
    let texts: Vec<_> = (0..3).map(|_| all.find("event").data["what"].to_string()).collect();
    assert_eq!(texts, ["\"one\"", "\"two\"", "\"three\""]);
}

#[test]
fn a_watcher_of_the_process_before_gets_the_events_of_this_one() {
    let api = Api::start();
    let record =
        |what: &str| api.registry.events.record(Event::new(EventKind::Upgrade, Severity::Info, what));
    record("one");
    for (path, fields) in [("/live", "last-event-id: 200\r\n"), ("/live?events_after=200", "")] {
        let mut watcher = watch(&api, path, fields);
        assert_eq!(watcher.find("event").id, Some(1), "{path}");
    }
    let mut watcher = watch(&api, "/live?events_after=200", "");
    watcher.find("event");
    record("two");
    assert_eq!(watcher.find("event").id, Some(2), "and those that follow");
}

#[test]
fn there_are_at_most_32_streams_and_room_again_when_one_ends() {
    let api = Api::start();
    let mut watchers: Vec<_> = (0..32).map(|_| watch(&api, "/live", "")).collect();
    let refused = api.get("/live");
    assert_eq!(refused.status, 503);
    assert!(refused.error().contains("32"), "{}", refused.error());
    watchers.pop();
    let begun = Instant::now();
    loop {
        let mut next = Watcher::open(&api, "/live", "");
        if next.head().contains(" 200 ") {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "the place of a stream that has ended is not free");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stream_ends_when_the_process_leaves() {
    let api = Api::start();
    let mut watcher = watch(&api, "/live", "");
    watcher.find("tick");
    api.leaving.store(true, Ordering::Relaxed);
    while watcher.next().is_some() {}
}

#[test]
fn problems_say_what_is_wrong_and_since_when() {
    let api = Api::start();
    api.put("/pools/app/servers/a", r#"{"state":"drain"}"#);
    api.put("/pools/app/servers/b", r#"{"state":"drain"}"#);
    let mut watcher = watch(&api, "/live", "");
    let begun = Instant::now();
    let problem = loop {
        assert!(begun.elapsed() < DEADLINE);
        let tick = watcher.find("tick").data;
        if let Some(problem) = tick["problems"].get(0) {
            break problem.clone();
        }
    };
    assert_eq!(problem["what"], "pool app has no usable server");
    assert_eq!((&problem["severity"], &problem["kind"]), (&"critical".into(), &"pool-down".into()));
    assert_eq!(problem["pool"], "app");
    let since = problem["since"].as_f64().unwrap();
    let later = watcher.find("tick").data;
    assert_eq!(later["problems"][0]["since"].as_f64(), Some(since), "it does not begin anew every second");
}
