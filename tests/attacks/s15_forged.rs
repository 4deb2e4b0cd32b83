//! S15: forged X-Forwarded-*, Forwarded and X-Request-Id.

use crate::support::{Client, Evenkeel, Origin, pool};

const FORGED: &str = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nx-forwarded-proto: https\r\n\
                      x-forwarded-host: evil.test\r\nx-request-id: forged\r\nforwarded: for=6.6.6.6;proto=https\r\n";

/// One listener that trusts 127.0.0.2 and 127.0.0.3, and two routes: for the client 9.9.9.9, and for all.
fn trusting(origin: &Origin, local: &Origin) -> String {
    format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"127.0.0.2/31\"]\n\
         [[route]]\nclient = [\"9.9.9.0/24\"]\npool = \"known\"\n\
         [pool.known]\nbackends = [\"{}\"]\n{}",
        local.address(),
        pool(&[origin], "")
    )
}

#[test]
fn s15_what_an_untrusted_peer_claims_is_overwritten() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.client().get_with("/", FORGED);
    let request = origin.last();
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(request.headers("x-forwarded-host"), ["test"]);
    assert_ne!(request.header("x-request-id"), Some("forged"));
    assert_eq!(request.headers("forwarded"), [""; 0]);
    assert_ne!(response.header("x-request-id"), Some("forged"));
}

#[test]
fn s15_a_trusted_list_is_read_from_the_right() {
    let (all, known) = (Origin::named("all"), Origin::named("known"));
    let evenkeel = Evenkeel::start(&trusting(&all, &known));
    let cases = [
        ([127, 0, 0, 2], "9.9.9.9", "known"),
        ([127, 0, 0, 2], "9.9.9.9, 6.6.6.6", "all"),
        ([127, 0, 0, 2], "6.6.6.6, 9.9.9.9", "known"),
        ([127, 0, 0, 2], "9.9.9.9, 127.0.0.3", "known"),
        ([127, 0, 0, 2], "6.6.6.6, 9.9.9.9:4711, 127.0.0.3:4711", "known"),
        ([127, 0, 0, 9], "9.9.9.9", "all"),
        ([127, 0, 0, 9], "9.9.9.9:4711", "all"),
        ([127, 0, 0, 2], "9.9.9.9, garbage", "all"),
    ];
    for (peer, list, answer) in cases {
        let response =
            Client::from(peer, evenkeel.address()).get_with("/", &format!("x-forwarded-for: {list}\r\n"));
        assert_eq!(response.text(), answer, "{peer:?} says {list}");
    }
}

#[test]
fn s15_a_request_id_of_a_trusted_peer_is_kept_only_when_it_is_harmless() {
    let (all, known) = (Origin::named("all"), Origin::named("known"));
    let evenkeel = Evenkeel::start(&trusting(&all, &known));
    let ask = |id: &str| {
        let response = Client::from([127, 0, 0, 2], evenkeel.address())
            .get_with("/", &format!("x-request-id: {id}\r\n"));
        response.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(ask("0af7651916cd43dd8448eb211c80319c"), "0af7651916cd43dd8448eb211c80319c");
    let endless = "x".repeat(5_000);
    assert_ne!(ask(&endless), endless);
}

#[test]
fn s15_underscores_are_no_way_around() {
    // CGI, WSGI and PHP give `X_Forwarded_For` and `X-Forwarded-For` to the application as one variable.
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.client().get_with(
        "/",
        "X_Forwarded_For: forged\r\nx_forwarded-for: forged\r\nX-Forwarded_Proto: forged\r\n\
         X_FORWARDED_HOST: forged\r\nX_Request_Id: forged\r\nx_own: kept\r\n",
    );
    let request = origin.last();
    let forged: Vec<_> = request.fields.iter().filter(|(_, value)| value.contains("forged")).collect();
    assert!(forged.is_empty(), "{forged:?}");
    assert_eq!(request.header("x_own"), Some("kept"), "other names may have underscores");
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
}
