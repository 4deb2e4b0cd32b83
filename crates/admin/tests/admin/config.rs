//! `GET /config` shows what is in force and what commands have changed; `POST /reload` and `POST /confirm` send their commands.

use std::time::Duration;

use evenkeel_core::snapshot::Command;
use serde_json::json;

use crate::fixture::Api;

#[test]
fn the_configuration_is_shown_as_it_was_read_beside_what_commands_have_changed() {
    let api = Api::start();
    let shown = api.get("/config").json();
    assert_eq!(shown["changes"], json!([]));
    let config = evenkeel_config::parse("shown", shown["text"].as_str().unwrap()).unwrap().config;
    assert_eq!(config.pools[0].backends.len(), 2);
    api.put("/pools/app/servers/a", "{\"weight\": 7, \"state\": \"drain\"}");
    let shown = api.get("/config").json();
    assert_eq!(
        shown["changes"],
        json!([
            "pool app: weight of server a: 3 -> 7 by a command",
            "pool app: server a is draining by a command"
        ])
    );
    assert_eq!(
        shown["runtime"],
        json!([
            { "kind": "weight", "pool": "app", "server": "a", "weight": 7 },
            { "kind": "state", "pool": "app", "server": "a", "state": "draining" },
        ])
    );
    assert!(shown["text"].as_str().unwrap().contains("weight = 3"));
}

#[test]
fn a_reload_may_have_to_be_confirmed() {
    let api = Api::start();
    let commands = || std::mem::take(&mut *api.commands.lock().unwrap());
    for (path, body, expected) in [
        ("/reload", "{}", Command::Reload),
        ("/reload", "{\"confirm_seconds\": 60}", Command::Try { within: Duration::from_secs(60) }),
        ("/confirm", "{}", Command::Confirm { keep: true }),
        ("/confirm", "{\"go_back\": true}", Command::Confirm { keep: false }),
    ] {
        assert_eq!(api.post(path, body).status, 200, "{path} {body}");
        assert_eq!(commands(), [expected], "{path} {body}");
    }
    for (path, body) in [
        ("/reload", "{\"confirm_seconds\": 0}"),
        ("/reload", "{\"confirm_seconds\": 86401}"),
        ("/reload", "{\"confirm_seconds\": null}"),
        ("/reload", "{\"seconds\": 1}"),
        ("/confirm", "{\"go_back\": 1}"),
        ("/confirm", "{\"keep\": true}"),
    ] {
        let answer = api.post(path, body);
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
    }
    assert_eq!(commands(), []);
}

#[test]
fn commands_that_need_no_body_take_an_empty_one_of_any_type() {
    let api = Api::start();
    let document = api.get("/openapi.json").json();
    for (path, status, command) in [
        ("/reload", 200, Some(Command::Reload)),
        ("/confirm", 200, Some(Command::Confirm { keep: true })),
        // No process takes upgrades here, which the API finds out only once the request is understood.
        ("/upgrade", 503, None),
    ] {
        let ask = |fields: &str, body: &str| {
            api.ask(&format!("POST {path} HTTP/1.1\nhost: localhost{fields}"), body).status
        };
        for (fields, body) in [
            ("", ""),
            ("\ncontent-length: 0", ""),
            ("\ncontent-type: application/json\ncontent-length: 0", ""),
            ("\ncontent-type: application/x-www-form-urlencoded\ncontent-length: 0", ""),
            ("\ntransfer-encoding: chunked", "0\r\n\r\n"),
            ("\ncontent-type: application/json\ncontent-length: 2", "{}"),
        ] {
            assert_eq!(ask(fields, body), status, "{path} {fields:?}");
            assert_eq!(api.commands.lock().unwrap().pop(), command, "{path} {fields:?}");
        }
        for fields in ["", "\ncontent-type: text/plain"] {
            assert_eq!(ask(&format!("{fields}\ncontent-length: 2"), "{}"), 415, "{path} {fields:?}");
        }
        let body = &document["paths"][path]["post"]["requestBody"];
        assert!(body["content"]["application/json"].is_object(), "{path}: {body}");
        assert_ne!(body["required"], json!(true), "{path}");
    }
}
