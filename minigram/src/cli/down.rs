//! `minigram down`: ends a running `minigram up`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use minigram::up::state::{Ended, State, default_directory};

/// How long everything may take to end in order before it is killed.
const END_TIME_MAX: Duration = Duration::from_secs(30);

/// Ends what `minigram up` started in a state directory, and returns when nothing of it runs.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// The state directory that `minigram up` got.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
}

impl Down {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match State::end(&self.state, END_TIME_MAX)? {
            Ended::NotRunning => println!("nothing runs in {}", self.state.display()),
            Ended::InOrder(process) => println!("process {process} has ended"),
            Ended::Killed(process) => println!(
                "process {process} was killed, because it had not ended within {} s",
                END_TIME_MAX.as_secs()
            ),
        }
        Ok(ExitCode::SUCCESS)
    }
}
