//! Has a request passed through this node before? What `CDN-Loop` says of it (RFC 8586).

use std::fmt;

/// Nodes that a request may have passed through. A request through more of them is refused, because it loops among nodes that
/// do not know one another, or because its client made them up.
pub const HOPS_MAX: usize = 16;

/// Why a request is refused with 508.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdnLoop {
    /// It has passed through this node.
    Again,
    /// It has passed through more than [`HOPS_MAX`] nodes.
    TooLong,
}

impl fmt::Display for CdnLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => f.write_str("loop detected: the request has passed through this node before"),
            Self::TooLong => {
                write!(f, "loop detected: the request has passed through more than {HOPS_MAX} nodes")
            }
        }
    }
}

/// Reads all `CDN-Loop` lines of a request that has come to the node called `own`.
///
/// A line that breaks the grammar hides nothing: the node counts as named if its id stands anywhere in the line, because that is
/// random and no client can guess it.
pub fn cdn_loop<'a>(lines: impl Iterator<Item = &'a [u8]>, own: &str) -> Option<CdnLoop> {
    let mut hops = 0_usize;
    for line in lines {
        let mut rest = line;
        loop {
            match member(rest) {
                Ok((id, behind)) => {
                    if id.eq_ignore_ascii_case(own.as_bytes()) {
                        return Some(CdnLoop::Again);
                    }
                    hops += usize::from(!id.is_empty());
                    match behind {
                        Some(behind) => rest = behind,
                        None => break,
                    }
                }
                Err(Malformed) => {
                    if names(rest, own) {
                        return Some(CdnLoop::Again);
                    }
                    hops += 1 + rest.iter().filter(|byte| **byte == b',').count();
                    break;
                }
            }
        }
    }
    (hops > HOPS_MAX).then_some(CdnLoop::TooLong)
}

/// What is no list of `cdn-info`.
struct Malformed;

/// The id of the first member of a list, empty for an empty member, and what follows its comma.
fn member(line: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let mut is_quoted = false;
    let mut end = line.len();
    let mut bytes = line.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (byte, is_quoted) {
            (b'"', _) => is_quoted = !is_quoted,
            (b'\\', true) => {
                bytes.next();
            }
            (b',', false) => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    if is_quoted {
        return Err(Malformed);
    }
    let (member, behind) = (&line[..end], line.get(end + 1..));
    let id = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    // Whatever a host or a token is, it holds none of these.
    if id.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\\' | b'=')) {
        return Err(Malformed);
    }
    Ok((id, behind))
}

/// True if `own` stands anywhere in `line`.
fn names(line: &[u8], own: &str) -> bool {
    line.windows(own.len().max(1)).any(|window| window.eq_ignore_ascii_case(own.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &str = "evenkeel-0123456789abcdef";

    fn check(lines: &[&str], expected: Option<CdnLoop>) {
        let found = cdn_loop(lines.iter().map(|line| line.as_bytes()), OWN);
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn the_node_is_found_in_any_line_among_others_and_with_parameters() {
        let again = Some(CdnLoop::Again);
        check(&["evenkeel-0123456789abcdef"], again);
        check(
            &["foo123.foocdn.example, barcdn.example; trace=\"abcdef\"", "a, Evenkeel-0123456789ABCDEF"],
            again,
        );
        check(&["other, evenkeel-0123456789abcdef; a=1 ; b=\"x,y\""], again);
        check(&["x;p=\"a,\\\",b\" ,\tevenkeel-0123456789abcdef;q=1,z"], again);
        check(&[",, ,evenkeel-0123456789abcdef"], again);
        check(&["[::1]:8080, evenkeel-0123456789abcdef"], again);
    }

    #[test]
    fn others_are_no_loop() {
        check(&[], None);
        check(&[""], None);
        check(&["evenkeel-0123456789abcde", "evenkeel-0123456789abcdef0"], None);
        check(&["other; via=\"evenkeel-0123456789abcdef\"", "other; evenkeel-0123456789abcdef"], None);
        check(&["other; p=\"x, evenkeel-0123456789abcdef\""], None);
    }

    #[test]
    fn what_breaks_the_grammar_hides_nothing() {
        let again = Some(CdnLoop::Again);
        check(&["\"unterminated, evenkeel-0123456789abcdef"], again);
        check(&["a;p=\"x", "evenkeel-0123456789abcdef"], again);
        check(&["a;p=\"x\\\", evenkeel-0123456789abcdef"], again);
        check(&["a b evenkeel-0123456789abcdef"], again);
        check(&["a=evenkeel-0123456789abcdef"], again);
        check(&["\"", "\\", ";;;", "="], None);
    }

    #[test]
    fn hops_are_bounded_over_all_lines() {
        let line = |count: usize| vec!["x"; count].join(", ");
        let long = Some(CdnLoop::TooLong);
        check(&[&line(HOPS_MAX)], None);
        check(&[&line(HOPS_MAX + 1)], long);
        check(&vec!["x"; HOPS_MAX + 1], long);
        check(&[&",".repeat(1_000)], None);
        check(&[&format!("\"{}", ",".repeat(1_000))], long);
        check(&[&format!("{}, {OWN}", line(1_000))], Some(CdnLoop::Again));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_none_in_front_hide_the_node(
            before in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let own_line = OWN.as_bytes();
            prop_assert_eq!(cdn_loop([&before[..], own_line].into_iter(), OWN), Some(CdnLoop::Again));
            let _ = cdn_loop([&before[..]].into_iter(), OWN);
        }
    }
}
