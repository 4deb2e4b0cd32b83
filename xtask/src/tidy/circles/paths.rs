//! The paths that a module's code is written with, and the files that they lead to.

use syn::ItemUse;
use syn::visit::Visit;

use super::graph::Edge;
use super::modules::{Module, Name, Tree, leaves};

/// Re-exports that are followed one after the other; more is a circle of their own.
const FOLLOWED_MAX: usize = 16;

/// Each file that a file of the crate needs, by the first path that leads there.
pub fn edges(tree: &Tree) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    for (name, module) in &tree.modules {
        let mut written = Written::default();
        module.items.iter().for_each(|item| written.visit_item(item));
        for (path, line) in written.paths {
            let Some(to) = tree.file(name, &path) else { continue };
            let known = |edge: &Edge| edge.from == module.file && edge.to == to;
            if to != module.file && !edges.iter().any(known) {
                edges.push(Edge { from: module.file.clone(), to: to.into(), line, path: path.join("::") });
            }
        }
    }
    edges
}

impl Tree {
    /// The file where what `path` names in the module `from` is defined; `None` when that is another crate.
    fn file(&self, from: &Name, path: &[String]) -> Option<&str> {
        self.resolve(from, path, FOLLOWED_MAX)
    }

    fn resolve(&self, from: &Name, path: &[String], depth: usize) -> Option<&str> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(&Vec::new(), rest, depth),
            "self" => self.descend(from, rest, depth),
            "super" => {
                let mut above = from.clone();
                above.pop()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.resolve(&above, rest, depth),
                    _ => self.descend(&above, rest, depth),
                }
            }
            // A name without such a beginning is one of this module or of another crate.
            _ if self.knows(from, first) => self.descend(from, path, depth),
            _ => None,
        }
    }

    fn knows(&self, module: &Name, name: &str) -> bool {
        let child = [module.clone(), vec![name.to_owned()]].concat();
        let brings = |m: &Module| m.brings.get(name).is_some_and(|path| path[0] != name);
        self.modules.contains_key(&child) || self.modules.get(module).is_some_and(brings)
    }

    /// Follows `path` from within `module`.
    fn descend(&self, module: &Name, path: &[String], depth: usize) -> Option<&str> {
        let here = self.modules.get(module)?;
        let Some((first, rest)) = path.split_first() else { return Some(&here.file) };
        let child = [module.clone(), vec![first.clone()]].concat();
        if self.modules.contains_key(&child) {
            return self.descend(&child, rest, depth);
        }
        if here.defines.contains(first) {
            return Some(&here.file);
        }
        let deeper = depth.checked_sub(1)?;
        if let Some(brought) = here.brings.get(first) {
            return self.resolve(module, &[brought, rest].concat(), deeper);
        }
        let defined = here.globs.iter().find_map(|glob| {
            let file = self.resolve(module, &[glob.as_slice(), path].concat(), deeper)?;
            let defines = |m: &Module| m.file == file && m.defines.contains(first);
            self.modules.values().any(defines).then_some(file)
        });
        defined.or(Some(&here.file))
    }
}

/// All paths in some code, each with its line.
#[derive(Default)]
struct Written {
    paths: Vec<(Vec<String>, usize)>,
}

impl<'ast> Visit<'ast> for Written {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let line = item.use_token.span.start().line;
        leaves(&item.tree, &mut Vec::new(), &mut |path, _| self.paths.push((path, line)));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if words.len() > 1
            && let Some(first) = path.segments.first()
        {
            self.paths.push((words, first.ident.span().start().line));
        }
        syn::visit::visit_path(self, path);
    }
}
