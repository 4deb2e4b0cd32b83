//! S12, in depth: the same guarded path in other spellings, forms, versions and rewrites.

use crate::support::h2::fields::{self, GET};
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Peer, balancer};
use crate::support::{Evenkeel, Origin, ok, pool};

fn guarded(origin: &Origin) -> String {
    format!("{}[[route]]\npath = \"/admin/*\"\nrespond = {{ status = 403 }}", pool(&[origin], ""))
}

/// Spellings that some server or other takes for `/admin/x`.
const SPELLINGS: [&str; 24] = [
    "/%2e/admin/x",
    "/.%2f../admin/x",
    "/x/.%2e/admin/x",
    "/x/%2e./admin/x",
    "/x/%2E%2E/admin/x",
    "/x/..%5C/admin/x",
    "/x/..%2Fadmin/x",
    "/x/..;a=b/admin/x",
    "/x/..%3b/admin/x",
    "/x;/../admin/x",
    "/.;/admin/x",
    "/x/..%00/admin/x",
    "/%61%64%6d%69%6e/x",
    "/admin/../admin/x",
    "/admin//x",
    "/./././admin/./x",
    "///admin///x",
    "/x/y/../../admin/x",
    "/x//../admin/x",
    "/admin#/x",
    "/admin\\x",
    "\\admin/x",
    "/admin/x/..",
    "/x/%u002e%u002e/admin/x",
];

#[test]
fn s12_no_spelling_of_a_guarded_path_reaches_the_server() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&guarded(&origin));
    for spelling in SPELLINGS {
        let response = evenkeel.get(spelling);
        assert!(matches!(response.status, 400 | 403), "{spelling}: {} {}", response.status, response.text());
        let absolute = evenkeel.get(&format!("http://test{spelling}"));
        assert!(matches!(absolute.status, 400 | 403), "http://test{spelling}: {}", absolute.status);
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s12_nor_over_http2() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = balancer(&origin, "[[route]]\npath = \"/admin/*\"\nrespond = { status = 403 }");
    let more = ["*", "admin/x", "", "http://test/admin/x", "//test/admin/x", "?x"];
    for spelling in SPELLINGS.into_iter().chain(more) {
        let mut peer = Peer::greeted(evenkeel.client());
        let path = (":path", spelling);
        peer.send(headers(1, flag::WHOLE, fields::block(&[GET[0], GET[1], path, GET[3]]))).unwrap();
        if let Ok(frame) = peer.first(|frame| frame.stream == 1 && frame.kind != kind::WINDOW_UPDATE)
            && frame.kind == kind::HEADERS
        {
            let status = fields::status(&frame.payload);
            let refused = status.as_deref().is_some_and(|status| matches!(status, "400" | "403"));
            assert!(refused || spelling == "//test/admin/x" || spelling == "?x", "{spelling}: {status:?}");
        }
    }
    for request in origin.requests() {
        assert!(!request.target().starts_with("/admin"), "{}", request.target());
    }
}

#[test]
fn s12_odd_targets_are_read_in_one_way() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&guarded(&origin));
    for (target, forwarded) in [
        ("http://test", "/"),
        ("http://test?admin", "/?admin"),
        ("http://test/?x=/../admin", "/?x=/../admin"),
        ("HTTP://TEST/b", "/b"),
        ("/%41", "/A"),
        ("/%ff", "/%FF"),
        ("/%c0%ae%c0%ae/admin", "/%C0%AE%C0%AE/admin"),
        ("/?", "/?"),
        ("/ADMIN/x", "/ADMIN/x"),
        ("/admin%2fx", "/admin%2Fx"),
        ("/adminx", "/adminx"),
    ] {
        assert_eq!(evenkeel.get(target).text(), forwarded, "{target}");
    }
    for target in ["*", "admin", "?admin", "http://", "http:/admin", "//", "test:80", "http://test:x/"] {
        let response = evenkeel.get(target);
        assert!(response.status == 400 || target == "//", "{target}: {}", response.status);
    }
}

#[test]
fn s12_a_rewrite_leads_nowhere_else() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npath = \"/api/*\"\npool = \"app\"\nrewrite = {{ strip_prefix = \"/api\" }}\n\
         [[route]]\npath = \"/old/*\"\npool = \"app\"\nrewrite = {{ path = \"/new/*\" }}\n{}",
        pool(&[&origin], "")
    ));
    for (target, forwarded) in [
        ("/api", "/"),
        ("/api//evil.test/x", "/evil.test/x"),
        ("/api/%2f/evil.test", "/%2F/evil.test"),
        ("/api/?x", "/?x"),
        ("/api/*", "/*"),
        ("/old/", "/new/"),
        ("/old/./x/../y", "/new/y"),
        ("/old/%2e%2e%252fx", "/new/..%252fx"),
    ] {
        let response = evenkeel.get(target);
        let right = response.status == 400 || response.status == 200 && response.text() == forwarded;
        assert!(right, "{target}: {} {}", response.status, response.text());
        assert!(!response.text().starts_with("//") && !response.text().contains("/../"), "{target}");
    }
    for target in ["/api/../x", "/old/../../x", "/api/%2e%2e/api2/x"] {
        let response = evenkeel.get(target);
        assert!(matches!(response.status, 400 | 404), "{target}: {} {}", response.status, response.text());
    }
}
