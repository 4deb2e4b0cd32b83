//! `minigram child`: how `minigram` starts other programs, so that they end with it even when it is killed.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Asks the kernel to kill this process when its parent ends, then becomes the program.
#[derive(Debug, clap::Args)]
pub struct Child {
    /// The process that must be the parent. If it has ended already, the program is not started.
    #[arg(long)]
    parent: u32,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl Child {
    /// Returns only if the program could not be started.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("the kernel does not tie the process to its parent")?;
        // The parent may have ended before the request above.
        let parent = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        ensure!(parent == Some(self.parent), "the parent process {} has ended", self.parent);
        let (program, arguments) = self.program.split_first().context("no program is named")?;
        let error = Command::new(program).args(arguments).exec();
        Err(error).with_context(|| format!("{} cannot be started", program.display()))
    }
}
