//! The one-way import table of the architecture: which crate may stand on which.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Finding;

/// Crate and what it may import, without the `evenkeel-` that every name but the binary's begins with.
const TABLE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("config", &["types"]),
    ("core", &["types", "config"]),
    ("observe", &["types", "config"]),
    ("http2", &["types"]),
    ("cache", &["types", "core", "net"]),
    ("discover", &["types", "config"]),
    ("net", &["types", "config", "observe"]),
    ("tls", &["types", "config", "observe"]),
    ("databases", &["types", "config", "core", "net", "tls"]),
    ("proxy", &["types", "config", "core", "cache", "http2", "net", "tls", "observe"]),
    ("admin", &["types", "config", "core", "observe"]),
    ("otlp", &["types", "config", "observe", "tls"]),
    ("bench", &[]),
    ("load", &[]),
    ("terminal", &[]),
    ("demo", &["types", "config", "core", "observe", "load", "terminal"]),
    ("top", &["terminal"]),
    ("ha", &["types", "config", "core", "observe"]),
    ("dns", &["types", "config", "core", "observe"]),
    ("scale", &["types", "config", "core", "observe"]),
    // What any user of the binary could write.
    ("minigram", &[]),
];

/// Checks the `[dependencies]` of a crate whose directory has its name, those of a target included.
/// Dev-dependencies are free: a test may stand on whatever shows the behaviour.
pub fn check_manifest(file: &str, text: &str) -> Vec<Finding> {
    let name = file.split('/').rev().nth(1).unwrap_or_default();
    if name == "evenkeel" {
        return Vec::new();
    }
    let Some((_, allowed)) = TABLE.iter().find(|(n, _)| *n == name) else {
        let message = format!("the crate `{name}` is not in the import table (xtask/src/tidy/imports.rs)");
        return vec![Finding::new(file, 1, message)];
    };
    let manifest = match DeTable::parse(text) {
        Ok(manifest) => manifest.into_inner(),
        Err(error) => return vec![Finding::new(file, 1, error.message())],
    };
    let mut tables = vec![table(&manifest, "dependencies")];
    for (_, target) in table(&manifest, "target").into_iter().flatten() {
        tables.push(target.get_ref().as_table().and_then(|t| table(t, "dependencies")));
    }
    let dependencies = tables.into_iter().flatten().flatten();
    dependencies
        .filter_map(|(key, value)| {
            let imported = package(key, value);
            let short =
                imported.strip_prefix("evenkeel-").or((imported == "evenkeel").then_some("evenkeel"))?;
            (!allowed.contains(&short)).then(|| {
                let may = if allowed.is_empty() { "nothing".into() } else { allowed.join(", ") };
                let message = format!("`{name}` may not import `{short}`, only: {may}");
                Finding::new(file, line_at(text, key.span().start), message)
            })
        })
        .collect()
}

/// Checks that a black-box test names none of the workspace's `crates` (`evenkeel_core`, ...) as a path.
pub fn check_black_box(file: &str, text: &str, crates: &[String]) -> Vec<Finding> {
    let Ok(tokens) = text.parse::<TokenStream>() else { return Vec::new() };
    let mut findings = Vec::new();
    find_paths(tokens, crates, &mut |line, name| {
        let message = format!("a black-box test imports `{name}`; it may only start the binary");
        findings.push(Finding::new(file, line, message));
    });
    findings
}

fn table<'t, 'i>(parent: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    parent.get(key)?.get_ref().as_table()
}

/// The package that a dependency stands for: its `package`, or its key.
fn package<'t>(key: &'t Spanned<std::borrow::Cow<'_, str>>, value: &'t Spanned<DeValue<'_>>) -> &'t str {
    let renamed =
        value.get_ref().as_table().and_then(|t| t.get("package")).and_then(|p| p.get_ref().as_str());
    renamed.unwrap_or(key.get_ref())
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// Calls `found` for each identifier of `names` that begins a path (`name::`) or stands in `use name;`.
fn find_paths(tokens: TokenStream, names: &[String], found: &mut impl FnMut(usize, &str)) {
    let mut after_use = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                let path = matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == ':' && p.spacing() == Spacing::Joint);
                if names.contains(&name) && (path || after_use) {
                    found(ident.span().start().line, &name);
                }
                after_use = name == "use" || name == "crate";
            }
            TokenTree::Group(group) => find_paths(group.stream(), names, found),
            _ => after_use = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, text: &str) -> Vec<String> {
        check_manifest(&format!("crates/{name}/Cargo.toml"), text).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn what_the_table_allows_passes() {
        let text = "[dependencies]\nevenkeel-types.workspace = true\nevenkeel-config = { path = \"../config\" }\nregex = \"1\"\n";
        assert!(manifest("core", text).is_empty());
        assert!(manifest("evenkeel", "[dependencies]\nevenkeel-proxy.workspace = true\n").is_empty());
        assert!(manifest("types", "[dev-dependencies]\nevenkeel-core.workspace = true\n").is_empty());
    }

    #[test]
    fn an_import_against_the_table_is_named_with_its_line() {
        let text =
            "[package]\nname = \"x\"\n\n[dependencies]\nregex = \"1\"\nevenkeel-proxy.workspace = true\n";
        assert_eq!(
            manifest("admin", text),
            ["crates/admin/Cargo.toml:6: `admin` may not import `proxy`, only: types, config, core, observe"]
        );
        assert_eq!(
            manifest("types", "[dependencies]\nevenkeel-config.workspace = true\n"),
            ["crates/types/Cargo.toml:2: `types` may not import `config`, only: nothing"]
        );
    }

    #[test]
    fn neither_a_new_name_nor_a_target_hides_an_import() {
        let renamed = "[dependencies]\np = { package = \"evenkeel-proxy\", path = \"../proxy\" }\n";
        assert_eq!(manifest("admin", renamed).len(), 1);
        let target = "[target.'cfg(unix)'.dependencies]\nevenkeel-proxy.workspace = true\n";
        assert_eq!(manifest("admin", target).len(), 1);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_refused() {
        assert_eq!(manifest("shiny", "[dependencies]\n").len(), 1);
    }

    #[test]
    fn black_box_tests_import_no_crate_and_may_use_its_name_otherwise() {
        let crates = ["evenkeel_core".to_string()];
        let lines = |text: &str| -> Vec<usize> {
            check_black_box("tests/run.rs", text, &crates).iter().map(|f| f.line).collect()
        };
        assert_eq!(lines("use std::fs;\nuse evenkeel_core::route;\nextern crate evenkeel_core;\n"), [2, 3]);
        assert_eq!(lines("fn f() {\n    evenkeel_core::route::pick();\n}\n"), [2]);
        assert!(lines("fn f() { let evenkeel_core: S = start(\"evenkeel_core::x\"); }").is_empty());
        assert!(lines("mod support { pub mod evenkeel; } use evenkeel::Evenkeel;").is_empty());
    }
}
