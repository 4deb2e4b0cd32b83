//! Files of a route with `compress`: what is made beforehand goes before what is made on the way.

use super::site::Site;
use crate::compress::decode::decoded;

#[test]
fn files_are_compressed_unless_they_are_already() {
    let text = "static files and compression get along well. ".repeat(10_000);
    let site = Site::at(
        "",
        "path = \"/*\"\ncompress = true",
        &[
            ("large.txt", text.as_bytes()),
            ("small.txt", &text.as_bytes()[..20_000]),
            ("made.txt", text.as_bytes()),
            ("made.txt.gz", b"made beforehand"),
        ],
        ", precompressed = true",
    );
    let mut client = site.evenkeel.client();
    for (name, length) in [("/large.txt", text.len()), ("/small.txt", 20_000)] {
        let plain = client.get(name);
        assert_eq!((plain.header("content-encoding"), plain.body.bytes.len()), (None, length), "{name}");
        for encoding in ["gzip", "br", "zstd"] {
            let response = client.get_with(name, &format!("accept-encoding: {encoding}\r\n"));
            assert_eq!(response.header("content-encoding"), Some(encoding), "{name}");
            assert!(response.header("etag").unwrap().starts_with("W/"), "{name}");
            assert!(response.lists("vary", "accept-encoding"), "{name}");
            assert!(response.body.bytes.len() < length / 10, "{name}: {}", response.body.bytes.len());
            assert!(
                decoded(encoding, &response.body.bytes) == text.as_bytes()[..length],
                "{name} by {encoding}"
            );
            let tag = response.header("etag").unwrap();
            let fields = format!("accept-encoding: {encoding}\r\nif-none-match: {tag}\r\n");
            assert_eq!(client.get_with(name, &fields).status, 304, "{name} by {encoding}");
        }
    }
    let made = client.get_with("/made.txt", "accept-encoding: gzip\r\n");
    assert_eq!((made.header("content-encoding"), made.text().as_str()), (Some("gzip"), "made beforehand"));
    let head = client.ask("HEAD /large.txt HTTP/1.1\r\nhost: test\r\naccept-encoding: br\r\n\r\n");
    assert_eq!((head.status, head.header("content-encoding")), (200, Some("br")));
    assert_eq!(client.get("/small.txt").body.bytes.len(), 20_000, "the connection goes on");
}
