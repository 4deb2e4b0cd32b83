//! A path either is refused, or has one normal form, which says what a plain reading of RFC 3986 says; and the file that it names is
//! below the root.
#![no_main]

use evenkeel_core::files::FilePath;
use evenkeel_core::route::normalise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &str| {
    // What follows `?` is the query, which is cut off before; `*` stands for no path.
    let raw = raw.split('?').next().unwrap_or_default();
    if raw == "*" {
        return;
    }
    let Ok(normal) = normalise(raw) else { return };
    assert!(normal.starts_with('/') && normal.bytes().all(|b| b.is_ascii_graphic()));
    assert!(!normal.contains("//") && !normal.contains(['\\', '#', '?']));
    assert!(!normal.to_ascii_lowercase().contains("%5c") && !normal.contains("%00"));
    assert_eq!(normalise(&normal).as_deref(), Ok(&*normal), "the normal form has another one");
    assert_eq!(segments(&normal), resolved(raw), "another resource");
    if let Ok(file) = FilePath::of(&normal) {
        let names: Vec<Vec<u8>> = file
            .path
            .split('/')
            .filter(|name| !name.is_empty())
            .map(|name| name.as_bytes().to_vec())
            .collect();
        assert_eq!(names, segments(&normal), "another file");
        assert!(!file.path.starts_with('/') && !file.path.contains(['\0', '\\']));
        assert!(names.iter().all(|name| name != b"." && name != b".."));
        let hides = names.iter().any(|name| name.starts_with(b"."));
        assert!(!hides || file.path.starts_with(".well-known"), "a hidden file");
    }
    let ends = |path: &str| {
        path.ends_with('/') || matches!(decoded(path.rsplit('/').next()).as_slice(), b"." | b"..")
    };
    assert_eq!(normal.ends_with('/'), ends(raw) || segments(&normal).is_empty());
});

/// The segments of a path in normal form, decoded.
fn segments(path: &str) -> Vec<Vec<u8>> {
    path.split('/').filter(|segment| !segment.is_empty()).map(|segment| decoded(Some(segment))).collect()
}

/// The segments that any path comes to, as simply as can be.
fn resolved(path: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for segment in segments(path) {
        match segment.as_slice() {
            b"." => {}
            b".." => assert!(out.pop().is_some(), "above the root"),
            _ => out.push(segment),
        }
    }
    out
}

/// Percent-decoded, once.
fn decoded(segment: Option<&str>) -> Vec<u8> {
    let bytes = segment.unwrap_or_default().as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = std::str::from_utf8(&bytes[at + 1..at + 3]).expect("two digits");
            out.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}
