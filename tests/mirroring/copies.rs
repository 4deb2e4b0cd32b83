//! What a mirror's pool gets to see: copies, whole, marked, and as many as were asked for.

use std::fmt::Write as _;

use crate::support::{Evenkeel, Origin, eventually, ok, pool};

/// All requests go to `app`, and by `mirror` to `shadow`.
pub fn mirrored(mirror: &str, origin: &Origin, shadow: &Origin, shadow_keys: &str) -> String {
    let mut toml = format!(
        "[[route]]\nname = \"all\"\npool = \"app\"\nmirror = {{ pool = \"shadow\"{mirror} }}\n\
         request_headers = {{ set = {{ x-env = \"prod\" }} }}\n"
    );
    toml.push_str(&pool(&[origin], ""));
    let address = shadow.address();
    let _ = write!(toml, "[pool.shadow]\nbackends = [\"{address}\"]\n{shadow_keys}\n");
    toml
}

/// How many copies had this outcome.
pub fn outcome(evenkeel: &Evenkeel, outcome: &str) -> f64 {
    let labels = ["route=\"all\"", &format!("outcome=\"{outcome}\"")];
    evenkeel.metric("evenkeel_mirrored_total", &labels)
}

#[test]
fn a_copy_is_the_request_with_a_mark() {
    let (origin, shadow) = (Origin::named("a"), Origin::named("shadow"));
    let evenkeel = Evenkeel::start(&mirrored("", &origin, &shadow, ""));
    let mut client = evenkeel.client();
    let response = client.get_with("/x?y=z", "x-own: 1\r\nx-evenkeel-mirror: forged\r\n");
    assert_eq!(response.text(), "a");
    let (seen, copy) = (origin.last(), shadow.last());
    assert_eq!((copy.method(), copy.target(), copy.header("host")), ("GET", "/x?y=z", Some("test")));
    for name in ["x-own", "x-env", "x-request-id", "x-forwarded-for", "via"] {
        assert_eq!((copy.header(name), copy.header(name).is_some()), (seen.header(name), true), "{name}");
    }
    assert_eq!((copy.header("x-evenkeel-mirror"), seen.header("x-evenkeel-mirror")), (Some("1"), None));
    eventually("it is counted", || outcome(&evenkeel, "sent") == 1.0);
}

#[test]
fn bodies_are_copied_however_they_come() {
    let (origin, shadow) = (Origin::answering(|request| ok(&request.body.text())), Origin::named("shadow"));
    let evenkeel = Evenkeel::start(&mirrored("", &origin, &shadow, ""));
    let text = "hello ".repeat(500);
    let requests = [
        format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3000\r\n\r\n{text}"),
        format!(
            "PUT / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n{}\r\n7d0\r\n{}\r\n0\r\n\r\n",
            &text[..1_000],
            &text[1_000..]
        ),
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n".to_owned(),
    ];
    let mut client = evenkeel.client();
    for (count, request) in requests.iter().enumerate() {
        let echoed = client.ask(request).text();
        eventually("the copy came", || shadow.count() > count);
        let copy = shadow.last();
        assert_eq!((copy.body.text(), copy.method()), (echoed, request.split(' ').next().unwrap()));
        assert_eq!(copy.header("content-length"), Some(["3000", "3000", "0"][count]), "{request}");
    }
    assert_eq!(shadow.connections(), 1, "its connection is kept");
}

#[test]
fn bodies_beyond_what_is_copied_go_to_the_server_alone() {
    let (origin, shadow) =
        (Origin::answering(|request| ok(&request.body.bytes.len().to_string())), Origin::named("s"));
    let evenkeel = Evenkeel::start(&mirrored(", body = \"1KiB\"", &origin, &shadow, ""));
    let body = "a".repeat(2_000);
    let long = format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2000\r\n\r\n{body}");
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{body}\r\n0\r\n\r\n"
    );
    for request in [long, chunked] {
        assert_eq!(evenkeel.ask(request).text(), "2000");
    }
    eventually("both are counted", || outcome(&evenkeel, "too_large") == 2.0);
    assert_eq!(shadow.count(), 0);
}

#[test]
fn a_share_of_the_requests_is_copied() {
    let (origin, shadow) = (Origin::named("a"), Origin::named("shadow"));
    let evenkeel = Evenkeel::start(&mirrored(", percent = 30", &origin, &shadow, ""));
    let mut client = evenkeel.client();
    (0..500).for_each(|_| assert_eq!(client.get("/").status, 200));
    eventually("all copies have ended", || outcome(&evenkeel, "sent") == shadow.count() as f64);
    // Six standard deviations.
    assert!((88..=212).contains(&shadow.count()), "{} of 500", shadow.count());
}
