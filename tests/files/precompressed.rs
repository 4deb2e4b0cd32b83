//! Files that lie beside others in a compressed form, for clients that accept it.

use super::site::{Site, pattern};

const PLAIN: &[u8] = b"plain";
const BR: &[u8] = b"br bytes";
const GZ: &[u8] = b"gz bytes";
const ZST: &[u8] = b"zst bytes";

fn site(keys: &str) -> Site {
    Site::new(
        &[
            ("app.js", PLAIN),
            ("app.js.br", BR),
            ("app.js.gz", GZ),
            ("app.js.zst", ZST),
            ("one.css", PLAIN),
            ("one.css.gz", GZ),
            ("none.html", PLAIN),
            ("lonely.js.gz", GZ),
            ("index.html", PLAIN),
            ("index.html.br", BR),
        ],
        keys,
    )
}

#[test]
fn a_client_gets_what_it_likes_best() {
    let site = site(", precompressed = true");
    let mut client = site.evenkeel.client();
    for (name, accepts, expected, coding) in [
        ("/app.js", "gzip, deflate, br, zstd", ZST, Some("zstd")),
        ("/app.js", "gzip, deflate, br", BR, Some("br")),
        ("/app.js", "br;q=0.5, gzip;q=0.8", GZ, Some("gzip")),
        ("/app.js", "br;q=0, gzip;q=0, zstd;q=0", PLAIN, None),
        ("/app.js", "identity, gzip;q=0.5", PLAIN, None),
        ("/app.js", "*", ZST, Some("zstd")),
        ("/app.js", "deflate", PLAIN, None),
        ("/one.css", "gzip, deflate, br, zstd", GZ, Some("gzip")),
        ("/none.html", "gzip, br", PLAIN, None),
        ("/", "br", BR, Some("br")),
    ] {
        let response = client.get_with(name, &format!("accept-encoding: {accepts}\r\n"));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-encoding"), coding, "{name} with {accepts}");
        assert_eq!(response.body.bytes, expected, "{name} with {accepts}");
        assert_eq!(response.header("vary"), Some("accept-encoding"), "{name} with {accepts}");
    }
    let js = client.get_with("/app.js", "accept-encoding: br\r\n");
    assert_eq!(js.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(client.get("/app.js").body.bytes, PLAIN);
    assert_eq!(client.get_with("/lonely.js", "accept-encoding: gzip\r\n").status, 404);
    assert_eq!(client.get("/app.js.gz").header("content-type"), Some("application/gzip"));
}

#[test]
fn each_form_has_its_own_tag_and_its_own_ranges() {
    let site =
        Site::new(&[("a.js", &pattern(100_000)), ("a.js.br", &pattern(70_000))], ", precompressed = true");
    let mut client = site.evenkeel.client();
    let br = client.get_with("/a.js", "accept-encoding: br\r\n");
    let plain = client.get("/a.js");
    let tag = br.header("etag").unwrap();
    assert_ne!(Some(tag), plain.header("etag"));
    let again = client.get_with("/a.js", &format!("accept-encoding: br\r\nif-none-match: {tag}\r\n"));
    assert_eq!((again.status, again.header("vary")), (304, Some("accept-encoding")));
    assert_eq!(client.get_with("/a.js", &format!("if-none-match: {tag}\r\n")).status, 200);
    let part = client.get_with("/a.js", "accept-encoding: br\r\nrange: bytes=-5\r\n");
    assert_eq!((part.status, part.header("content-encoding")), (206, Some("br")));
    assert_eq!(part.header("content-range"), Some("bytes 69995-69999/70000"));
    assert!(part.body.bytes == pattern(70_000)[69_995..]);
}

#[test]
fn without_the_key_what_lies_beside_a_file_is_another_file() {
    let site = site("");
    let response = site.get_with("/app.js", "accept-encoding: gzip, br, zstd\r\n");
    assert_eq!((response.header("content-encoding"), response.header("vary")), (None, None));
    assert_eq!(response.body.bytes, PLAIN);
}
