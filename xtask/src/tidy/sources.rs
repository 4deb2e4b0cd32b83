//! Rules for one Rust file: its opening sentence, its length, the length of its functions, and what it may not hold.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::Finding;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

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
    match (syn::parse_file(text), text.parse::<TokenStream>()) {
        (Ok(parsed), Ok(tokens)) => {
            let mut functions = Functions { file, findings: Vec::new() };
            functions.visit_file(&parsed);
            findings.extend(functions.findings);
            check_tokens(file, tokens, &mut findings);
        }
        (Err(error), _) => {
            findings.push(Finding::new(file, error.span().start().line, format!("does not parse: {error}")));
        }
        (_, Err(error)) => findings.push(Finding::new(file, 1, format!("does not parse: {error}"))),
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
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" && !file.starts_with(UNSAFE_ALLOWED) => {
                let message = format!("`unsafe` outside {UNSAFE_ALLOWED}");
                findings.push(Finding::new(file, ident.span().start().line, message));
            }
            TokenTree::Ident(ident) if ident == "todo" || ident == "unimplemented" => {
                if matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == '!') {
                    let message = format!("`{ident}!`: finish it");
                    findings.push(Finding::new(file, ident.span().start().line, message));
                }
            }
            TokenTree::Group(group) => check_tokens(file, group.stream(), findings),
            _ => {}
        }
    }
}

/// Finds the functions that are too long, methods and nested ones included.
struct Functions<'a> {
    file: &'a str,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &Signature, body: &Block) {
        let first = signature.fn_token.span.start().line;
        let lines = body.brace_token.span.close().end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let message =
                format!("the function `{}` has {lines} lines; at most {FUNCTION_LINES_MAX}", signature.ident);
            self.findings.push(Finding::new(self.file, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        check(file, text).iter().map(Finding::to_string).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
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
    fn a_function_has_at_most_70_lines_wherever_it_stands() {
        assert!(found("a.rs", &format!("//! Why.\n{}", function(70))).is_empty());
        let long = function(71);
        for text in [
            long.clone(),
            format!("impl S {{ {long} }}"),
            format!("trait T {{ {long} }}"),
            format!("mod m {{ {long} }}"),
        ] {
            assert_eq!(
                found("a.rs", &format!("//! Why.\n\n{text}")),
                ["a.rs:3: the function `f` has 71 lines; at most 70"]
            );
        }
    }

    #[test]
    fn doc_comments_and_attributes_do_not_count_as_the_function() {
        let text = format!("//! Why.\n{}#[inline]\n{}", "/// Docs.\n".repeat(20), function(70));
        assert!(found("a.rs", &text).is_empty());
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
        let text = format!(
            "//! Why.\nfn f() {{\n    todo!()\n}}\nfn g() {{ unimplemented!(\"x\") }} // {}: z\n",
            MARKERS[0]
        );
        let lines: Vec<_> = check("a.rs", &text).iter().map(|f| f.line).collect();
        assert_eq!(lines, [5, 3, 5]);
        assert!(found("a.rs", "//! Why.\nfn todo() {} // mkstemp(\"aXXXXXX\")\n").is_empty());
    }

    #[test]
    fn a_file_that_does_not_parse_is_a_finding() {
        assert!(found("a.rs", "//! Why.\nfn f( {\n")[0].contains("does not parse"));
    }
}
