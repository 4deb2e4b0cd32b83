//! A file is served: its bytes, its type, its directory's index, and nothing else.

use super::site::{Site, body_over_http2, pattern};
use crate::support::{Authority, Evenkeel, Folder, TlsClient, eventually};

/// Below and above what is kept in memory, and around the sizes of buffers and of what is sent at once.
const SIZES: [usize; 12] =
    [0, 1, 1_000, 16_384, 16_385, 65_535, 65_536, 65_537, 131_072, 200_000, 1_048_576, 5_000_001];

fn sized() -> Vec<(String, Vec<u8>)> {
    SIZES.iter().map(|size| (format!("f{size}.bin"), pattern(*size))).collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect()
}

#[test]
fn files_of_every_size_come_whole_again_and_again() {
    let files = sized();
    let site = Site::new(&borrowed(&files), "");
    let mut client = site.evenkeel.client();
    for _ in 0..3 {
        for (name, content) in &files {
            let response = client.get(&format!("/{name}"));
            assert_eq!(response.status, 200, "{name}");
            assert_eq!(response.header("content-length"), Some(content.len().to_string().as_str()), "{name}");
            assert!(response.body.bytes == *content, "{name} is not what was written");
        }
    }
}

#[test]
fn files_of_every_size_come_whole_over_http2() {
    let files = sized();
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"2\"]\n";
    let site = Site::with(listener, &borrowed(&files), "");
    for (name, content) in &files {
        let body = body_over_http2(site.evenkeel.client(), &format!("/{name}"));
        assert!(body == *content, "{name}: {} bytes", body.len());
    }
}

#[test]
fn files_of_every_size_come_whole_over_tls() {
    let (folder, authority, files) = (Folder::new(), Authority::new(), sized());
    let certificate = authority.issue(&["test"]).write(&folder, "test");
    let listener = format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\ntls.certificates = [{certificate}]\n");
    let site = Site::with(&listener, &borrowed(&files), "");
    let tls = TlsClient::new(&authority);
    let mut client = tls.connect(site.evenkeel.address(), "test").unwrap();
    for (name, content) in &files {
        let response = client.get(&format!("/{name}"));
        assert!(response.body.bytes == *content, "{name} is not what was written");
    }
}

#[test]
fn files_come_whole_from_the_disk() {
    const SIZE: usize = 3_000_000;
    let (folder, authority, content) = (Folder::new(), Authority::new(), pattern(SIZE));
    let certificate = authority.issue(&["test"]).write(&folder, "test");
    let listeners = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\n\
         [listener.secure]\nbind = [\"127.0.0.1:0\"]\ntls.certificates = [{certificate}]\n"
    );
    let site = Site::with(&listeners, &[("a.bin", &content)], "");
    let secure = TlsClient::new(&authority).connect(site.evenkeel.listener("secure"), "test");
    let (mut clear, mut secure) = (site.evenkeel.client(), secure.unwrap());
    for _ in 0..3 {
        site.forget("a.bin");
        assert!(clear.get("/a.bin").body.bytes == content, "HTTP/1.1 in clear");
        site.forget("a.bin");
        assert!(secure.get("/a.bin").body.bytes == content, "TLS");
        site.forget("a.bin");
        assert!(body_over_http2(site.evenkeel.client(), "/a.bin") == content, "HTTP/2");
        site.forget("a.bin");
        let part = clear.get_with("/a.bin", "range: bytes=1000000-1000009\r\n");
        assert_eq!(part.body.bytes, content[1_000_000..1_000_010]);
    }
}

#[test]
fn files_in_a_file_system_in_memory_come_whole() {
    let content = pattern(3_000_000);
    let root = format!("/dev/shm/evenkeel-files-{}", std::process::id());
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(format!("{root}/a.bin"), &content).unwrap();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\n[[route]]\nfiles = \"{root}\"\n"
    ));
    let got = evenkeel.get("/a.bin").body.bytes;
    let over_http2 = body_over_http2(evenkeel.client(), "/a.bin");
    std::fs::remove_dir_all(&root).unwrap();
    assert!(got == content, "{} bytes", got.len());
    assert!(over_http2 == content, "{} bytes", over_http2.len());
}

#[test]
fn requests_that_come_at_once_are_answered_in_turn() {
    let (small, large) = (pattern(3_000), pattern(2_500_000));
    let site = Site::new(&[("small", &small), ("large", &large)], "");
    let mut client = site.evenkeel.client();
    let get = |name: &str| format!("GET /{name} HTTP/1.1\r\nhost: test\r\n\r\n");
    let names = ["small", "large", "none", "large", "small"];
    client.send(names.map(get).concat());
    for name in names {
        let response = client.answer("GET");
        match name {
            "none" => assert_eq!(response.status, 404),
            "small" => assert!(response.body.bytes == small),
            _ => assert!(response.body.bytes == large),
        }
    }
}

#[test]
fn clients_of_http10_get_files_as_well() {
    let large = pattern(500_000);
    let site = Site::new(&[("large", &large)], "");
    let mut client = site.evenkeel.client();
    let response = client.ask("GET /large HTTP/1.0\r\nhost: test\r\n\r\n");
    assert_eq!((response.status, response.header("content-length")), (200, Some("500000")));
    assert!(response.body.bytes == large);
    client.assert_closed();
}

