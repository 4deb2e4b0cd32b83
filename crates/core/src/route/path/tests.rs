//! Path tricks and their normal forms.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{PathRefused, RequestPath, normalise, of_pattern};

fn check(raw: &str, expected: Result<&str, PathRefused>) {
    assert_eq!(normalise(raw).as_deref().map_err(|refused| *refused), expected, "{raw}");
}

fn is_borrowed(raw: &str) -> bool {
    matches!(normalise(raw), Ok(Cow::Borrowed(_)))
}

#[test]
fn normal_forms_come_out_unchanged_and_uncopied() {
    for normal in
        ["/", "*", "/a", "/a/", "/a.b/c..d/...", "/.well-known/x", "/a;v=1/b", "/a%2Fb", "/a%20b", "/%25"]
    {
        check(normal, Ok(normal));
        assert!(is_borrowed(normal), "{normal} was copied");
    }
    check("/{a}|^`\"<>", Ok("/{a}|^`\"<>"));
}

#[test]
fn unreserved_characters_are_decoded_once() {
    check("/%41%7a%30%2D%5f%7E", Ok("/Az0-_~"));
    check("/a%2fb%c3%a9", Ok("/a%2Fb%C3%A9"));
    check("/%2541", Ok("/%2541"));
    check("/%252e%252e/", Ok("/%252e%252e/"));
    check("/%3b%3D", Ok("/%3B%3D"));
}

#[test]
fn dot_segments_and_double_slashes_go() {
    check("/a/./b", Ok("/a/b"));
    check("/a/../b", Ok("/b"));
    check("/a/b/..", Ok("/a/"));
    check("/a/.", Ok("/a/"));
    check("/.", Ok("/"));
    check("/a/..", Ok("/"));
    check("/a/%2e%2E/b", Ok("/b"));
    check("/a/.%2e/b/%2e/c", Ok("/b/c"));
    check("//a///b//", Ok("/a/b/"));
    check("//", Ok("/"));
    check("/a//../b", Ok("/b"));
    check("/a/b/../../c", Ok("/c"));
}

#[test]
fn tricks_are_refused() {
    check("", Err(PathRefused::NotAbsolute));
    check("a", Err(PathRefused::NotAbsolute));
    check("**", Err(PathRefused::NotAbsolute));
    check("http://a/", Err(PathRefused::NotAbsolute));
    check("/..", Err(PathRefused::AboveRoot));
    check("/a/../../b", Err(PathRefused::AboveRoot));
    check("/%2e%2e/etc/passwd", Err(PathRefused::AboveRoot));
    check("/a%00", Err(PathRefused::Nul));
    check("/a\\b", Err(PathRefused::Backslash));
    check("/..\\a", Err(PathRefused::Backslash));
    check("/a%5cb", Err(PathRefused::Backslash));
    check("/a%5Cb", Err(PathRefused::Backslash));
    for raw in ["/%", "/%4", "/%zz", "/%4g", "/%%34%31", "/a%2", "/%+1"] {
        check(raw, Err(PathRefused::Encoding));
    }
    for raw in ["/a/..;/b", "/a/..;x=1/b", "/.;/b", "/a/%2e%2e;/b", "/a/..%3b/b", "/a/..%3Bx", "/a/..;"] {
        check(raw, Err(PathRefused::DotSegment));
    }
    for raw in
        ["/a/..%2fb", "/a%2f..", "/a%2F..%2fb", "/a%2f%2e%2e%2fb", "/.%2fb", "/a%2f..;x%2fb", "/a%2f.;"]
    {
        check(raw, Err(PathRefused::DotSegment));
    }
    check("/a b", Err(PathRefused::Byte(b' ')));
    check("/a\tb", Err(PathRefused::Byte(b'\t')));
    check("/a\r\nb", Err(PathRefused::Byte(b'\r')));
    check("/a\0", Err(PathRefused::Byte(0)));
    check("/a\x7f", Err(PathRefused::Byte(0x7f)));
    check("/caf\u{e9}", Err(PathRefused::Byte(0xc3)));
    check("/a?b", Err(PathRefused::Byte(b'?')));
    check("/a#b", Err(PathRefused::Byte(b'#')));
}

#[test]
fn what_a_route_may_keep_is_noted() {
    for (raw, normal) in [("/a//b", "/a/b"), ("/a%5cb", "/a%5Cb"), ("/a%5Cb", "/a%5Cb"), ("//./a", "/a")] {
        let path = RequestPath::of(raw).unwrap();
        assert_eq!((path.normal.as_ref(), path.unmerged), (normal, Some(raw)), "{raw}");
    }
    for raw in ["/", "*", "/a/b", "/a/./b", "/%41", "/a%2F%2Fb", "/%255C"] {
        assert_eq!(RequestPath::of(raw).unwrap().unmerged, None, "{raw}");
    }
    for raw in ["/a%5C..", "/..%5ca", "/a/.%5C", "/a%2F..%5Cb", "/a%5c%2e%2e;x"] {
        assert_eq!(RequestPath::of(raw), Err(PathRefused::DotSegment), "{raw}");
    }
}

#[test]
fn patterns_may_be_written_as_people_write_them() {
    assert_eq!(of_pattern("/caf\u{e9}/a b"), "/caf%C3%A9/a%20b");
    assert_eq!(of_pattern("/%7euser/%2f"), "/~user/%2F");
    assert_eq!(of_pattern("/plain"), "/plain");
    assert_eq!(of_pattern("/%zz"), "/%zz");
}

/// Paths from the pieces that tricks are made of.
pub(in crate::route) fn tricky_path() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "/", "/", "//", ".", "..", ";", "%2e", "%2E", "%2f", "%2F", "%5c", "%3b", "%25", "%", "2", "e",
        "%41", "a", "B", "%c3%a9", "%00", "\\", "x=1", "*",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..12)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_normal_form_is_its_own_normal_form(raw in tricky_path()) {
        if let Ok(once) = normalise(&raw) {
            let twice = normalise(&once);
            prop_assert_eq!(twice.as_deref(), Ok(once.as_ref()));
            prop_assert!(is_borrowed(&once));
        }
    }

    #[test]
    fn a_normal_form_hides_no_way_up(raw in tricky_path()) {
        if let Ok(normal) = normalise(&raw) {
            prop_assert!(normal.starts_with('/') && !normal.contains("//") && !normal.contains('\\'), "{}", normal);
            // However a server decodes it once, splits it and drops its parameters, there is no dot segment.
            let decoded = percent_encoding::percent_decode_str(&normal).decode_utf8_lossy().into_owned();
            for form in [normal.as_ref(), decoded.as_str()] {
                for segment in form.split(['/', '\\']) {
                    let name = segment.split(';').next().unwrap_or_default();
                    prop_assert!(name != "." && name != "..", "{} holds {}", normal, segment);
                }
            }
        }
    }

    #[test]
    fn nothing_panics(raw in ".*") {
        let _ = normalise(&raw);
        let _ = super::super::parse_host(&raw);
    }
}
