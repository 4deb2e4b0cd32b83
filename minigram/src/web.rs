//! The pages: files that Evenkeel serves. Their path has a hash of their content, so that browsers may keep them for
//! good, and the shell, which names the path, is looked up each time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// The shell, within the tree.
const SHELL: &str = "index.html";

/// Digits of the hash in the path.
const HASH_DIGITS: usize = 16;

#[derive(RustEmbed)]
#[folder = "web"]
struct Files;

/// Where the pages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The shell, for every path that is neither the API's nor below `/assets/`.
    pub shell: PathBuf,
    /// What is immutable: its path below the directory is its path in the browser.
    pub assets: PathBuf,
}

/// Writes the pages into `directory`: `assets/HASH/...`, and `index.html`, which names them.
///
/// Assets of older versions stay, because browsers that loaded an older shell still ask for them. The shell comes last,
/// and by one rename, so that it never names what is not there.
///
/// # Errors
/// The directory cannot be written.
pub fn write(directory: &Path) -> io::Result<Written> {
    let hash = hash();
    let assets = directory.join("assets").join(&hash);
    for name in Files::iter() {
        if name == SHELL {
            continue;
        }
        let file = assets.join(&*name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        replace(&file, &content(&name)?)?;
    }
    let shell = directory.join(SHELL);
    let text = String::from_utf8(content(SHELL)?).map_err(io::Error::other)?;
    let text = text.replace("{preloads}", &preloads()).replace("{assets}", &format!("/assets/{hash}"));
    replace(&shell, text.as_bytes())?;
    Ok(Written { shell, assets })
}

fn content(name: &str) -> io::Result<Vec<u8>> {
    let file = Files::get(name).ok_or_else(|| io::Error::other(format!("{name} is not embedded")))?;
    Ok(file.data.into_owned())
}

/// An element for each module, so that a browser asks for all at once and not for one after another imports it.
fn preloads() -> String {
    let mut modules: Vec<_> = Files::iter().filter(|name| name.ends_with(".js")).collect();
    modules.sort();
    let element =
        |name: &std::borrow::Cow<str>| format!("<link rel=\"modulepreload\" href=\"{{assets}}/{name}\">");
    modules.iter().map(element).collect::<Vec<_>>().join("\n  ")
}

/// Of all names and contents.
fn hash() -> String {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for file in names.iter().filter_map(|name| Some((name, Files::get(name)?))) {
        let (name, content) = file;
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name.as_bytes());
        hash.update((content.data.len() as u64).to_be_bytes());
        hash.update(&content.data);
    }
    let mut digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(HASH_DIGITS);
    digits
}

/// Puts a file in place of one that may be read at the same time.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut new, content)?;
    // A temporary file is for its owner alone; the web server may be another user.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(new.path(), readable)?;
    new.persist(file).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_names_assets_that_are_there_and_has_no_inline_script() {
        let directory = tempfile::tempdir().unwrap();
        let written = write(directory.path()).unwrap();
        assert_eq!(write(directory.path()).unwrap(), written, "the same content has the same path");
        let shell = fs::read_to_string(&written.shell).unwrap();
        assert!(!shell.contains('{'), "everything is filled in");
        assert!(shell.contains("default-src 'none'; script-src 'self'; style-src 'self'"));
        let named: Vec<&str> = shell.split('"').filter_map(|part| part.strip_prefix("/assets/")).collect();
        assert!(named.len() >= 3, "{named:?}");
        for name in named {
            assert!(directory.path().join("assets").join(name).is_file(), "{name}");
        }
        let scripts: Vec<&str> = shell.split("<script").skip(1).collect();
        assert!(scripts.iter().all(|script| script.contains("src=") && script.contains("></script>")));
        assert!(!written.assets.join(SHELL).exists());
    }
}
