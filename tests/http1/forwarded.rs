//! What a server is told about the client: X-Forwarded-*, X-Request-Id and Via.

use crate::support::{Client, Evenkeel, Origin, answer, ok, pool};

#[test]
fn the_server_learns_who_asked_and_how() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = Client::from([127, 0, 0, 9], evenkeel.address());
    let response = client.ask("GET /x HTTP/1.1\r\nHost: Shop.test:8080\r\n\r\n");
    let request = origin.last();
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.9"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host").map(str::to_lowercase), Some("shop.test:8080".into()));
    assert_eq!(request.header("host").map(str::to_lowercase), Some("shop.test:8080".into()));
    assert!(request.header("via").unwrap().starts_with("1.1 "), "{:?}", request.header("via"));
    let id = request.header("x-request-id").unwrap();
    assert!(!id.is_empty());
    assert_eq!(response.header("x-request-id"), Some(id), "the client is told the same id");
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let mut ids: Vec<String> =
        (0..50).map(|_| client.get("/").header("x-request-id").unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn a_trusted_peer_is_believed() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"127.0.0.2\"]\n{}",
        pool(&[&origin], "")
    ));
    let fields = "x-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.test\r\n\
                  x-request-id: from-the-edge\r\n";
    let response = Client::from([127, 0, 0, 2], evenkeel.address()).get_with("/", fields);
    let request = origin.last();
    assert_eq!(request.headers("x-forwarded-for").join(", "), "203.0.113.7, 127.0.0.2");
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.test"));
    assert_eq!(request.header("x-request-id"), Some("from-the-edge"));
    assert_eq!(response.header("x-request-id"), Some("from-the-edge"));
}

#[test]
fn via_of_the_client_is_kept_and_ours_comes_behind_it() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.client().get_with("/", "via: 1.0 cache\r\n");
    let request = origin.last();
    let via = request.headers("via").join(", ");
    let parts: Vec<&str> = via.split(", ").collect();
    assert_eq!(parts.len(), 2, "{via}");
    assert_eq!(parts[0], "1.0 cache");
    assert!(parts[1].starts_with("1.1 "), "{via}");
}

#[test]
fn a_request_id_of_the_server_does_not_replace_ours() {
    let origin = Origin::answering(|_| answer(200, "x-request-id: theirs\r\n", "a"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    assert_eq!(response.header("x-request-id"), origin.last().header("x-request-id"));
}

#[test]
fn answers_of_our_own_carry_the_id_too() {
    let origin = Origin::bytes(ok("a"));
    let evenkeel =
        Evenkeel::start(&format!("{}[[route]]\npath = \"/own\"\nrespond = {{}}", pool(&[&origin], "")));
    assert!(evenkeel.get("/own").header("x-request-id").is_some());
}
