//! S13: Host missing, doubled, malformed, or contradicted.

use crate::support::h2::fields::{self, Field, GET};
use crate::support::h2::frames::{Code, flag, headers};
use crate::support::h2::{Expect, Peer, balancer};
use crate::support::{Evenkeel, Origin, pool};

const REFUSED: [(&str, &str); 17] = [
    ("missing", ""),
    ("doubled", "host: a.test\r\nhost: b.test\r\n"),
    ("doubled and equal", "host: a.test\r\nhost: a.test\r\n"),
    ("list", "host: a.test, b.test\r\n"),
    ("space", "host: a.test b.test\r\n"),
    ("userinfo", "host: user@a.test\r\n"),
    ("path", "host: a.test/x\r\n"),
    ("query", "host: a.test?x\r\n"),
    ("scheme", "host: http://a.test\r\n"),
    ("port without digits", "host: a.test:x\r\n"),
    ("port too large", "host: a.test:65536\r\n"),
    ("two ports", "host: a.test:1:2\r\n"),
    ("open bracket", "host: [::1\r\n"),
    ("not an IPv6 address", "host: [zz]\r\n"),
    ("text behind the bracket", "host: [::1]x\r\n"),
    ("backslash", "host: a.test\\x\r\n"),
    ("angle brackets", "host: <a>\r\n"),
];

#[test]
fn s13_a_wrong_host_is_refused_and_nothing_forwarded() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, fields) in REFUSED {
        let mut client = evenkeel.client();
        client.send(format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(client.answer("GET").status, 400, "{name}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s13_a_right_host_passes() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for host in ["a.test", "A.Test:80", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "a_b.test", "a.test."]
    {
        let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(response.status, 200, "{host}");
    }
}

#[test]
fn s13_absolute_form_wins_and_the_server_sees_one_host() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\nhost = \"internal.test\"\nrespond = {{ status = 403 }}",
        pool(&[&origin], "")
    ));
    let ask =
        |target: &str, host: &str| evenkeel.ask(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    assert_eq!(ask("http://internal.test/", "public.test").status, 403);
    assert_eq!(ask("http://public.test/", "internal.test").status, 200);
    assert_eq!(origin.last().headers("host"), ["public.test"]);
    assert_eq!(ask("http://user@public.test/", "public.test").status, 400);
    assert_eq!(ask("http:///x", "public.test").status, 400);
    assert_eq!(ask("ftp://public.test/x", "public.test").status, 400);
}

#[test]
fn s13_an_absolute_form_does_not_excuse_a_missing_host() {
    let evenkeel = Evenkeel::start("[[route]]\nrespond = {}");
    assert_eq!(evenkeel.ask("GET http://a.test/ HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(evenkeel.ask("GET http://a.test/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").status, 400);
}

#[test]
fn s13_case_port_and_final_dot_choose_no_other_route() {
    let evenkeel = Evenkeel::start(
        "[[route]]\nhost = \"shop.test\"\nrespond = { body = \"shop\" }\n[[route]]\nrespond = { body = \"any\" }",
    );
    for host in ["shop.test", "SHOP.test", "shop.test:8080", "shop.test."] {
        assert_eq!(evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).text(), "shop", "{host}");
    }
}

/// `:authority` and `host` of an HTTP/2 request.
const AUTHORITIES: [(&str, &[Field], Expect); 11] = [
    ("authority alone", &[(":authority", "a.test")], Expect::Response),
    ("host alone", &[("host", "a.test")], Expect::Response),
    ("both", &[(":authority", "a.test"), ("host", "A.test")], Expect::Response),
    ("neither", &[], REFUSED_STREAM),
    ("different", &[(":authority", "a.test"), ("host", "b.test")], REFUSED_STREAM),
    ("different ports", &[(":authority", "a.test"), ("host", "a.test:80")], REFUSED_STREAM),
    ("an empty host", &[(":authority", "a.test"), ("host", "")], REFUSED_STREAM),
    ("two hosts", &[("host", "a.test"), ("host", "b.test")], REFUSED_STREAM),
    ("two equal hosts", &[(":authority", "a.test"), ("host", "a.test"), ("host", "a.test")], REFUSED_STREAM),
    ("userinfo", &[(":authority", "user@a.test")], REFUSED_STREAM),
    ("a list", &[("host", "a.test, b.test")], REFUSED_STREAM),
];

const REFUSED_STREAM: Expect = Expect::StreamError(&[Code::PROTOCOL]);

#[test]
fn s13_an_authority_unlike_the_host_is_refused_and_nothing_forwarded() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    for (name, said, expected) in AUTHORITIES {
        let mut peer = Peer::greeted(evenkeel.client());
        let block = [fields::block(&GET[..3]), fields::block(said)].concat();
        peer.send(headers(1, flag::WHOLE, block)).unwrap();
        assert_eq!(expected.follows(&mut peer).err(), None, "{name}");
    }
    let hosts = origin.requests().iter().map(|request| request.headers("host").join(" ")).collect::<Vec<_>>();
    assert_eq!(hosts, ["a.test"; 3]);
}
