//! The user that engines run as when root starts them, because PostgreSQL refuses root.

use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::geteuid;

/// Users that are looked for, the best first. The first comes with PostgreSQL's package, the second with every Linux.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user without privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name, as in `/etc/passwd`.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
}

impl User {
    /// The user for engines: none if this process is an ordinary user's already, else `name`, or the first candidate that exists.
    ///
    /// # Errors
    /// There is no such user.
    pub fn for_engines(name: Option<&str>) -> anyhow::Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        if let Some(name) = name {
            return Ok(Some(Self::find(name).with_context(|| format!("user {name}"))?));
        }
        let found = CANDIDATES.iter().find_map(|name| Self::find(name).ok());
        found.map(Some).context("PostgreSQL does not run as root, and there is no user postgres or nobody")
    }

    /// Looks a user up.
    fn find(name: &str) -> anyhow::Result<Self> {
        let (uid, gid) = (number("-u", name)?, number("-g", name)?);
        if uid == 0 {
            bail!("{name} is root");
        }
        Ok(Self { name: name.to_owned(), uid, gid })
    }

    /// Makes this user the owner of a file or folder.
    ///
    /// # Errors
    /// The file does not exist, or this process may not change owners.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }
}

/// Asks `id`, which knows users of every source that the system has.
fn number(option: &str, name: &str) -> anyhow::Result<u32> {
    let output = Command::new("id").args([option, "--", name]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("there is no user {name}"))
}
