//! Several responses of one URL, of which the request's fields select one (RFC 9111, 4.1).

use crate::support::Origin;
use crate::support::cache::{assert_said, fresh, is_hit, start};

fn by_language() -> Origin {
    Origin::answering(|request| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        fresh("vary: Accept-Language\r\n", &language)
    })
}

#[test]
fn each_variant_is_kept_and_given_to_those_that_ask_for_it() {
    let origin = by_language();
    let evenkeel = start(&origin, "true");
    for round in 0..3 {
        for language in ["de", "en", "fr", "none"] {
            let fields = format!("accept-language: {language}\r\n");
            let fields = if language == "none" { "" } else { &fields };
            let response = evenkeel.client().get_with("/", fields);
            assert_eq!(response.text(), language);
            assert_eq!(is_hit(&response), round > 0, "{language}");
        }
    }
    assert_eq!(origin.count(), 4);
}

#[test]
fn a_miss_of_another_variant_is_called_so() {
    let origin = by_language();
    let evenkeel = start(&origin, "true");
    evenkeel.client().get_with("/", "accept-language: de\r\n");
    assert_said(&evenkeel.client().get_with("/", "accept-language: en\r\n"), "fwd=vary-miss");
}

#[test]
fn equal_meanings_are_one_variant() {
    let origin = by_language();
    let evenkeel = start(&origin, "true");
    evenkeel.client().get_with("/", "accept-language: de, en;q=0.5\r\n");
    for fields in [
        "accept-language: de,en;q=0.5\r\n",
        "Accept-Language: DE , EN ; q=0.50\r\n",
        "accept-language: de\r\naccept-language: en;q=0.5\r\n",
    ] {
        assert!(is_hit(&evenkeel.client().get_with("/", fields)), "{fields}");
    }
}

#[test]
fn cookies_and_authorization_tell_users_apart_to_the_byte() {
    let origin = Origin::answering(|request| {
        let user = request.header("cookie").unwrap_or("none").to_owned();
        fresh("vary: cookie\r\n", &user)
    });
    let evenkeel = start(&origin, "true");
    for round in 0..2 {
        for cookie in ["a=1", "a=2", "A=1", "a=1; b=2", "b=2; a=1"] {
            let response = evenkeel.client().get_with("/", &format!("cookie: {cookie}\r\n"));
            assert_eq!(response.text(), cookie);
            assert_eq!(is_hit(&response), round > 0, "{cookie}");
        }
    }
}

#[test]
fn clients_that_wait_for_a_variant_that_is_not_theirs_get_their_own() {
    let gate = crate::support::Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        theirs.wait();
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        wire.send(fresh("vary: accept-language\r\n", &language));
    });
    let evenkeel = start(&origin, "true");
    let languages = ["de", "en", "fr"];
    let mut clients = Vec::new();
    for at in 0..30 {
        let mut client = evenkeel.client();
        client
            .send(format!("GET / HTTP/1.1\r\nhost: test\r\naccept-language: {}\r\n\r\n", languages[at % 3]));
        clients.push(client);
    }
    crate::support::cache::wait_for_requests(&evenkeel, 30);
    crate::support::eventually("the server is asked", || origin.count() == 1);
    gate.open();
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.answer("GET").text(), languages[at % 3]);
    }
    assert!(origin.count() <= 6, "{} requests for three variants", origin.count());
}
