//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy knows, each finding with its file and line.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub mod circles;
mod imports;
mod links;
mod sources;

/// Directories whose Rust files are held to the rules.
const SOURCE_ROOTS: [&str; 4] = ["crates", "minigram", "xtask", "tests"];

/// `ARCHITECTURE.md` is to be read in one sitting.
const ARCHITECTURE_LINES_MAX: usize = 300;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the repository.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Checks the repository at `root`; the findings are sorted by file and line.
///
/// # Errors
/// A file or directory that exists and cannot be read.
pub fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let crates = crate_names(root)?;
    let mut findings = Vec::new();
    for file in files_below(root, Path::new(""))? {
        let name = file.to_string_lossy().replace('\\', "/");
        let source = SOURCE_ROOTS.iter().any(|r| file.starts_with(r));
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") if source => {
                let text = fs::read_to_string(root.join(&file))?;
                findings.extend(sources::check(&name, &text));
                if file.starts_with("tests") {
                    findings.extend(imports::check_black_box(&name, &text, &crates));
                }
            }
            Some("md") => {
                let text = fs::read_to_string(root.join(&file))?;
                findings.extend(links::check(&name, &text, |target| root.join(target).exists()));
                findings.extend(check_architecture(&name, &text));
            }
            _ if name.ends_with("/Cargo.toml") && !file.starts_with("xtask") && !file.starts_with("fuzz") => {
                findings.extend(imports::check_manifest(&name, &fs::read_to_string(root.join(&file))?));
            }
            _ => {}
        }
    }
    findings.extend(sources::check_exceptions(|file| fs::read_to_string(root.join(file)).ok()));
    findings.sort();
    Ok(findings)
}

fn check_architecture(file: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    (file == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES_MAX).then(|| {
        Finding::new(
            file,
            ARCHITECTURE_LINES_MAX + 1,
            format!("{lines} lines; at most {ARCHITECTURE_LINES_MAX}"),
        )
    })
}

/// The library names of the workspace's crates, as they stand in a `use`. The binary has none.
fn crate_names(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let name = entry?.file_name().to_string_lossy().replace('-', "_");
        if name != "evenkeel" {
            names.push(format!("evenkeel_{name}"));
        }
    }
    Ok(names)
}

/// Every file below `root`/`dir`, as paths relative to `root`; neither hidden ones nor what is built.
fn files_below(root: &Path, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = dir.join(&name);
        let kind = entry.file_type()?;
        if name.to_string_lossy().starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if kind.is_dir() {
            files.extend(files_below(root, &path)?);
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_architecture_page_may_have_300_lines_and_not_one_more() {
        assert_eq!(check_architecture("ARCHITECTURE.md", &"line\n".repeat(300)), None);
        assert_eq!(check_architecture("docs/request.md", &"line\n".repeat(301)), None);
        let finding = check_architecture("ARCHITECTURE.md", &"line\n".repeat(301)).unwrap();
        assert_eq!(finding.to_string(), "ARCHITECTURE.md:301: 301 lines; at most 300");
    }

    #[test]
    fn a_tree_with_one_fault_of_each_kind_is_reported_whole_and_in_order() {
        let root = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        let files = [
            ("crates/core/Cargo.toml", "[dependencies]\nevenkeel-net.workspace = true\n"),
            ("crates/core/src/lib.rs", "fn f() {}\n"),
            ("crates/net/src/lib.rs", "//! Sockets.\nfn f() { unsafe {} }\n"),
            ("minigram/Cargo.toml", "[dependencies]\nevenkeel-types.workspace = true\n"),
            ("minigram/src/lib.rs", "//! Photos.\nfn f() { unsafe {} }\n"),
            ("tests/main.rs", "//! Black-box.\nuse evenkeel_core::route;\n"),
            ("target/debug/build.rs", "no header, and not looked at\n"),
            ("README.md", "[design](docs/none.md)\n"),
        ];
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found: Vec<_> = check(&root).unwrap().iter().map(|f| format!("{}:{}", f.file, f.line)).collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(
            found,
            [
                "README.md:1",
                "crates/core/Cargo.toml:2",
                "crates/core/src/lib.rs:1",
                "minigram/Cargo.toml:2",
                "minigram/src/lib.rs:2",
                "tests/main.rs:2",
            ]
        );
    }
}
