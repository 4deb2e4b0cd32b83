//! S16: what a client says beside the URL changes nothing that others get.

use crate::support::cache::{fresh, is_hit, start};
use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Origin, message::Request, pool};

/// A server that believes every field by which an address, a path or a method can be said another time.
fn gullible() -> Origin {
    Origin::answering(|request| {
        let named = |names: &[&str]| {
            names.iter().find_map(|name| request.headers(name).first().map(|value| (*value).to_owned()))
        };
        let host = named(&[
            "x-forwarded-host",
            "x-host",
            "x-original-host",
            "x-forwarded-server",
            "forwarded",
            "host",
        ]);
        let scheme = named(&[
            "x-forwarded-scheme",
            "x-forwarded-ssl",
            "front-end-https",
            "x-url-scheme",
            "x-forwarded-proto",
        ]);
        let port = named(&["x-forwarded-port"]);
        let prefix = named(&["x-forwarded-prefix"]);
        let path = named(&["x-original-url", "x-rewrite-url", "x-forwarded-path", "x-original-uri"]);
        let method = named(&["x-http-method-override", "x-http-method", "x-method-override"]);
        fresh("", &format!("{host:?} {scheme:?} {port:?} {prefix:?} {path:?} {method:?}"))
    })
}

const EVIL: [&str; 20] = [
    "x-forwarded-host: evil.test",
    "x-host: evil.test",
    "x-original-host: evil.test",
    "x-forwarded-server: evil.test",
    "forwarded: host=evil.test;proto=https",
    "x-forwarded-proto: https",
    "x-forwarded-scheme: https",
    "x-forwarded-ssl: on",
    "front-end-https: on",
    "x-url-scheme: https",
    "x-forwarded-port: 6666",
    "x-forwarded-prefix: /evil",
    "x-original-url: /admin",
    "x-rewrite-url: /admin",
    "x-original-uri: /admin",
    "x-http-method-override: DELETE",
    "x-http-method: DELETE",
    "x-method-override: DELETE",
    "X-Forwarded-Host: evil.test",
    "X-ORIGINAL-URL: /admin",
];

#[test]
fn s16_fields_that_say_the_request_another_time_poison_nothing() {
    let origin = gullible();
    let evenkeel = start(&origin, "{ ttl = \"10m\" }");
    let clean = evenkeel.get("/clean").text();
    for (at, evil) in EVIL.iter().enumerate() {
        let target = format!("/{at}");
        evenkeel.client().get_with(&target, &format!("{evil}\r\n"));
        let victim = evenkeel.get(&target);
        assert_eq!(victim.text(), clean, "{evil}");
    }
}

#[test]
fn s16_fields_that_a_proxy_in_front_lets_through_poison_nothing() {
    let origin = gullible();
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = {{ ttl = \"10m\" }}\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.1\"]\n{}",
        pool(&[&origin], "")
    ));
    let clean = evenkeel.get("/clean").text();
    for (at, evil) in EVIL.iter().enumerate() {
        let target = format!("/{at}");
        evenkeel.client().get_with(&target, &format!("{evil}\r\n"));
        assert_eq!(evenkeel.get(&target).text(), clean, "{evil}");
    }
    // What is said by all is kept all the same.
    let said = "x-forwarded-host: a.test\r\nx-forwarded-proto: https\r\nx-forwarded-for: 192.0.2.1\r\n";
    evenkeel.client().get_with("/same", said);
    assert!(is_hit(&evenkeel.client().get_with("/same", &said.replace("192.0.2.1", "192.0.2.2"))));
}

#[test]
fn s16_listeners_of_two_ports_share_nothing_that_names_the_port() {
    let origin = gullible();
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = {{ ttl = \"10m\" }}\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\n[listener.other]\nbind = [\"127.0.0.1:0\"]\n{}",
        pool(&[&origin], "")
    ));
    for _ in 0..2 {
        for name in ["web", "other"] {
            let address = evenkeel.listener(name);
            let text = crate::support::Client::connect(address).get("/").text();
            assert!(text.contains(&address.port().to_string()), "{name}: {text}");
        }
    }
}

