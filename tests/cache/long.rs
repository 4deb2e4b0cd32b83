//! Long kept bodies, which lie in memory in many pieces: whole, in part, and for clients that take their time.

use std::fmt::Write as _;

use crate::support::cache::{fresh, is_hit, start};
use crate::support::{Client, Evenkeel, Origin};

/// Some 3 MiB in which no two stretches are the same.
fn text() -> String {
    let mut text = String::new();
    for line in 0..300_000 {
        let _ = writeln!(text, "{line:09}");
    }
    text
}

fn kept() -> (String, Origin, Evenkeel) {
    let body = text();
    let origin = Origin::answering({
        let body = body.clone();
        move |_| fresh("etag: \"one\"\r\ncontent-type: text/plain\r\n", &body)
    });
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/").text(), body);
    (body, origin, evenkeel)
}

#[test]
fn hits_are_whole_one_after_the_other_on_a_connection() {
    let (body, origin, evenkeel) = kept();
    let mut client = evenkeel.client();
    for _ in 0..4 {
        let response = client.get("/");
        assert!(is_hit(&response));
        assert!(response.text() == body);
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn parts_begin_and_end_within_pieces() {
    let (body, _origin, evenkeel) = kept();
    let mut client = evenkeel.client();
    for (first, last) in
        [(0, 65_536), (1, 2_999_998), (65_535, 65_536), (700_001, 1_900_003), (2_999_999, 2_999_999)]
    {
        let response = client.get_with("/", &format!("range: bytes={first}-{last}\r\n"));
        assert_eq!(response.status, 206);
        assert!(response.text() == body[first..=last], "{first}-{last}");
    }
    let response = client.get_with("/", "range: bytes=100-500099,1000000-2500000\r\n");
    assert_eq!(response.status, 206);
    let text = response.text();
    assert!(text.contains(&format!("\r\n\r\n{}\r\n--", &body[100..=500_099])));
    assert!(text.contains(&format!("\r\n\r\n{}\r\n--", &body[1_000_000..=2_500_000])));
}

#[test]
fn a_slow_reader_gets_all_of_it_and_its_next_response() {
    let (body, origin, evenkeel) = kept();
    let mut client = Client::slow_reader(evenkeel.address());
    for _ in 0..2 {
        assert!(client.get("/").text() == body);
    }
    assert_eq!(origin.count(), 1);
    let record = evenkeel.record(|record| record["cache"] == "hit");
    assert_eq!(record["bytes_out"], 3_000_000);
}
