//! What is in a directory that has no index file.

use super::site::Site;

const FILES: [(&str, &[u8]); 6] = [
    ("docs/b.txt", b""),
    ("docs/a <&> \"x\".txt", b"found"),
    ("docs/zoo/x", b""),
    ("docs/.hidden", b""),
    ("indexed/index.html", b"index"),
    ("indexed/secret", b""),
];

#[test]
fn a_listing_has_escaped_names_in_order_and_links_that_lead_there() {
    let site = Site::new(&FILES, ", listing = true");
    let mut client = site.evenkeel.client();
    let page = client.get("/docs/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = page.text();
    let position = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
    assert!(position("./zoo/") < position("a &lt;&amp;&gt; &quot;x&quot;.txt"), "directories come first");
    assert!(position("a &lt;&amp;") < position("b.txt"));
    assert!(!text.contains("hidden") && !text.contains("<&>"), "{text}");
    assert_eq!(client.get("/docs/a%20%3C%26%3E%20%22x%22.txt").text(), "found");
    assert_eq!(client.get("/docs").header("location"), Some("/docs/"));
    assert!(client.get("/").text().contains("./docs/"));
    assert_eq!(client.get("/indexed/").text(), "index");
    let head = client.ask("HEAD /docs/ HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(head.header("content-length"), Some(page.body.bytes.len().to_string().as_str()));
}

#[test]
fn by_default_there_is_none() {
    let site = Site::new(&FILES, "");
    assert_eq!(site.get("/docs/").status, 404);
    assert_eq!(site.get("/docs").status, 404);
    assert_eq!(site.get("/docs/b.txt").status, 200);
}
