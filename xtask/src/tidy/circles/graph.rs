//! Which file needs which as a graph, and its strongly connected components.

use std::collections::{BTreeMap, BTreeSet};

/// One file needs another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The file that needs, relative to the repository.
    pub from: String,
    /// The file that is needed.
    pub to: String,
    /// The line in `from`.
    pub line: usize,
    /// The path that leads there, as it is written.
    pub path: String,
}

/// The groups of two files and more in which each leads to each, by any number of edges; sorted.
pub fn circles(edges: &[Edge]) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in edges {
        next.entry(&edge.from).or_default().insert(&edge.to);
    }
    // Crates have at most some hundred files: what each one reaches is quick enough and plainer than Tarjan's algorithm.
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reached(file, &next))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, reached) in &reach {
        let back = |other: &&&str| reach.get(**other).is_some_and(|theirs| theirs.contains(file));
        let circle: Vec<String> = reached.iter().filter(back).map(|file| (*file).to_owned()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// All files that one or more edges lead to.
fn reached<'a>(from: &'a str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for to in next.get(file).into_iter().flatten() {
            if seen.insert(*to) {
                open.push(to);
            }
        }
    }
    seen
}
