//! Patterns of file names, in which `*` stands for any characters.

/// Whether `pattern` fits the file at `path`, which is relative to the root: a pattern that begins with `/` has to fit all of the path,
/// any other one the name alone.
pub fn fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_prefix('/') {
        Some(pattern) => matches(pattern.as_bytes(), path.as_bytes()),
        None => matches(pattern.as_bytes(), path.rsplit('/').next().unwrap_or(path).as_bytes()),
    }
}

/// In time proportional to the product of both lengths at worst: only the last `*` is ever tried again.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn names_and_paths() {
        for (pattern, path) in [
            ("*", "a/b.html"),
            ("*.html", "a/b.html"),
            ("b.html", "a/b.html"),
            ("*.min.*", "a/b.min.js"),
            ("/a/*", "a/b/c.js"),
            ("/a/*.js", "a/b/c.js"),
            ("/a/b", "a/b"),
            ("/*", "a"),
        ] {
            assert!(fits(pattern, path), "{pattern} on {path}");
        }
        for (pattern, path) in [
            ("*.html", "a.html/b"),
            ("a*", "b/c"),
            ("/a/*", "b/a/c"),
            ("/b", "a/b"),
            ("*.html", "html"),
            ("a", "ab"),
        ] {
            assert!(!fits(pattern, path), "{pattern} on {path}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_is_the_regular_expression_that_it_looks_like(pattern in "[ab*]{0,8}", text in "[ab]{0,12}") {
            let regex = Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), regex.is_match(&text));
        }
    }
}
