//! The licences of all that is compiled in: none may be copyleft.

use std::io;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::Finding;

/// Permissive licences, by their SPDX names.
const PERMISSIVE: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Asks cargo for every package that the lock file names, and finds those that are not under a permissive licence.
///
/// # Errors
/// Cargo cannot be started, or cannot read the workspace.
pub fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["metadata", "--locked", "--format-version", "1"])
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let refused = metadata.packages.into_iter().filter_map(|package| {
        let licence = package.license.unwrap_or_default();
        (!is_permissive(&licence)).then(|| {
            let message = format!("{} {} is under {licence:?}", package.name, package.version);
            Finding::new("Cargo.lock", 1, message)
        })
    });
    Ok(refused.collect())
}

/// Whether a licence expression (SPDX 2.1, annex D) leaves a choice that is permissive throughout.
fn is_permissive(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut permissive = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        permissive |= all_of(words);
    }
    permissive
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut permissive = term(words);
    while words.next_if_eq(&"AND").is_some() {
        permissive &= term(words);
    }
    permissive
}

fn term(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let permissive = any_of(words);
        return words.next_if_eq(&")").is_some() && permissive;
    }
    let permissive = words.next().is_some_and(|name| PERMISSIVE.contains(&name));
    // An exception only ever allows more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    permissive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_permissive_when_one_choice_is() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(is_permissive(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0-only",
            "MPL-2.0",
            "MIT AND LGPL-2.1-only",
            "(GPL-2.0 OR MIT) AND AGPL-3.0",
            "MIT)",
            "(MIT",
        ] {
            assert!(!is_permissive(bad), "{bad}");
        }
    }
}
