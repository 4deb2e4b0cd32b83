//! Circles of imports: files of a crate that need each other cannot be read one after the other, so they stay few.
//!
//! A file needs another when a path in it leads there: `crate::`, `self::`, `super::`, a module of its own, or a name
//! that a `use` brought in. Re-exports are followed to where a name is defined. Tests are left out.

use std::fs;
use std::io;
use std::path::Path;

mod graph;
mod modules;
mod paths;

use graph::Edge;
use modules::Tree;

use super::Finding;

/// Files that may need each other in a circle.
const FILES_MAX: usize = 3;

/// Files that need each other, however far around.
pub struct Circle {
    /// The crate's directory.
    name: String,
    /// Relative to the repository, sorted.
    files: Vec<String>,
    /// Which file needs which among them, and for what.
    edges: Vec<Edge>,
}

impl Circle {
    /// Its files and edges, one a line.
    pub fn describe(&self) -> String {
        let edge = |e: &Edge| format!("  {}:{} -> {} ({})", e.from, e.line, e.to, e.path);
        let edges: Vec<String> = self.edges.iter().map(edge).collect();
        format!("{}: a circle of {} files\n{}", self.name, self.files.len(), edges.join("\n"))
    }
}

/// All circles of two files and more in the crates of the repository at `root`, the largest first.
///
/// # Errors
/// A source file cannot be read.
pub fn all(root: &Path) -> io::Result<Vec<Circle>> {
    let mut circles = Vec::new();
    let mut crates = vec!["minigram".to_owned()];
    let below = root.join("crates");
    if below.is_dir() {
        for entry in fs::read_dir(below)? {
            crates.push(format!("crates/{}", entry?.file_name().to_string_lossy()));
        }
    }
    crates.sort();
    for name in crates {
        let source = format!("{name}/src");
        let entry = ["lib.rs", "main.rs"].map(|file| format!("{source}/{file}"));
        let Some(entry) = entry.into_iter().find(|file| root.join(file).is_file()) else { continue };
        let tree = Tree::read(&entry, &|file| fs::read_to_string(root.join(file)))?;
        circles.extend(of(&name, &tree));
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.files.len()));
    Ok(circles)
}

/// The circles that are too large.
///
/// # Errors
/// A source file cannot be read.
pub fn check(root: &Path) -> io::Result<Vec<Finding>> {
    Ok(judge(&all(root)?))
}

fn of(name: &str, tree: &Tree) -> Vec<Circle> {
    let edges = paths::edges(tree);
    let circle = |files: Vec<String>| {
        let inside = |e: &&Edge| files.contains(&e.from) && files.contains(&e.to);
        let edges = edges.iter().filter(inside).cloned().collect();
        Circle { name: name.into(), files, edges }
    };
    graph::circles(&edges).into_iter().map(circle).collect()
}

fn judge(circles: &[Circle]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for circle in circles {
        let size = circle.files.len();
        if size > FILES_MAX {
            let message = format!(
                "{size} files import each other in a circle, at most {FILES_MAX}: {} \
                 (`cargo xtask tidy --circles` shows by what)",
                circle.files.join(", ")
            );
            findings.push(Finding::new(&circle.files[0], 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
