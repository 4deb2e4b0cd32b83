//! The page of an application that reads the path itself, and how long browsers may keep what they get.

use super::site::Site;

const FILES: [(&str, &[u8]); 3] =
    [("index.html", b"app"), ("assets/app.js", b"js"), ("other.html", b"other")];

#[test]
fn every_path_without_a_file_gets_the_fallback() {
    let site = Site::new(&FILES, ", fallback = \"/index.html\"");
    let mut client = site.evenkeel.client();
    for path in [
        "/users/1",
        "/users/",
        "/assets/none.js",
        "/assets/",
        "/a%2Fb",
        "/.env",
        "/other.html/x",
        "/deep/er/still?x=1",
    ] {
        for _ in 0..2 {
            let page = client.get(path);
            assert_eq!((page.status, page.text().as_str()), (200, "app"), "{path}");
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(page.header("cache-control"), Some("no-cache"));
        }
    }
    let tag = client.get("/users/1").header("etag").unwrap().to_owned();
    assert_eq!(client.get_with("/users/2", &format!("if-none-match: {tag}\r\n")).status, 304);
    let head = client.ask("HEAD /users/1 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
    assert_eq!(client.ask("POST /users/1 HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").status, 405);
    assert_eq!(client.get("/assets/app.js").text(), "js");
    assert_eq!(client.get("/assets/app.js").header("cache-control"), None);
}

#[test]
fn a_fallback_that_is_not_there_is_a_404() {
    let site = Site::new(&FILES, ", fallback = \"/none.html\"");
    assert_eq!(site.get("/users/1").status, 404);
    assert_eq!(site.get("/").text(), "app");
}

#[test]
fn cache_control_goes_by_name_and_by_path() {
    let site = Site::new(
        &FILES,
        ", fallback = \"/index.html\", cache_control = { \"/assets/*\" = \"public, max-age=31536000, immutable\", \
         \"other.*\" = \"max-age=5\", \"*\" = \"no-store\" }",
    );
    for (path, expected) in [
        ("/assets/app.js", "public, max-age=31536000, immutable"),
        ("/other.html", "max-age=5"),
        ("/", "no-store"),
        ("/users/1", "no-store"),
        // The fallback is `/index.html`, whatever was asked for.
        ("/assets/none.js", "no-store"),
    ] {
        assert_eq!(site.get(path).header("cache-control"), Some(expected), "{path}");
    }
}
