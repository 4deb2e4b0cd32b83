//! The modules of a crate as its `mod` lines say, each with what it defines and what it brings in by `use`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use syn::{Attribute, Item, UseTree};

/// A module's path from the crate's root: `["route", "path"]`.
pub type Name = Vec<String>;

/// A module.
pub struct Module {
    /// Its file, relative to the repository.
    pub file: String,
    /// Its items, tests and modules in files of their own left out.
    pub items: Vec<Item>,
    /// Names that it defines.
    pub defines: BTreeSet<String>,
    /// Names that it brings in, each with its path.
    pub brings: BTreeMap<String, Vec<String>>,
    /// Paths of which it brings in all.
    pub globs: Vec<Vec<String>>,
}

/// All modules of a crate.
pub struct Tree {
    /// By name; the root's is empty.
    pub modules: BTreeMap<Name, Module>,
}

/// Reads a file by its name.
pub type Read<'a> = &'a dyn Fn(&str) -> io::Result<String>;

impl Tree {
    /// Reads the crate whose root is the file `entry`. What does not parse is left out: another rule finds that.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(entry: &str, read: Read<'_>) -> io::Result<Self> {
        let mut tree = Self { modules: BTreeMap::new() };
        tree.add_file(Vec::new(), entry, read)?;
        Ok(tree)
    }

    fn add_file(&mut self, name: Name, file: &str, read: Read<'_>) -> io::Result<()> {
        let Ok(parsed) = syn::parse_file(&read(file)?) else { return Ok(()) };
        self.add(name, file, parsed.items, read)
    }

    fn add(&mut self, name: Name, file: &str, items: Vec<Item>, read: Read<'_>) -> io::Result<()> {
        let mut module = Module {
            file: file.into(),
            items: Vec::new(),
            defines: BTreeSet::new(),
            brings: BTreeMap::new(),
            globs: Vec::new(),
        };
        let mut below = Vec::new();
        for item in items {
            if is_test(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(item) => {
                    let child = [name.clone(), vec![item.ident.to_string()]].concat();
                    below.push((child, item));
                }
                Item::Use(item) => {
                    leaves(&item.tree, &mut Vec::new(), &mut |path, leaf| match leaf {
                        Some(leaf) => drop(module.brings.insert(leaf, path)),
                        None => module.globs.push(path),
                    });
                    module.items.push(Item::Use(item));
                }
                item => {
                    module.defines.extend(defined(&item));
                    module.items.push(item);
                }
            }
        }
        self.modules.insert(name, module);
        for (child, item) in below {
            match item.content {
                Some((_, items)) => self.add(child, file, items, read)?,
                None => {
                    let (flat, nested) = candidates(file, &item.ident.to_string());
                    match self.add_file(child.clone(), &flat, read) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            self.add_file(child, &nested, read)?;
                        }
                        other => other?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where `mod child;` in `file` may be.
fn candidates(file: &str, child: &str) -> (String, String) {
    let path = Path::new(file);
    let dir = match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "mod.rs") => path.parent().unwrap_or(path).to_owned(),
        _ => path.with_extension(""),
    };
    let dir = dir.to_string_lossy();
    (format!("{dir}/{child}.rs"), format!("{dir}/{child}/mod.rs"))
}

/// Calls `found` for each leaf of a `use`: with its path and the name that it has here, or none for a glob.
pub fn leaves(tree: &UseTree, path: &mut Vec<String>, found: &mut impl FnMut(Vec<String>, Option<String>)) {
    let mut leaf = |path: &[String], ident: &syn::Ident, here: &syn::Ident| {
        // `use a::{self}` brings in `a`.
        let mut whole = path.to_vec();
        let mut name = here.to_string();
        if ident == "self" && !path.is_empty() {
            if here == "self" {
                name.clone_from(&path[path.len() - 1]);
            }
        } else {
            whole.push(ident.to_string());
        }
        found(whole, Some(name));
    };
    match tree {
        UseTree::Path(below) => {
            path.push(below.ident.to_string());
            leaves(&below.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) => leaf(path, &name.ident, &name.ident),
        UseTree::Rename(rename) => leaf(path, &rename.ident, &rename.rename),
        UseTree::Glob(_) => found(path.clone(), None),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, path, found)),
    }
}

fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// True of what is compiled for tests alone: `#[cfg(test)]`, `#[cfg(all(test, ...))]`.
fn is_test(attributes: &[Attribute]) -> bool {
    let words = |attribute: &Attribute| match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    };
    attributes.iter().filter(|a| a.path().is_ident("cfg")).any(|attribute| {
        let words = words(attribute);
        let mut parts = words.split(|c: char| !c.is_alphanumeric() && c != '_');
        !words.starts_with("not") && parts.any(|word| word == "test")
    })
}
