//! S16: no spelling of a path makes the cache take one page for another (cache deception).

use crate::support::cache::{fresh, is_hit, start};
use crate::support::{Client, Evenkeel, Fault, Origin, answer, pool};

/// A server that gives the account page for all that begins with `/account`, and static content below `/static`.
fn lenient() -> Origin {
    Origin::answering(|request| {
        let target = request.target();
        if target.starts_with("/account") {
            let user = request.header("cookie").unwrap_or("none");
            answer(200, "content-type: text/html\r\n", &format!("account of {user}"))
        } else {
            fresh("", target)
        }
    })
}

const DECEPTIVE: [&str; 14] = [
    "/account/x.css",
    "/account/..%2fstatic.css",
    "/account;x.css",
    "/account/;x.css",
    "/account%0ax.css",
    "/account%3fx.css",
    "/account%23x.css",
    "/account%00x.css",
    "/account//x.css",
    "/account/%2e%2e/account/x.js",
    "/static/..%2faccount/x.css",
    "/static/%2e%2e/account/x.css",
    "/account.css",
    "/account/x.css?y.css",
];

#[test]
fn s16_no_extension_and_no_spelling_makes_a_page_cacheable() {
    let origin = lenient();
    let evenkeel = start(&origin, "true");
    for target in DECEPTIVE {
        let victim = evenkeel.client().get_with(target, "cookie: victim\r\n");
        let attacker = evenkeel.get(target);
        assert!(
            !attacker.text().contains("victim"),
            "{target}: {} {:?}",
            victim.status,
            attacker.headers("cache-status")
        );
    }
}

#[test]
fn s16_a_route_for_static_content_keeps_nothing_of_another_one() {
    let origin = lenient();
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"static\"\npath = \"/static/*\"\npool = \"app\"\ncache = {{ ttl = \"10m\" }}\n\
         [[route]]\nname = \"rest\"\npath = \"/*\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    for target in [
        "/static/..%2faccount",
        "/static/%2e%2e/account",
        "/static/../account",
        "/static/..;/account",
        "/static/.%2e/account/x.css",
        "/static//../account",
        "/static/%2e%2e%2faccount",
        "/static/..%5caccount",
        "/static/..%255caccount",
    ] {
        let victim = raw(&evenkeel, target, "cookie: victim\r\n");
        let attacker = raw(&evenkeel, target, "");
        assert!(!attacker.contains("victim"), "{target}: {victim} {attacker}");
    }
}

/// Status and body of what a target gives, whatever it is.
fn raw(evenkeel: &Evenkeel, target: &str, fields: &str) -> String {
    let mut client = Client::connect(evenkeel.address());
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"));
    match client.response("GET") {
        Ok(response) => format!("{} {}", response.status, response.text()),
        Err(Fault::Closed | Fault::Reset) => "closed".to_owned(),
        Err(other) => panic!("{target}: {other:?}"),
    }
}

#[test]
fn s16_spellings_that_the_server_tells_apart_are_kept_apart() {
    let origin = Origin::answering(|request| fresh("", request.target()));
    let evenkeel = start(&origin, "true");
    let targets = [
        "/a",
        "/a/",
        "/A",
        "/a;x",
        "/a%3Bx",
        "/a%3bx",
        "/a%2Fb",
        "/a/b",
        "/a?x",
        "/a?X",
        "/a?x=",
        "/a?",
        "/a%3Fx",
        "/a?x#",
        "/a//b",
        "/a%20b",
        "/a+b",
        "/a?b=%2e",
        "/a?b=.",
        "/a?b=%0d%0a",
        "/a?b=%00",
        "/a?b=\u{7f}",
    ];
    let first: Vec<String> = targets.iter().map(|target| raw(&evenkeel, target, "")).collect();
    let asked: Vec<String> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    for (target, first) in targets.iter().zip(first) {
        let again = raw(&evenkeel, target, "");
        let Some(body) = first.strip_prefix("200 ") else {
            assert_eq!(again.get(..4), first.get(..4), "{target}");
            continue;
        };
        assert_eq!(again, first, "{target}");
        assert!(asked.iter().any(|asked| asked == body), "{target} gives {body}");
    }
}

#[test]
fn s16_line_ends_in_a_query_split_nothing() {
    let origin = Origin::answering(|request| fresh(&format!("x-query: {}\r\n", request.target()), "hello"));
    let evenkeel = start(&origin, "{ ttl = \"10m\" }");
    for target in [
        "/?a=%0d%0aset-cookie:%20evil=1",
        "/?a=%0aHTTP/1.1%20200%20OK",
        "/?a=%E5%98%8D%E5%98%8Aset-cookie:evil",
    ] {
        for _ in 0..2 {
            let response = evenkeel.get(target);
            assert!(response.headers("set-cookie").is_empty());
            assert_eq!(response.header("x-query"), Some(target));
        }
        assert!(is_hit(&evenkeel.get(target)));
        assert!(!is_hit(&evenkeel.get("/?a=")));
        evenkeel.ask("DELETE /?a= HTTP/1.1\r\nhost: test\r\n\r\n");
    }
}
