//! Rules for one Rust file that clippy does not have: its opening sentence, its length, and what it may not hold.

use proc_macro2::{TokenStream, TokenTree};

use super::Finding;

const FILE_LINES_MAX: usize = 500;

/// The only place where `unsafe` may stand: it speaks to the kernel.
const UNSAFE_ALLOWED: &str = "crates/net/";

/// Files that may be longer than [`FILE_LINES_MAX`], each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Split, so that this file does not hold what it looks for.
const MARKERS: [&str; 2] = [concat!("FIX", "ME"), concat!("X", "XX")];

/// Checks a Rust file.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(Finding::new(file, 1, "opens without a `//!` sentence on why the file exists"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX && !LONG_FILES.iter().any(|(long, _)| *long == file) {
        let message = format!("{lines} lines; split it below {FILE_LINES_MAX}");
        findings.push(Finding::new(file, FILE_LINES_MAX + 1, message));
    }
    findings.extend(check_markers(file, text));
    match text.parse::<TokenStream>() {
        Ok(tokens) => check_tokens(file, tokens, &mut findings),
        Err(error) => findings.push(Finding::new(file, 1, format!("does not parse: {error}"))),
    }
    findings
}

/// Checks that each exception is still needed; `read` yields the text of a file that exists.
pub fn check_exceptions(read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let stale = |file: &str| read(file).is_none_or(|text| text.lines().count() <= FILE_LINES_MAX);
    let stale_files = LONG_FILES.iter().filter(|(file, _)| stale(file));
    stale_files
        .map(|(file, reason)| {
            Finding::new(file, 1, format!("no longer needs its exception for length ({reason}); remove it"))
        })
        .collect()
}

fn check_markers(file: &str, text: &str) -> Vec<Finding> {
    let marked = text.lines().enumerate().filter_map(|(index, line)| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let word = words.find(|word| MARKERS.contains(word))?;
        Some(Finding::new(file, index + 1, format!("`{word}`: finish it, or open an issue")))
    });
    marked.collect()
}

fn check_tokens(file: &str, tokens: TokenStream, findings: &mut Vec<Finding>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" && !file.starts_with(UNSAFE_ALLOWED) => {
                let message = format!("`unsafe` outside {UNSAFE_ALLOWED}");
                findings.push(Finding::new(file, ident.span().start().line, message));
            }
            TokenTree::Group(group) => check_tokens(file, group.stream(), findings),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        check(file, text).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_file_opens_with_its_reason() {
        assert!(found("a.rs", "//! Why.\n").is_empty());
        assert_eq!(
            found("a.rs", "// Why.\n")[0],
            "a.rs:1: opens without a `//!` sentence on why the file exists"
        );
    }

    #[test]
    fn a_file_has_at_most_500_lines() {
        let text = |lines: usize| format!("//! Why.\n{}", "\n".repeat(lines - 1));
        assert!(found("a.rs", &text(500)).is_empty());
        assert_eq!(found("a.rs", &text(501)), ["a.rs:501: 501 lines; split it below 500"]);
    }

    #[test]
    fn unsafe_code_stands_in_net_alone() {
        let text = "//! Why.\n// unsafe in words\nconst S: &str = \"unsafe\";\nfn f() { unsafe {} }\n";
        assert_eq!(
            found("crates/proxy/src/a.rs", text),
            ["crates/proxy/src/a.rs:4: `unsafe` outside crates/net/"]
        );
        assert!(found("crates/net/src/a.rs", text).is_empty());
    }

    #[test]
    fn nothing_is_left_for_later() {
        let text = format!("//! Why.\nfn g() {{}} // {}: z\n", MARKERS[0]);
        assert_eq!(check("a.rs", &text).iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
        assert!(found("a.rs", "//! Why.\nfn f() {} // mkstemp(\"aXXXXXX\")\n").is_empty());
    }

    #[test]
    fn a_file_that_does_not_parse_is_a_finding() {
        assert!(found("a.rs", "//! Why.\nfn f( {\n")[0].contains("does not parse"));
    }
}
