//! Ranges of files (RFC 9110, 14), against plain slices of what was written.

use std::ops::Range;

use super::site::{Site, pattern};
use crate::support::{Client, Response};

/// In memory, and open.
const SIZES: [usize; 2] = [10_000, 300_000];

struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn files() -> Vec<(String, Vec<u8>)> {
    SIZES.iter().map(|size| (format!("f{size}"), pattern(*size))).collect()
}

fn site(files: &[(String, Vec<u8>)]) -> Site {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    Site::new(&files, "")
}

fn ask(client: &mut Client, name: &str, range: &str) -> Response {
    client.get_with(&format!("/{name}"), &format!("range: {range}\r\n"))
}

/// The parts of a multipart response, each with its `Content-Range`.
fn parts(response: &Response) -> Vec<(String, Vec<u8>)> {
    let content_type = response.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let (opening, closing) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}--\r\n"));
    let body = response.body.bytes.strip_prefix(opening.as_bytes()).unwrap();
    let mut rest = body.strip_suffix(closing.as_bytes()).unwrap();
    let mut parts = Vec::new();
    loop {
        let head = rest.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let lines = String::from_utf8(rest[..head].to_vec()).unwrap().to_ascii_lowercase();
        let range = lines.lines().find_map(|line| line.strip_prefix("content-range: ")).unwrap().to_owned();
        assert!(lines.contains("content-type: application/octet-stream"), "{lines}");
        rest = &rest[head + 4..];
        let next = format!("\r\n--{boundary}\r\n");
        match rest.windows(next.len()).position(|it| it == next.as_bytes()) {
            Some(end) => {
                parts.push((range, rest[..end].to_vec()));
                rest = &rest[end + next.len()..];
            }
            None => {
                parts.push((range, rest.to_vec()));
                return parts;
            }
        }
    }
}

#[test]
fn one_range_is_the_slice_that_was_asked_for() {
    let files = files();
    let site = site(&files);
    let mut client = site.evenkeel.client();
    for (name, content) in &files {
        let size = content.len();
        let cases: [(String, Range<usize>); 7] = [
            ("bytes=0-0".into(), 0..1),
            ("bytes=0-".into(), 0..size),
            ("bytes=5-9".into(), 5..10),
            ("BYTES = 5-9".replace(' ', ""), 5..10),
            (format!("bytes=-{}", 7), size - 7..size),
            (format!("bytes={}-99999999999999999999", size - 1), size - 1..size),
            (format!("bytes=-{}", size + 5), 0..size),
        ];
        for (range, expected) in cases {
            let response = ask(&mut client, name, &range);
            assert_eq!(response.status, 206, "{name} {range}");
            let said = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
            assert_eq!(response.header("content-range"), Some(said.as_str()), "{range}");
            assert!(response.body.bytes == content[expected], "{name} {range}");
            assert!(response.header("etag").is_some());
        }
    }
}

#[test]
fn what_lies_outside_is_a_416_and_what_is_malformed_is_ignored() {
    let files = files();
    let site = site(&files);
    let mut client = site.evenkeel.client();
    for (name, content) in &files {
        let size = content.len();
        for range in [format!("bytes={size}-"), "bytes=-0".to_owned(), format!("bytes={size}-{}", size + 9)] {
            let response = ask(&mut client, name, &range);
            let said = format!("bytes */{size}");
            assert_eq!(
                (response.status, response.header("content-range")),
                (416, Some(said.as_str())),
                "{range}"
            );
        }
        for range in ["bytes=", "bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=--5", "bytes=1-2,x", "0-5"] {
            let response = ask(&mut client, name, range);
            assert_eq!((response.status, response.body.bytes.len()), (200, size), "{range}");
        }
        let many = format!(
            "bytes={}",
            (0..100).map(|at| format!("{}-{}", at * 10, at * 10 + 1)).collect::<Vec<_>>().join(",")
        );
        assert_eq!(ask(&mut client, name, &many).status, 200, "too many ranges");
    }
}

#[test]
fn an_empty_file_has_no_range() {
    let site = Site::new(&[("empty", b"")], "");
    assert_eq!(site.get_with("/empty", "range: bytes=0-\r\n").status, 416);
    assert_eq!(site.get("/empty").status, 200);
}

#[test]
fn random_ranges_are_slices() {
    const SEED: u64 = 20_261_128;
    let files = files();
    let site = site(&files);
    let (mut client, mut rng) = (site.evenkeel.client(), Rng(SEED));
    for round in 0..400 {
        let (name, content) = &files[rng.below(files.len())];
        let size = content.len();
        let count = 1 + rng.below(4);
        // Apart from each other, so that none are joined: each lies in a stretch of its own.
        let stretch = size / count;
        let mut wanted: Vec<Range<usize>> = (0..count)
            .map(|i| {
                let start = i * stretch + rng.below(stretch - 2);
                let end = (start + 1 + rng.below(stretch)).min((i + 1) * stretch - 1);
                start..end.max(start + 1)
            })
            .collect();
        if rng.below(2) == 0 {
            wanted.reverse();
        }
        let asked: Vec<String> = wanted.iter().map(|it| format!("{}-{}", it.start, it.end - 1)).collect();
        let range = format!("bytes={}", asked.join(", "));
        let response = ask(&mut client, name, &range);
        let context = format!("seed {SEED}, round {round}: {name} {range}");
        assert_eq!(response.status, 206, "{context}");
        let said = |it: &Range<usize>| format!("bytes {}-{}/{size}", it.start, it.end - 1);
        if let [one] = &wanted[..] {
            assert_eq!(response.header("content-range"), Some(said(one).as_str()), "{context}");
            assert!(response.body.bytes == content[one.clone()], "{context}");
            continue;
        }
        let parts = parts(&response);
        assert_eq!(parts.len(), wanted.len(), "{context}");
        for (part, wanted) in parts.iter().zip(&wanted) {
            assert_eq!(part.0, said(wanted), "{context}");
            assert!(part.1 == content[wanted.clone()], "{context}");
        }
    }
}

#[test]
fn a_range_of_another_state_of_the_file_is_the_whole_file() {
    let site = Site::new(&[("a.bin", &pattern(100_000))], "");
    let mut client = site.evenkeel.client();
    let etag = client.get("/a.bin").header("etag").unwrap().to_owned();
    let mut with = |condition: &str| {
        let response = client.get_with("/a.bin", &format!("range: bytes=0-9\r\nif-range: {condition}\r\n"));
        (response.status, response.body.bytes.len())
    };
    assert_eq!(with(&etag), (206, 10));
    assert_eq!(with("\"other\""), (200, 100_000));
    assert_eq!(with(&format!("W/{etag}")), (200, 100_000));
    assert_eq!(with("Thu, 01 Jan 1970 00:00:01 GMT"), (200, 100_000));
}

#[test]
fn head_has_no_ranges() {
    let site = Site::new(&[("a.bin", &pattern(100_000))], "");
    let head = site.evenkeel.ask("HEAD /a.bin HTTP/1.1\r\nhost: test\r\nrange: bytes=0-9\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("100000")));
}
