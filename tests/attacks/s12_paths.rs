//! S12: paths written so that routing and server read them differently.

use crate::support::{Evenkeel, Origin, ok, pool};

/// What was asked for, and what the server sees.
const NORMAL_FORM: [(&str, &str); 22] = [
    ("/a/b", "/a/b"),
    ("/a/./b", "/a/b"),
    ("/a/../b", "/b"),
    ("/a/b/..", "/a/"),
    ("/a/b/.", "/a/b/"),
    ("//a///b", "/a/b"),
    ("/a/%2e%2e/b", "/b"),
    ("/a/%2E/b", "/a/b"),
    ("/%61%62", "/ab"),
    ("/%7euser", "/~user"),
    ("/a%2fb", "/a%2Fb"),
    ("/a%2Fb", "/a%2Fb"),
    ("/%252e%252e/b", "/%252e%252e/b"),
    ("/a%20b", "/a%20b"),
    ("/a%c3%a9", "/a%C3%A9"),
    ("/a;v=1/b", "/a;v=1/b"),
    ("/...", "/..."),
    ("/.well-known/x", "/.well-known/x"),
    ("/a?x=/../%2e//", "/a?x=/../%2e//"),
    ("/a/..?q", "/?q"),
    ("/a%3Fb", "/a%3Fb"),
    ("/a+b@c:d=e&f,g!h'i(j)k*l$m", "/a+b@c:d=e&f,g!h'i(j)k*l$m"),
];

const REFUSED: [&str; 20] = [
    "/a%00b",
    "/a\\b",
    "/a%5cb",
    "/a%5Cb",
    "/a%",
    "/a%2",
    "/a%zz",
    "/a/..;/b",
    "/a/.;x=1/b",
    "/a/%2e%2e;/b",
    "/..%2fb",
    "/a/..%2f..%2fb",
    "/a%2f../b",
    "/a/%2e%2e%2fb",
    "/..",
    "/a/../..",
    "/%2e%2e/b",
    "/a\u{1}b",
    "/caf\u{e9}",
    "a/b",
];

#[test]
fn s12_what_is_matched_is_what_is_forwarded() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for (asked, forwarded) in NORMAL_FORM {
        assert_eq!(client.get(asked).text(), forwarded, "{asked}");
    }
}

#[test]
fn s12_what_cannot_be_read_in_one_way_is_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for target in REFUSED {
        let mut client = evenkeel.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert_eq!(client.answer("GET").status, 400, "{target}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s12_no_spelling_of_a_guarded_path_gets_by() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npath = \"/admin/*\"\nrespond = {{ status = 403 }}\n[[route]]\npath = \"/public/*\"\npool = \"app\"",
        pool(&[&origin], "")
    ));
    let spellings = [
        "/admin",
        "/admin/",
        "//admin/x",
        "/./admin/x",
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/%61dmin/x",
        "/public/..;/admin/x",
        "/public/..%2fadmin/x",
        "/public/..%5cadmin/x",
        "/public\\..\\admin/x",
        "/admin%00/x",
        "/public/./.././admin",
        "/ad%6Din/x",
        "/public//../admin/x",
    ];
    for spelling in spellings {
        let status = evenkeel.get(spelling).status;
        assert!(matches!(status, 400 | 403), "{spelling}: {status}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s12_nothing_is_decoded_twice() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npath = \"/admin/*\"\nrespond = {{ status = 403 }}",
        pool(&[&origin], "")
    ));
    assert_eq!(evenkeel.get("/%2561dmin/x").text(), "/%2561dmin/x");
    assert_eq!(evenkeel.get("/x/%252e%252e/admin").text(), "/x/%252e%252e/admin");
    assert_eq!(evenkeel.get("/x%252fy").text(), "/x%252fy");
}
