//! A directory that cannot be the disk cache is an error at the start, which says why and what to do.

use std::fs;

use crate::support::disk::DiskCache;
use crate::support::{Folder, Origin, cli};

/// What a start says that fails.
#[track_caller]
fn refused(path: &str) -> String {
    let origin = Origin::named("a");
    let folder = Folder::new();
    let text = format!(
        "[cache]\ndisk = {{ path = \"{path}\", size = \"64MiB\" }}\n[admin]\nbind = \"127.0.0.1:0\"\n\
         [listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nbackends = [\"{}\"]\n",
        origin.address()
    );
    let file = folder.write("evenkeel.toml", &text);
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    // Diagnostics break lines.
    outcome.stderr
}

#[test]
fn the_directory_above_it_must_exist() {
    let folder = Folder::new();
    let said = refused(&folder.path("not/there"));
    assert!(said.contains(&folder.path("not")) && said.contains("make the directory above"), "{said}");
    let file = folder.write("file", "");
    let said = refused(&file);
    assert!(said.contains(&format!("{file} is no directory")), "{said}");
}

#[test]
fn what_is_in_it_must_be_the_caches_own() {
    let folder = Folder::new();
    let precious = folder.write("tmp", "precious");
    let path = folder.path("");
    let said = refused(&path);
    assert!(said.contains(&path) && said.contains("files that are not the cache's"), "{said}");
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn it_must_be_writable() {
    // Not even root writes there.
    let said = refused("/proc/self");
    assert!(said.contains("/proc/self"), "{said}");
    let said = refused("/proc/evenkeel");
    assert!(said.contains("/proc/evenkeel for the disk cache"), "{said}");
}

#[test]
fn two_processes_do_not_share_it() {
    let (cache, origin) = (DiskCache::new(), Origin::named("a"));
    let _evenkeel = cache.start(&origin, "true");
    let path = cache.path().display().to_string();
    let said = refused(&path);
    assert!(said.contains(&path) && said.contains("another process uses it"), "{said}");
}
