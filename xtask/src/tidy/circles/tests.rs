//! Tests of the circles: small crates as text.
#![allow(clippy::unwrap_used)]

use std::io;

use super::*;

/// The circles of a crate with these files, each as its files' names.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let read = |name: &str| {
        let found = files.iter().find(|(file, _)| *file == name);
        found.map(|(_, text)| (*text).to_owned()).ok_or(io::Error::from(io::ErrorKind::NotFound))
    };
    let tree = Tree::read("x/lib.rs", &read).unwrap();
    of("x", &tree).iter().map(|circle| circle.files.join(" ")).collect()
}

#[test]
fn files_that_need_each_other_are_a_circle_however_the_paths_are_written() {
    let lib = ("x/lib.rs", "mod a; mod b; mod c;");
    let c = ("x/c.rs", "");
    for (a, b) in [
        ("use crate::b::B;", "use crate::a::A;"),
        ("use super::b::{self};", "fn f() { super::a::f() }"),
        ("use super::{b::B, c};", "impl T for crate::a::A {}"),
        ("fn f(b: super::b::B) {}", "use super::a; fn g() { a::f() }"),
    ] {
        let files = [lib, ("x/a.rs", a), ("x/b.rs", b), c];
        assert_eq!(circles(&files), ["x/a.rs x/b.rs"], "{a} {b}");
    }
    assert!(circles(&[lib, ("x/a.rs", "use crate::b::B;"), ("x/b.rs", "use crate::c::C;"), c]).is_empty());
}

#[test]
fn a_re_export_leads_to_where_the_name_is_defined() {
    let lib = ("x/lib.rs", "mod m;");
    // `two` needs `one` by the name that `m` gives it, which is no need of `m`.
    let m = ("x/m/mod.rs", "mod one; mod two; pub use one::One; pub use two::Two;");
    let files =
        [lib, m, ("x/m/one.rs", "pub struct One;"), ("x/m/two.rs", "use super::One; pub struct Two;")];
    assert!(circles(&files).is_empty());
    let files = [lib, m, ("x/m/one.rs", "use super::Two; pub struct One;"), files[3]];
    assert_eq!(circles(&files), ["x/m/one.rs x/m/two.rs"]);
}

#[test]
fn a_glob_leads_to_where_the_name_is_defined() {
    let lib = ("x/lib.rs", "mod m; mod n; pub use m::*;");
    let files = [lib, ("x/m.rs", "pub struct M;"), ("x/n.rs", "use crate::M;")];
    assert!(circles(&files).is_empty());
    let files = [lib, ("x/m.rs", "use crate::n; pub struct M;"), files[2]];
    assert_eq!(circles(&files), ["x/m.rs x/n.rs"]);
}

#[test]
fn tests_and_other_crates_need_whatever_they_like() {
    let lib = ("x/lib.rs", "mod a; mod b;");
    let b = ("x/b.rs", "use std::a; use other::a; use crate::a::A;");
    let tests = "#[cfg(test)] mod tests; #[cfg(test)] mod more { use crate::b; } #[cfg(test)] use super::b;";
    assert!(circles(&[lib, ("x/a.rs", tests), b]).is_empty());
}

#[test]
fn a_circle_of_more_than_three_files_is_too_large() {
    let circle = |files: usize| Circle {
        name: "proxy".into(),
        files: (0..files).map(|n| format!("{n}.rs")).collect(),
        edges: Vec::new(),
    };
    assert!(judge(&[circle(3)]).is_empty());
    assert_eq!(judge(&[circle(4)]).len(), 1);
}
