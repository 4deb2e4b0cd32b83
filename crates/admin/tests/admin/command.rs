//! `POST /reload` and `PUT /pools/{pool}/servers/{id}`: which commands are sent, and what the client gets.

use evenkeel_admin::{By, Request, serve};
use evenkeel_core::health::Administrative;
use evenkeel_core::snapshot::{Command, CommandError};
use serde_json::json;

use crate::fixture::{Answer, Api, context, exchange, run, tcp};

fn change(pool: &str, id: &str, administrative: Option<Administrative>, weight: Option<u32>) -> Command {
    Command::Server { pool: pool.into(), id: id.into(), administrative, weight }
}

/// What `POST /reload` answers when the control side does this with it.
fn reload(control: impl FnOnce(Request) + Send + 'static) -> Answer {
    let (listener, bound) = tcp();
    let address = bound.to_string();
    let (context, mut requests) = context(bound, None);
    run(false, async move {
        let control = async { control(requests.recv().await.unwrap()) };
        let (served, ()) = tokio::join!(serve(vec![listener], context, std::future::pending()), control);
        served.unwrap();
    });
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::fixture::DEADLINE)).unwrap();
    exchange(stream, "POST /reload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

#[test]
fn a_reload_is_passed_on_and_its_generation_reported() {
    let api = Api::start();
    let answer = api.send("POST", "/reload");
    assert_eq!((answer.status, answer.json()), (200, json!({ "generation": 8 })));
    assert_eq!(*api.commands.lock().unwrap(), [Command::Reload]);
}

#[test]
fn a_refused_reload_tells_why() {
    let answer = reload(|request| {
        request.answer.send(Err(CommandError::Refused("evenkeel.toml:3: no such key".into()))).unwrap();
    });
    let expected = "evenkeel.toml:3: no such key\nnothing changed: generation 7 stays in force";
    assert_eq!((answer.status, answer.error().as_str()), (422, expected));
}

#[test]
fn a_command_that_is_not_carried_out_is_not_called_done() {
    assert_eq!(reload(drop).status, 503);
}

#[test]
fn a_server_is_changed_and_shown_as_it_then_is() {
    use Administrative::{Drain, Ready};
    let api = Api::start();
    for (body, administrative, weight, shown) in [
        (r#"{"state":"drain"}"#, Some(Drain), None, ("draining", 3)),
        (r#"{"weight":1000}"#, None, Some(1000), ("draining", 1000)),
        (r#" {"weight": 0, "state": "ready"}"#, Some(Ready), Some(0), ("up", 0)),
    ] {
        let answer = api.put("/pools/app/servers/a", body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        let server = answer.json();
        assert_eq!((&server["id"], &server["address"]), (&json!("a"), &json!("127.0.0.1:5001")));
        assert_eq!((&server["state"], &server["weight"]), (&json!(shown.0), &json!(shown.1)), "{body}");
        let last = api.commands.lock().unwrap().pop();
        assert_eq!(last, Some(change("app", "a", administrative, weight)), "{body}");
    }
}

#[test]
fn ids_that_are_addresses_are_found_however_they_are_written() {
    let api = Api::start();
    for (path, id) in [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:%2Frun%2Fa.sock", "unix:/run/a.sock"),
        ("unix%3a/run%2fa.sock", "unix:/run/a.sock"),
        ("[::1]:5003", "[::1]:5003"),
        ("%5B::1%5D%3A5003", "[::1]:5003"),
    ] {
        let answer = api.put(&format!("/pools/local/servers/{path}"), r#"{"state":"drain"}"#);
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)), "{path}");
    }
}

#[test]
fn servers_that_do_not_exist_are_a_404() {
    let api = Api::start();
    for path in
        ["/pools/app/servers/nobody", "/pools/none/servers/a", "/pools/local/servers/unix:/run/b.sock"]
    {
        let answer = api.put(path, r#"{"state":"drain"}"#);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.error().contains("has no server"), "{}", answer.error());
    }
}

#[test]
fn bodies_that_mean_nothing_are_refused_with_the_reason() {
    let api = Api::start();
    for (body, part) in [
        ("", "JSON object"),
        ("nonsense", "JSON object"),
        ("[\"drain\"]", "JSON object"),
        ("null", "JSON object"),
        ("{\"state\":\"drain\"", "EOF"),
        (r#"{"state":"drain"} x"#, "trailing"),
        ("{}", "`state`, `weight` or both"),
        (r#"{"state":"asleep"}"#, "expected one of `drain`, `disable`, `ready`"),
        (r#"{"state":"Drain"}"#, "expected one of `drain`, `disable`, `ready`"),
        (r#"{"state":null}"#, "expected value"),
        (r#"{"state":"drain","weight":null}"#, "null"),
        (r#"{"state":"drain","state":"ready"}"#, "duplicate field `state`"),
        (r#"{"weight":1001}"#, "0 to 1000, not 1001"),
        (r#"{"weight":-1}"#, "0 to 1000, not -1"),
        (r#"{"weight":1.5}"#, "0 to 1000, not 1.5"),
        (r#"{"weight":4294967297}"#, "0 to 1000"),
        (r#"{"weight":"5"}"#, "string"),
        (r#"{"wait":1}"#, "unknown field `wait`"),
        (r#"{"state":"drain","wieght":1}"#, "expected one of `state`, `weight`, `why`"),
    ] {
        let answer = api.put("/pools/app/servers/a", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().contains(part), "{body}: {}", answer.error());
    }
    let answer = api.put("/pools/app/servers/%ff", r#"{"state":"drain"}"#);
    assert_eq!(answer.status, 400, "{}", answer.error());
    assert!(api.commands.lock().unwrap().is_empty());
}

#[test]
fn a_body_must_say_that_it_is_json() {
    let api = Api::start();
    let body = r#"{"state":"drain"}"#;
    let put = |fields: &str| {
        let length = body.len();
        let head =
            format!("PUT /pools/app/servers/a HTTP/1.1\nhost: localhost\ncontent-length: {length}{fields}");
        api.ask(&head, body)
    };
    for wrong in ["", "\ncontent-type: text/plain", "\ncontent-type: application/jsonp", "\ncontent-type: x"]
    {
        let answer = put(wrong);
        assert_eq!(answer.status, 415, "{wrong}");
        assert!(answer.error().contains("application/json"), "{}", answer.error());
    }
    assert!(api.commands.lock().unwrap().is_empty());
    for right in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(put(&format!("\ncontent-type: {right}")).status, 200, "{right}");
    }
}

#[test]
fn a_change_carries_who_asks_for_it_and_why() {
    let api = Api::with_token("correct horse battery");
    let head = "PUT /pools/app/servers/a HTTP/1.1\nhost: localhost\nauthorization: Bearer correct horse battery\n\
                x-evenkeel-who: deploy-bot\nx-evenkeel-why: release%2042\ncontent-type: application/json\n\
                content-length: 12";
    assert_eq!(api.ask(head, "{\"weight\":5}").status, 200);
    let by = By { who: "token from 127.0.0.1, for deploy-bot".into(), why: Some("release 42".into()) };
    assert_eq!(*api.bys.lock().unwrap(), [by]);
}
