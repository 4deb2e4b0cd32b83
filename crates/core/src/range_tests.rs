//! Ranges against a plain slice, and the frames around them.

use super::*;

fn part(start: u64, end: u64) -> Bytes {
    Bytes { start, end }
}

#[test]
fn single_ranges_are_resolved() {
    let check = |text: &str, complete: u64, expected: Ranges| {
        assert_eq!(ranges(text.as_bytes(), complete), expected, "{text} of {complete}");
    };
    check("bytes=0-1", 11, Ranges::One(part(0, 2)));
    check("Bytes=1-", 11, Ranges::One(part(1, 11)));
    check("bytes=-1", 11, Ranges::One(part(10, 11)));
    check("bytes=-99", 11, Ranges::One(part(0, 11)));
    check("bytes=5-99999999999999999999999", 11, Ranges::One(part(5, 11)));
    check("bytes= 0 - 1 ,", 11, Ranges::One(part(0, 2)));
    for outside in ["bytes=11-", "bytes=11-12", "bytes=-0", "bytes=99999999999999999999-", "bytes=20-,-0"] {
        check(outside, 11, Ranges::Unsatisfiable);
    }
    check("bytes=0-", 0, Ranges::Unsatisfiable);
    check("bytes=-5", 0, Ranges::Unsatisfiable);
    for malformed in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-",
        "bytes=2-1",
        "bytes=1",
        "bytes=1--2",
        "bytes=+1-2",
        "lines=0-1",
        "bytes=0-1,x",
        "bytes=0-1-2",
    ] {
        check(malformed, 11, Ranges::Ignore);
    }
}

#[test]
fn several_ranges_are_joined_where_they_touch() {
    let check = |text: &str, expected: &[Bytes]| {
        let expected = match expected {
            [one] => Ranges::One(*one),
            many => Ranges::Many(many.to_vec()),
        };
        assert_eq!(ranges(text.as_bytes(), 100), expected, "{text}");
    };
    check("bytes=0-1, 5-6", &[part(0, 2), part(5, 7)]);
    check("bytes=50-60,0-1", &[part(50, 61), part(0, 2)]);
    check("bytes=0-1,2-3", &[part(0, 4)]);
    check("bytes=0-10,20-30,5-25", &[part(0, 31)]);
    check("bytes=20-30,0-10,-1,9-21", &[part(0, 31), part(99, 100)]);
    check("bytes=0-,0-,0-", &[part(0, 100)]);
    check("bytes=200-,3-4", &[part(3, 5)]);
    let many = |count: usize| {
        let list: Vec<String> = (0..count).map(|at| format!("{}-{}", 3 * at, 3 * at)).collect();
        ranges(format!("bytes={}", list.join(",")).as_bytes(), 1_000)
    };
    assert!(matches!(many(RANGES_MAX), Ranges::Many(parts) if parts.len() == RANGES_MAX));
    assert_eq!(many(RANGES_MAX + 1), Ranges::Ignore);
}

#[test]
fn random_ranges_are_those_of_a_slice() {
    let mut rng = fastrand::Rng::with_seed(6);
    for round in 0..50_000 {
        let complete = rng.u64(0..12);
        let mut wanted = vec![false; complete as usize];
        let mut specs = Vec::new();
        for _ in 0..rng.usize(1..5) {
            let (first, last) = (rng.u64(0..14), rng.u64(0..14));
            let (spec, from, to) = match rng.u8(..3) {
                0 => (format!("{first}-"), first, complete),
                1 => (format!("-{last}"), complete.saturating_sub(last), complete),
                _ => {
                    (format!("{}-{}", first.min(last), first.max(last)), first.min(last), first.max(last) + 1)
                }
            };
            specs.push(spec);
            (from..to.min(complete)).for_each(|at| wanted[at as usize] = true);
        }
        let text = format!("bytes={}", specs.join(","));
        let parts = match ranges(text.as_bytes(), complete) {
            Ranges::One(one) => vec![one],
            Ranges::Many(many) => many,
            Ranges::Unsatisfiable => Vec::new(),
            Ranges::Ignore => panic!("round {round}: {text} of {complete}"),
        };
        let mut seen = vec![false; complete as usize];
        for part in &parts {
            for at in part.start..part.end {
                assert!(
                    !std::mem::replace(&mut seen[at as usize], true),
                    "round {round}: {text} sends a byte twice"
                );
            }
        }
        assert_eq!(seen, wanted, "round {round}: {text} of {complete}");
    }
}

#[test]
fn parts_are_framed_as_rfc_9110_has_them() {
    let framed = multipart(&[part(0, 2), part(5, 7)], 10, "B", Some("text/plain"));
    let body = b"0123456789";
    let mut sent = Vec::new();
    for (head, part) in &framed.parts {
        sent.extend_from_slice(head.as_bytes());
        sent.extend_from_slice(&body[part.start as usize..part.end as usize]);
    }
    sent.extend_from_slice(framed.end.as_bytes());
    let expected = "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
                    --B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--B--\r\n";
    assert_eq!(String::from_utf8_lossy(&sent), expected);
    assert_eq!(framed.length, sent.len() as u64);
    assert_eq!(framed.content_type, "multipart/byteranges; boundary=B");
    assert_eq!(unsatisfied(10), "bytes */10");
}
