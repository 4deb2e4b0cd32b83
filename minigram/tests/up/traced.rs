//! One trace, which a client began, through Evenkeel, a server and the queue to a worker: at the collector, and in the logs.

use std::collections::HashMap;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::client::{Client, eventually};
use crate::collector::{Collector, Received, hex};
use crate::world::minigram;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Begins as a photo does, so that a server takes it, and a worker cannot decode it.
const NO_PHOTO: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF";

/// Posts what a worker will fail with, and a comment on `photo` that is refused, so that each process has something to log.
pub async fn post(user: &Client, photo: &str) {
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let posted = user
        .send(Method::POST, "/api/v1/photos", |request| {
            request.header("traceparent", &traceparent).body(NO_PHOTO)
        })
        .await;
    assert_eq!(posted.status(), StatusCode::CREATED);
    let refused = user
        .send(Method::POST, &format!("{photo}/comments"), |request| {
            request.header("traceparent", &traceparent).json(&json!({ "text": "" }))
        })
        .await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

/// `minigram logs --trace` finds what each process has logged of the trace, and nothing else.
pub async fn logs_have_it(state: &Path) {
    let search =
        || minigram().args(["logs", "--raw", "--trace", TRACE, "--state"]).arg(state).output().unwrap();
    let wanted = [
        ("evenkeel-access", "\"/api/v1/photos\""),
        ("app-", "a request was refused"),
        ("worker-", "the picture cannot be decoded"),
    ];
    eventually("the logs have the trace", || async {
        let found = String::from_utf8(search().stdout).unwrap();
        assert!(found.lines().all(|line| line.contains(TRACE)), "{found}");
        let has = |(service, text): &(&str, &str)| {
            found.lines().any(|line| line.starts_with(service) && line.contains(text))
        };
        wanted.iter().all(has).then_some(())
    })
    .await;
}

/// After the system has ended, the collector has the spans of each process, each below that of the one that asked it.
pub fn collector_has_it(collector: &Collector) {
    let spans: Vec<Received> =
        collector.take().into_iter().filter(|received| hex(&received.span.trace_id) == TRACE).collect();
    let by_id: HashMap<&[u8], &Received> =
        spans.iter().map(|received| (received.span.span_id.as_slice(), received)).collect();
    let seen: Vec<String> =
        spans.iter().map(|Received { service, span }| format!("{service}: {}", span.name)).collect();
    let parent = |received: &Received| by_id.get(received.span.parent_span_id.as_slice()).copied();
    let named = |service: &str, name: &str| {
        let found = spans.iter().find(|received| received.service == service && received.span.name == name);
        found.unwrap_or_else(|| panic!("no span {name} of {service} among {seen:#?}"))
    };
    let request = named("minigram-server", "POST /api/v1/photos");
    let mut proxied =
        parent(request).unwrap_or_else(|| panic!("Evenkeel has no span before the server's: {seen:#?}"));
    assert_eq!(proxied.service, "evenkeel");
    // The try at a server is part of the request.
    while let Some(above) = parent(proxied) {
        proxied = above;
    }
    assert_eq!((&*proxied.service, hex(&proxied.span.parent_span_id)), ("evenkeel", PARENT.to_owned()));

    let jobs: Vec<&Received> = spans.iter().filter(|received| received.span.name == "job").collect();
    assert!(jobs.len() >= 2, "thumbnails and fan-out: {seen:#?}");
    for job in jobs {
        assert_eq!(job.service, "minigram-worker");
        assert_eq!(job.span.parent_span_id, request.span.span_id, "{seen:#?}");
    }
}
