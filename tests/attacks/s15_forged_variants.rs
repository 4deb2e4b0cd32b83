//! S15, in depth: what a trusted peer passes on from somebody who is not.

use crate::support::{Client, Evenkeel, Origin, pool};

fn trusting(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"127.0.0.2\"]\n\
         [[route]]\nclient = [\"9.9.9.9/32\", \"2001:db8::9/128\"]\nrespond = {{ body = \"known\" }}\n{}",
        pool(&[origin], "")
    ))
}

fn from_trusted(evenkeel: &Evenkeel, fields: &str) -> crate::support::Response {
    Client::from([127, 0, 0, 2], evenkeel.address()).get_with("/", fields)
}

#[test]
fn s15_only_the_last_word_of_a_trusted_peer_counts() {
    let origin = Origin::named("all");
    let evenkeel = trusting(&origin);
    for (fields, answer) in [
        ("x-forwarded-for: 9.9.9.9\r\nx-forwarded-for: 6.6.6.6\r\n", "all"),
        ("x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 9.9.9.9\r\n", "known"),
        ("x-forwarded-for: 9.9.9.9,\r\n", "all-or-known"),
        ("x-forwarded-for: 9.9.9.9, unknown\r\n", "all"),
        ("x-forwarded-for: 9.9.9.9, _hidden\r\n", "all"),
        ("x-forwarded-for: 9.9.9.9 6.6.6.6\r\n", "all"),
        ("x-forwarded-for: 9.9.9.9/32\r\n", "all"),
        ("x-forwarded-for: 9.9.9.009\r\n", "all"),
        ("x-forwarded-for: 151587081\r\n", "all"),
        ("x-forwarded-for: ::ffff:9.9.9.9\r\n", "known"),
        ("x-forwarded-for: 2001:db8::9\r\n", "known"),
        ("x-forwarded-for: \r\n", "all"),
        ("x_forwarded_for: 9.9.9.9\r\n", "all"),
        ("x-real-ip: 9.9.9.9\r\n", "all"),
        ("forwarded: for=9.9.9.9\r\n", "all"),
        ("client-ip: 9.9.9.9\r\n", "all"),
    ] {
        let text = from_trusted(&evenkeel, fields).text();
        assert!(answer.split("-or-").any(|answer| answer == text), "{fields:?}: {text}");
    }
}

#[test]
fn s15_a_list_without_an_end_costs_little_and_counts_from_the_right() {
    let origin = Origin::named("all");
    let evenkeel = trusting(&origin);
    let list = "127.0.0.2, ".repeat(2000);
    for (list, answer) in
        [(format!("9.9.9.9, {list}127.0.0.2"), "known"), (format!("9.9.9.9, {list}6.6.6.6"), "all")]
    {
        let response = from_trusted(&evenkeel, &format!("x-forwarded-for: {list}\r\n"));
        assert_eq!(response.text(), answer);
    }
}

#[test]
fn s15_a_request_id_from_outside_can_be_no_more_than_an_id() {
    let origin = Origin::named("all");
    let evenkeel = trusting(&origin);
    for id in ["a b", "", "a\tb", "caf\u{e9}", "a, b"] {
        let response = from_trusted(&evenkeel, &format!("x-request-id: {id}\r\n"));
        let kept = response.header("x-request-id").unwrap();
        assert!(
            kept.bytes().all(|b| b.is_ascii_graphic()) && !kept.is_empty() && kept != id,
            "{id:?}: {kept:?}"
        );
        assert_eq!(origin.last().headers("x-request-id"), [kept]);
    }
    // Two of them are none: which one would it be?
    let response = from_trusted(&evenkeel, "x-request-id: one\r\nx-request-id: two\r\n");
    assert_eq!(response.headers("x-request-id").len(), 1);
    assert_eq!(origin.last().headers("x-request-id").len(), 1);
}

#[test]
fn s15_what_an_untrusted_peer_says_is_replaced_however_it_is_written() {
    let origin = Origin::named("all");
    let evenkeel = trusting(&origin);
    let forged = "X-FORWARDED-FOR: 9.9.9.9\r\nx-forwarded-For:\t9.9.9.9\r\nX-Forwarded-Proto: https\r\n\
                  x-forwarded-proto: wss\r\nX-Forwarded-Host: evil.test\r\nForwarded: for=9.9.9.9\r\n\
                  FORWARDED: by=9.9.9.9\r\nX-Request-ID: forged\r\nVia: 1.1 forged\r\n";
    let response = evenkeel.client().get_with("/", forged);
    assert_eq!(response.text(), "all");
    let request = origin.last();
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(request.headers("x-forwarded-host"), ["test"]);
    assert!(request.headers("forwarded").is_empty());
    assert_eq!(request.headers("x-request-id").len(), 1);
    assert!(!request.headers("x-request-id").contains(&"forged"));
    assert!(request.headers("via").last().is_some_and(|via| via.ends_with("evenkeel")));
}

#[test]
fn s15_a_servers_request_id_does_not_replace_ours() {
    let origin = Origin::answering(|_| crate::support::answer(200, "x-request-id: forged\r\n", "a"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    assert_eq!(response.headers("x-request-id"), [origin.last().header("x-request-id").unwrap()]);
}
