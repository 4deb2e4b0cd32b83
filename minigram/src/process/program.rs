//! What to start, and how.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::user::User;

/// Beginnings of the names of variables that a program does not inherit.
const FOREIGN: [&[u8]; 3] = [b"PG", b"PATRONI_", b"ETCD"];

/// A program with its arguments, its user, and the log that takes its output.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    directory: Option<PathBuf>,
    user: Option<User>,
    keeper: Option<PathBuf>,
    watchdog: Option<PathBuf>,
    log: PathBuf,
}

impl Program {
    /// A program, the name by which messages call it, and the file to which its output is appended.
    pub fn new(name: &str, path: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            user: None,
            keeper: None,
            watchdog: None,
            log: log.into(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment, beside those of this process.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder in which it starts.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The user that it runs as; `None` for that of this process.
    #[must_use]
    pub fn user(mut self, user: Option<&User>) -> Self {
        self.user = user.cloned();
        self
    }

    /// Has `minigram keep` watch it, because its children leave it. `minigram` is the path of the program with that command.
    #[must_use]
    pub fn kept(mut self, minigram: impl Into<PathBuf>) -> Self {
        self.keeper = Some(minigram.into());
        self
    }

    /// The named pipe by which it feeds its watchdog: see [`super::watchdog`]. It needs a keeper.
    #[must_use]
    pub fn watchdog(mut self, pipe: impl Into<PathBuf>) -> Self {
        self.watchdog = Some(pipe.into());
        self
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that takes its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// True if a keeper watches it.
    pub fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// The command that starts it in a process group of its own, so that Ctrl-C in a terminal does not reach it, and this
    /// process decides when it ends.
    pub(super) fn command(&self) -> io::Result<Command> {
        let mut command = match &self.keeper {
            Some(keeper) => {
                let mut command = Command::new(keeper);
                command.arg("keep").stdin(Stdio::piped());
                command.args(self.watchdog.iter().flat_map(|pipe| ["--watchdog".as_ref(), pipe.as_os_str()]));
                command.args(["--", "setpriv"]);
                command
            }
            None => {
                let mut command = Command::new("setpriv");
                command.stdin(Stdio::null());
                command
            }
        };
        command.args(["--pdeathsig", "KILL"]);
        if let Some(User { name, uid, gid }) = &self.user {
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
            command.env("HOME", "/nonexistent").env("USER", name);
        }
        command.arg("--").arg(&self.path).args(&self.arguments);
        // Variables such as PGPASSWORD, which a user has set for other servers, go before what a configuration says.
        for (name, _) in std::env::vars_os() {
            if FOREIGN.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.directory.as_deref().unwrap_or(Path::new("/")));
        let log: File = OpenOptions::new().create(true).append(true).open(&self.log)?;
        command.stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(command)
    }
}
