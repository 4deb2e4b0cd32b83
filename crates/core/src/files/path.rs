//! The path of a request as the path of a file: decoded once, and refused if it could mean anything else.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

/// Bytes of one name at most; Linux has no longer ones.
const NAME_MAX: usize = 255;
/// Bytes of a path at most, below what Linux takes (4,096 with the root).
const PATH_MAX: usize = 2_048;
/// Below this directory at the top, names with a leading dot are no secret (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// Where a file is, below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath<'a> {
    /// Relative to the root, decoded; `""` is the root itself. No segment is empty, `.` or `..`.
    pub path: Cow<'a, str>,
    /// The path ends with `/`, so a directory is asked for.
    pub is_directory: bool,
}

/// Why no file can be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotServed {
    /// A name in it begins with a dot.
    Hidden,
    /// A segment is empty, `.` or `..`.
    Segment,
    /// It holds an encoded slash, a backslash or a control character.
    Byte,
    /// It is no UTF-8 when it is decoded.
    Encoding,
    /// It, or a name in it, is too long.
    TooLong,
}

impl fmt::Display for NotServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "names that begin with a dot are not served",
            Self::Segment => "the path holds an empty segment, `.` or `..`",
            Self::Byte => "the path holds an encoded slash, a backslash or a control character",
            Self::Encoding => "the path is no UTF-8",
            Self::TooLong => "the path is too long",
        })
    }
}

impl<'a> FilePath<'a> {
    /// Reads a path in normal form, as [`below_root`](super::below_root) returns it.
    ///
    /// # Errors
    /// No file can be there.
    pub fn of(path: &'a str) -> Result<Self, NotServed> {
        if path.len() > 3 * PATH_MAX {
            return Err(NotServed::TooLong);
        }
        let Some(names) = path.strip_prefix('/') else {
            let is_root = path.is_empty();
            return if is_root {
                Ok(Self { path: "".into(), is_directory: false })
            } else {
                Err(NotServed::Segment)
            };
        };
        let (names, is_directory) = match names.strip_suffix('/') {
            _ if names.is_empty() => ("", true),
            Some("") => return Err(NotServed::Segment),
            Some(names) => (names, true),
            None => (names, false),
        };
        if names.contains('%') {
            // An encoded slash would look like a separator once it is decoded.
            if names.as_bytes().windows(3).any(|it| it.eq_ignore_ascii_case(b"%2F")) {
                return Err(NotServed::Byte);
            }
            let decoded = percent_decode_str(names).decode_utf8().map_err(|_| NotServed::Encoding)?;
            check(&decoded)?;
            return Ok(Self { path: decoded, is_directory });
        }
        check(names)?;
        Ok(Self { path: names.into(), is_directory })
    }
}

/// Looks at a path that is decoded.
fn check(path: &str) -> Result<(), NotServed> {
    if path.len() > PATH_MAX {
        return Err(NotServed::TooLong);
    }
    if path.is_empty() {
        return Ok(());
    }
    let mut is_well_known = false;
    for (at, name) in path.split('/').enumerate() {
        if name.len() > NAME_MAX {
            return Err(NotServed::TooLong);
        }
        match name {
            "" | "." | ".." => return Err(NotServed::Segment),
            WELL_KNOWN if at == 0 => is_well_known = true,
            _ if name.starts_with('.') && !is_well_known => return Err(NotServed::Hidden),
            _ => {}
        }
    }
    if path.bytes().any(|byte| byte < b' ' || byte == 0x7f || byte == b'\\') {
        return Err(NotServed::Byte);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;
    use crate::route::normalise;

    #[track_caller]
    fn is(path: &str, expected: &str, is_directory: bool) {
        assert_eq!(FilePath::of(path), Ok(FilePath { path: expected.into(), is_directory }), "{path}");
    }

    #[test]
    fn paths_of_files_and_of_directories() {
        is("", "", false);
        is("/", "", true);
        is("/a", "a", false);
        is("/a/b.c", "a/b.c", false);
        is("/a/", "a", true);
        is("/a%20b/%C3%A4", "a b/ä", false);
        is("/100%25", "100%", false);
        // Decoded once: this is a name with a percent sign, not a `..`.
        is("/%252e%252e", "%2e%2e", false);
        is("/~a-b_c", "~a-b_c", false);
        is("/a..b/c...", "a..b/c...", false);
    }

    #[track_caller]
    fn refused(path: &str, why: NotServed) {
        assert_eq!(FilePath::of(path), Err(why), "{path}");
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for path in
            ["a", "*", "//", "//a", "/a//b", "/a//", "/..", "/../a", "/a/..", "/a/./b", "/.", "/%2E%2E/a"]
        {
            refused(path, NotServed::Segment);
        }
        for path in ["/a%2Fb", "/a%2fb", "/..%2F..%2Fetc", "/a%5Cb", "/a\\b", "/a%00b", "/a%0Ab", "/a%7F"] {
            refused(path, NotServed::Byte);
        }
        for path in ["/%C0%AE%C0%AE/a", "/%FF", "/%E4"] {
            refused(path, NotServed::Encoding);
        }
    }

    #[test]
    fn hidden_files_are_not_served() {
        for path in [
            "/.git/config",
            "/.env",
            "/a/.htpasswd",
            "/%2Egit/HEAD",
            "/.git/",
            "/a/.well-known/x",
            "/.well-known2",
        ] {
            refused(path, NotServed::Hidden);
        }
        is("/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", false);
        is("/.well-known/.hidden", ".well-known/.hidden", false);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        refused(&format!("/{}", "a".repeat(256)), NotServed::TooLong);
        refused(&format!("/{}", "a/".repeat(1_100)), NotServed::TooLong);
        refused(&format!("/{}", "%61".repeat(10_000)), NotServed::TooLong);
        is(&format!("/{}", "a".repeat(255)), &"a".repeat(255), false);
    }

    fn tricky() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "/",
            "//",
            "a",
            "b.html",
            ".",
            "..",
            "...",
            "%2e",
            "%2E",
            "%2f",
            "%2F",
            "%5c",
            "\\",
            "%00",
            "%25",
            "%c0%ae",
            "%ff",
            "%C3%A4",
            ".git",
            ".well-known",
            ";x",
            "%20",
            "*",
            "~",
        ];
        proptest::collection::vec(proptest::sample::select(PIECES), 0..10)
            .prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever is asked for: as the kernel reads it, the path stays below the root.
        #[test]
        fn no_path_leaves_the_root(raw in tricky(), is_normal in any::<bool>()) {
            let normal = normalise(&raw).map(Cow::into_owned);
            let path = match normal {
                Ok(normal) if is_normal => normal,
                Err(_) if is_normal => return Ok(()),
                _ => raw,
            };
            let Ok(file) = FilePath::of(&path) else { return Ok(()) };
            prop_assert!(!file.path.starts_with('/') && !file.path.ends_with('/'));
            prop_assert!(!file.path.contains("//") && !file.path.contains('\0') && !file.path.contains('\\'));
            for (at, component) in Path::new(&*file.path).components().enumerate() {
                let Component::Normal(name) = component else {
                    panic!("{path} names {component:?}");
                };
                let hides = name.to_str().unwrap().starts_with('.');
                prop_assert!(!hides || file.path.starts_with(".well-known"), "{} at {}", path, at);
            }
        }
    }
}
