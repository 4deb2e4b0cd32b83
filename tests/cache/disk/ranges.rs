//! Parts of bodies that are on the disk: equal to the same part of the whole.

use crate::support::cache::{fresh, is_hit};
use crate::support::disk::{DiskCache, content, end, wait_on_disk};
use crate::support::{Evenkeel, Origin, Response};

/// Several pieces of the file, the last one short.
const LEN: usize = 1_000_003;

/// A process that has found it on the disk.
fn found(cache: &DiskCache) -> (Origin, Evenkeel) {
    let origin = Origin::answering(|request| {
        fresh("etag: \"one\"\r\ncontent-type: text/plain\r\n", &content(request.target(), 0, LEN))
    });
    let evenkeel = cache.start(&origin, "true");
    evenkeel.get("/");
    end(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 1);
    (origin, evenkeel)
}

#[track_caller]
fn part(evenkeel: &Evenkeel, range: &str) -> Response {
    let response = evenkeel.client().get_with("/", &format!("range: bytes={range}\r\n"));
    assert_eq!((response.status, is_hit(&response)), (206, true), "{range}");
    response
}

#[test]
fn a_range_is_a_slice_of_the_body() {
    let cache = DiskCache::new();
    let (origin, evenkeel) = found(&cache);
    let whole = content("/", 0, LEN);
    let mut rng = fastrand::Rng::with_seed(11);
    let edges = [0, 1, 65_535, 65_536, 65_537, 131_072, LEN - 1, LEN - 2];
    for round in 0..100 {
        let mut pick = || if rng.bool() { edges[rng.usize(..edges.len())] } else { rng.usize(..LEN) };
        let (one, other) = (pick(), pick());
        let (first, last) = (one.min(other), one.max(other));
        let response = part(&evenkeel, &format!("{first}-{last}"));
        assert!(response.text() == whole[first..=last], "round {round}: {first}-{last}");
    }
    assert!(part(&evenkeel, "-70000").text() == whole[LEN - 70_000..]);
    assert_eq!(origin.count(), 1);
}

#[test]
fn several_ranges_in_any_order_are_slices_of_the_body() {
    let cache = DiskCache::new();
    let (origin, evenkeel) = found(&cache);
    let whole = content("/", 0, LEN);
    let parts = [(900_000, 999_999), (10, 200_000), (500_000, 500_010), (300_000, 300_000)];
    let ranges: Vec<_> = parts.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    let response = part(&evenkeel, &ranges.join(","));
    let text = response.text();
    let mut rest = &*text;
    for (first, last) in parts {
        let head = format!("content-range: bytes {first}-{last}/{LEN}\r\n\r\n");
        let at = rest.to_ascii_lowercase().find(&head).unwrap_or_else(|| panic!("{first}-{last}"));
        let (slice, after) = rest[at + head.len()..].split_at(last - first + 1);
        assert!(slice == &whole[first..=last], "{first}-{last}");
        rest = after;
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_head_and_a_304_read_no_body() {
    let cache = DiskCache::new();
    let (origin, evenkeel) = found(&cache);
    // The body alone: its head is whole.
    let file = cache.files().pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let len = bytes.len();
    bytes[len / 2..].fill(0);
    std::fs::write(&file, bytes).unwrap();
    let head = evenkeel.ask("HEAD / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some(LEN.to_string().as_str())));
    let unchanged = evenkeel.client().get_with("/", "if-none-match: \"one\"\r\n");
    assert_eq!((unchanged.status, is_hit(&unchanged)), (304, true), "{head:?} {unchanged:?}");
    assert!(part(&evenkeel, "0-99").text() == content("/", 0, LEN)[..100], "what lies behind it is not read");
    assert_eq!(origin.count(), 1);
}
