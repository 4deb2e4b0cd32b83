//! The state directory of the engines: who owns which folder, the passwords, and where logs go.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::process::{Program, User};

/// Bytes of randomness in a password.
const PASSWORD_BYTES: usize = 24;
/// A log that is larger than this is put aside when its program starts.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The state directory, and the user who owns the engines' part of it.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    user: Option<User>,
}

impl Layout {
    /// Makes the directory if need be. Engines need to enter it as another user, so its name is no secret; its files are.
    pub fn new(root: &Path, user: Option<User>) -> anyhow::Result<Self> {
        let make = || -> std::io::Result<PathBuf> {
            fs::create_dir_all(root)?;
            fs::set_permissions(root, Permissions::from_mode(0o755))?;
            let root = root.canonicalize()?;
            for name in ["logs", "secrets", "lost"] {
                fs::create_dir_all(root.join(name))?;
            }
            fs::set_permissions(root.join("secrets"), Permissions::from_mode(0o700))?;
            Ok(root)
        };
        let root =
            make().with_context(|| format!("the state directory {} cannot be made", root.display()))?;
        Ok(Self { root, user })
    }

    /// Fails if the engines' user may not enter the directory.
    pub fn check_access(&self) -> anyhow::Result<()> {
        self.check_access_to(&self.root)
    }

    /// Fails if the engines' user may not enter this directory.
    pub fn check_access_to(&self, directory: &Path) -> anyhow::Result<()> {
        let Some(User { name, uid, gid }) = &self.user else { return Ok(()) };
        let mut test = Command::new("setpriv");
        test.args([
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--clear-groups",
            "--",
            "test",
            "-x",
        ]);
        let status =
            test.arg(directory).stdin(Stdio::null()).status().context("setpriv cannot be started")?;
        ensure!(
            status.success(),
            "user {name}, as whom the engines run, may not enter {}: choose another one, such as one below /var/tmp",
            directory.display()
        );
        Ok(())
    }

    /// The state directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The user that engines run as; `None` for that of this process.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// A folder that belongs to the engines' user alone.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(name);
        self.folder_at(&path)?;
        Ok(path)
    }

    /// The same at any place.
    pub fn folder_at(&self, path: &Path) -> anyhow::Result<()> {
        let make = || -> std::io::Result<()> {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
            self.user.as_ref().map_or(Ok(()), |user| user.own(path))
        };
        make().with_context(|| format!("the folder {} cannot be made", path.display()))
    }

    /// Writes a file that the engines' user alone may read.
    pub fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            write_private(path, text)?;
            self.user.as_ref().map_or(Ok(()), |user| user.own(path))
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Gives a file to the engines' user.
    pub fn own(&self, path: &Path) -> anyhow::Result<()> {
        let owned = self.user.as_ref().map_or(Ok(()), |user| user.own(path));
        owned.with_context(|| format!("the owner of {} cannot be changed", path.display()))
    }

    /// The file of a password, which is made at the first start and read by this process's user alone.
    pub fn secret_file(&self, role: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join("secrets").join(role);
        if !path.is_file() {
            let mut bytes = [0; PASSWORD_BYTES];
            getrandom::fill(&mut bytes).context("the kernel gives no randomness")?;
            let mut text = String::new();
            for byte in bytes {
                write!(text, "{byte:02x}")?;
            }
            write_private(&path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(path)
    }

    /// The password of a role.
    pub fn secret(&self, role: &str) -> anyhow::Result<String> {
        let path = self.secret_file(role)?;
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// A program that writes its output to `logs/NAME.log`.
    pub fn program(&self, name: &str, path: impl Into<PathBuf>) -> Program {
        let log = self.root.join("logs").join(format!("{name}.log"));
        if fs::metadata(&log).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            // The one that was put aside before is replaced. If that fails, the log grows on.
            let _ = fs::rename(&log, log.with_extension("log.old"));
        }
        Program::new(name, path, log)
    }

    /// A program of the engines' user. Its log has times of UTC.
    pub fn engine(&self, name: &str, path: impl Into<PathBuf>) -> Program {
        self.program(name, path).user(self.user()).env("TZ", "UTC")
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}
