//! What tests of the flight recorder have in common: the record of a request, its steps, and what `evenkeel why` tells.

use serde_json::Value;

use crate::support::{Evenkeel, Response, eventually};

/// The id that a response came with.
#[track_caller]
pub fn id_of(response: &Response) -> String {
    response.header("x-request-id").unwrap().to_owned()
}

/// The record of the request with this id, once there is one: it is made when the response has been sent.
#[track_caller]
pub fn record(evenkeel: &Evenkeel, id: &str) -> Value {
    let mut found = Value::Null;
    eventually(&format!("there is a record of {id}"), || {
        let response = evenkeel.admin("GET", &format!("/requests/{id}"), "");
        found = serde_json::from_str(&response.text()).unwrap();
        response.status == 200
    });
    found
}

/// The answer to `GET /requests` with this query.
#[track_caller]
pub fn list(evenkeel: &Evenkeel, query: &str) -> Value {
    let response = evenkeel.admin("GET", &format!("/requests?{query}"), "");
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_str(&response.text()).unwrap()
}

/// The records that `GET /requests` lists with this query, once there are so many.
#[track_caller]
pub fn listed(evenkeel: &Evenkeel, query: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually(&format!("{count} records are listed by {query}"), || {
        found = list(evenkeel, query)["requests"].as_array().unwrap().clone();
        found.len() == count
    });
    found
}

/// What `evenkeel why` tells of a request.
#[track_caller]
pub fn why(evenkeel: &Evenkeel, id: &str) -> String {
    record(evenkeel, id);
    let outcome = evenkeel.cli(&["why", id]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

/// The kinds of a record's steps, in order.
pub fn kinds(record: &Value) -> Vec<&str> {
    record["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect()
}

/// Asserts that some step of this kind says this.
#[track_caller]
pub fn assert_step(record: &Value, kind: &str, text: &str) {
    let mut steps = record["steps"].as_array().unwrap().iter();
    let says = |step: &Value| step["kind"] == kind && step["what"].as_str().unwrap().contains(text);
    assert!(steps.any(says), "no step `{kind}` with `{text}` in {record:#}");
}

/// Asserts that the steps are in the order in which they happened, within the time that the request took.
#[track_caller]
pub fn assert_in_order(record: &Value) {
    let times: Vec<f64> =
        record["steps"].as_array().unwrap().iter().map(|s| s["at_ms"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{record:#}");
    assert_eq!(times[0], 0.0, "{record:#}");
}
