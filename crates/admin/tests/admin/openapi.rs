//! `GET /openapi.json`: it describes what the router answers, all of it and nothing else.

use serde_json::Value;

use crate::fixture::Api;

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    of_path.collect()
}

#[test]
fn each_route_is_described_answered_and_in_the_index() {
    let api = Api::start();
    let index = api.get("/").body;
    let document = api.get("/openapi.json").json();
    let operations = operations(&document);
    assert!(operations.len() >= 10, "{operations:?}");
    for (method, path, operation) in operations {
        let line = index.lines().find(|line| line.starts_with(&format!("{method:<7}{path} ")));
        assert!(line.is_some_and(|line| line.len() > path.len() + 10), "{method} {path} is not in\n{index}");
        if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
            // It does not end; its own tests read it.
            continue;
        }
        let target = path.replace("{pool}", "app").replace("{id}", "a");
        let answer = api.send(&method, &target);
        assert!(answer.status != 405, "{method} {path}: {answer:?}");
        let documented = operation["responses"].as_object().unwrap();
        let status = answer.status.to_string();
        assert!(documented.contains_key(&status), "{method} {path} answers {status}, which is not described");
    }
}

#[test]
fn no_route_is_answered_that_is_not_described() {
    let api = Api::start();
    let document = api.get("/openapi.json").json();
    for line in api.get("/").body.lines().skip(2) {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap().to_lowercase(), words.next().unwrap());
        assert!(document["paths"][path][method].is_object(), "{line}");
    }
}

#[test]
fn each_reference_leads_somewhere() {
    let document = Api::start().get("/openapi.json").json();
    let mut left = vec![&document];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => {
                left.extend(fields.values());
                let Some(reference) = fields.get("$ref").and_then(Value::as_str) else { continue };
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} is not described");
            }
            _ => {}
        }
    }
}