#[test]
fn head_says_what_get_would() {
    let site = Site::new(&[("small.txt", b"hello"), ("large.bin", &pattern(300_000))], "");
    let mut client = site.evenkeel.client();
    for (name, length) in [("small.txt", "5"), ("large.bin", "300000")] {
        let get = client.get(&format!("/{name}"));
        let head = client.ask(format!("HEAD /{name} HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert_eq!((head.status, head.header("content-length")), (200, Some(length)));
        for field in ["etag", "last-modified", "content-type", "accept-ranges"] {
            assert!(head.header(field).is_some(), "{name} has no {field}");
            assert_eq!(head.header(field), get.header(field), "{name}");
        }
    }
}

#[test]
fn types_are_those_of_the_web() {
    let types = [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.wasm", "application/wasm"),
        ("a.svg", "image/svg+xml"),
        ("a.avif", "image/avif"),
        ("a.woff2", "font/woff2"),
        ("a.webmanifest", "application/manifest+json"),
        ("a", "application/octet-stream"),
    ];
    let files: Vec<(&str, &[u8])> = types.iter().map(|(name, _)| (*name, &b"x"[..])).collect();
    let site = Site::new(&files, "");
    let mut client = site.evenkeel.client();
    for (name, expected) in types {
        assert_eq!(client.get(&format!("/{name}")).header("content-type"), Some(expected), "{name}");
    }
}

#[test]
fn a_directory_has_an_index_and_a_slash() {
    let site = Site::new(
        &[("index.html", b"top"), ("docs/index.htm", b"docs"), ("empty/x/y", b""), ("a/index.html/z", b"")],
        ", index = [\"index.html\", \"index.htm\"]",
    );
    let mut client = site.evenkeel.client();
    assert_eq!(client.get("/").text(), "top");
    let docs = client.get("/docs/");
    assert_eq!(
        (docs.text().as_str(), docs.header("content-type")),
        ("docs", Some("text/html; charset=utf-8"))
    );
    let moved = client.get("/docs?a=b");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/docs/?a=b")));
    for nothing in ["/empty", "/empty/", "/a/", "/none", "/none/", "/index.html/", "/index.html/x"] {
        assert_eq!(client.get(nothing).status, 404, "{nothing}");
    }
}

#[test]
fn the_path_of_the_route_is_left_out_and_a_rewrite_says_otherwise() {
    let files: [(&str, &[u8]); 2] = [("app.js", b"app"), ("assets/app.js", b"deep")];
    let site = Site::at("", "path = \"/assets/*\"", &files, "");
    assert_eq!(site.get("/assets/app.js").text(), "app");
    assert_eq!(site.get("/assets").header("location"), None, "there is no index file");
    assert_eq!(site.get("/app.js").status, 404);
    let route = "path = \"/assets/*\"\nrewrite = { path = \"/assets/*\" }";
    let site = Site::at("", route, &files, "");
    assert_eq!(site.get("/assets/app.js").text(), "deep");
}

#[test]
fn names_are_decoded_once() {
    let site = Site::new(&[("a b/ä.txt", b"1"), ("100%.txt", b"2"), ("%41.txt", b"3"), ("?x", b"4")], "");
    let mut client = site.evenkeel.client();
    assert_eq!(client.get("/a%20b/%C3%A4.txt").text(), "1");
    assert_eq!(client.get("/100%25.txt").text(), "2");
    assert_eq!(client.get("/%2541.txt").text(), "3");
    assert_eq!(client.get("/%41.txt").status, 404);
    assert_eq!(client.get("/%3Fx").text(), "4");
}

#[test]
fn other_methods_are_refused_and_the_connection_goes_on() {
    let site = Site::new(&[("a.txt", b"a")], "");
    let mut client = site.evenkeel.client();
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
        let refused =
            client.ask(format!("{method} /a.txt HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc"));
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    let options = client.ask("OPTIONS /a.txt HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(client.get("/a.txt").text(), "a");
}

#[test]
fn a_directory_needs_no_configuration_file() {
    let folder = Folder::new();
    folder.write("a.txt", "from the directory");
    let directory = folder.path("");
    let evenkeel = Evenkeel::run(folder, &["run", "--listen", "127.0.0.1:0", "--files", &directory]);
    assert_eq!(evenkeel.get("/a.txt").text(), "from the directory");
    assert_eq!(evenkeel.get("/b.txt").status, 404);
}

#[test]
fn the_route_edits_the_fields_of_files_and_of_their_errors() {
    let route =
        "path = \"/*\"\nresponse_headers = { set = { x-frame-options = \"DENY\" }, remove = [\"etag\"] }";
    let site = Site::at("", route, &[("a.txt", b"a")], "");
    for target in ["/a.txt", "/none"] {
        let response = site.get(target);
        assert_eq!(response.header("x-frame-options"), Some("DENY"), "{target}");
        assert_eq!(response.header("etag"), None);
        assert!(response.header("x-request-id").is_some() && response.header("date").is_some());
    }
}

#[test]
fn requests_of_files_are_logged_and_counted() {
    let site = Site::at("", "name = \"site\"\npath = \"/*\"", &[("a.bin", &pattern(100_000))], "");
    site.get("/a.bin");
    site.get("/none");
    let record = site.evenkeel.record(|record| record["target"] == "/a.bin");
    assert_eq!((record["status"].as_u64(), record["bytes_out"].as_u64()), (Some(200), Some(100_000)));
    assert_eq!((record["route"].as_str(), record["ended"].as_str()), (Some("site"), Some("complete")));
    let record = site.evenkeel.record(|record| record["target"] == "/none");
    assert_eq!(record["reason"], "there is no such file");
    eventually("the file is kept open, and what is known of it in memory", || {
        let bytes = site.evenkeel.metric("evenkeel_files_cached_bytes", &[]);
        site.evenkeel.metric("evenkeel_files_open", &[]) == 1.0 && (1.0..10_000.0).contains(&bytes)
    });
    eventually("both are counted", || {
        site.evenkeel.metric("evenkeel_requests_total", &["route=\"site\""]) == 2.0
    });
}
