//! Programs that this process starts, and that end with it, however it ends.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
}

/// How a program is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// Its file.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [&'a OsStr],
    /// Where what it writes to standard output and standard error is appended.
    pub log: &'a Path,
}

impl Program {
    /// Starts a program. It is in a process group of its own, so that Ctrl-C in a terminal does not end it before its turn.
    ///
    /// To be called on a thread that lives as long as this process: the kernel kills the program when the thread ends.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn start(start: &Start<'_>) -> anyhow::Result<Self> {
        let Start { name, program, arguments, log } = start;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{} cannot be opened", log.display()))?;
        let mut command = Command::new(this_program()?);
        command
            .args(["child", "--parent", &std::process::id().to_string(), "--"])
            .arg(program)
            .args(*arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("the log cannot be shared")?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: (*name).to_owned(), child })
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The kernel does not say.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.wait().await.with_context(|| format!("{} cannot be waited for", self.name))
    }

    /// Asks it to end, waits for that, and kills it if it has not ended within `time_max`.
    ///
    /// # Errors
    /// It had to be killed.
    pub async fn end(mut self, time_max: Duration) -> anyhow::Result<()> {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // It may have ended by itself.
        let Some(id) = id else { return Ok(()) };
        kill_process(id, Signal::TERM).with_context(|| format!("{} cannot be asked to end", self.name))?;
        if timeout(time_max, self.child.wait()).await.is_ok() {
            return Ok(());
        }
        self.child.kill().await.with_context(|| format!("{} cannot be killed", self.name))?;
        bail!("{} was killed, because it had not ended within {} s", self.name, time_max.as_secs());
    }
}

/// This program's own file, also when a new build has taken its place.
fn this_program() -> anyhow::Result<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return Ok(link.to_owned());
    }
    std::env::current_exe().context("the path of this program is not known")
}