#[test]
fn s16_fields_that_connection_takes_off_select_nothing() {
    let origin = Origin::answering(|request| {
        let theme = request.header("cookie").unwrap_or("none");
        let language = request.header("accept-language").unwrap_or("none");
        fresh("vary: accept-language\r\n", &format!("{language} {theme}"))
    });
    let evenkeel = start(&origin, "{ key = { cookies = [\"theme\"], headers = [\"x-key\"] } }");
    let hop = "connection: accept-language, cookie, x-key\r\n";
    let asked = "accept-language: de\r\ncookie: theme=dark\r\nx-key: 1\r\n";
    assert_eq!(evenkeel.client().get_with("/", &format!("{hop}{asked}")).text(), "none none");
    assert_eq!(evenkeel.client().get_with("/", asked).text(), "de theme=dark");
    assert_eq!(evenkeel.get("/").text(), "none none");
}

#[test]
fn s16_what_varies_by_the_client_is_not_shared() {
    for name in ["x-forwarded-for", "forwarded", "x-request-id"] {
        let origin = Origin::answering(move |request: &Request| {
            let value = request.headers(name).join(", ");
            fresh(&format!("vary: {name}\r\n"), &format!("{name}={value}"))
        });
        let evenkeel = start(&origin, "true");
        evenkeel.get("/");
        let mut other = crate::support::Client::from([127, 0, 0, 9], evenkeel.address());
        let response = other.get("/");
        if name == "x-forwarded-for" {
            assert_eq!(response.text(), "x-forwarded-for=127.0.0.9");
        }
        assert!(name == "forwarded" || !is_hit(&response), "{name}");
    }
}

#[test]
fn s16_a_body_of_a_get_poisons_nothing() {
    let origin = Origin::answering(|request| fresh("", &format!("body={}", request.body.text())));
    let evenkeel = start(&origin, "{ ttl = \"10m\" }");
    for framing in
        ["content-length: 4\r\n\r\nevil", "transfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"]
    {
        let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: test\r\n{framing}"));
        assert_eq!(response.text(), "body=evil");
        assert_eq!(evenkeel.get("/").text(), "body=");
        // And what is kept for others answers no request that has a body.
        let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: test\r\n{framing}"));
        assert_eq!(response.text(), "body=evil");
    }
}

#[test]
fn s16_pseudo_fields_of_http2_are_all_in_the_key() {
    let origin = gullible();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\n\
         [[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = {{ ttl = \"10m\" }}\n{}",
        pool(&[&origin], "")
    ));
    let clean = evenkeel.get("/clean").text();
    let ask = |scheme: &'static str, authority: &'static str, extra: &[fields::Field]| {
        let mut peer = Peer::greeted(evenkeel.client());
        let mut all =
            vec![(":method", "GET"), (":scheme", scheme), (":path", "/"), (":authority", authority)];
        all.extend(extra);
        peer.send(headers(1, flag::WHOLE, fields::block(&all))).unwrap();
        // It is answered or refused.
        let _ = peer.response_end();
    };
    ask("https", "test", &[]);
    ask("http", "evil.test", &[]);
    ask("http", "test", &[("host", "evil.test")]);
    ask("ftp", "test", &[]);
    ask("http", "test", &[("x-forwarded-host", "evil.test")]);
    assert_eq!(evenkeel.get("/").text(), clean);
}

#[test]
fn s16_the_absolute_form_is_what_counts() {
    let origin = gullible();
    let evenkeel = start(&origin, "{ ttl = \"10m\" }");
    let clean = evenkeel.get("/clean").text();
    for request in [
        "GET http://evil.test/ HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET https://test/ HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET http://test@evil.test/ HTTP/1.1\r\nhost: test\r\n\r\n",
    ] {
        evenkeel.ask(request);
        assert_eq!(evenkeel.get("/").text(), clean, "{request}");
    }
}
