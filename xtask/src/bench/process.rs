//! Child processes that cannot outlive the measurement, and the cores they are pinned to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take until it serves; under valgrind that is some seconds.
const READY: Duration = Duration::from_secs(30);
/// How long a process may take to leave before it is killed.
const LEAVE: Duration = Duration::from_secs(3);

/// Cores, as `taskset` takes them: `0` or `1,2,3`. `None` is wherever the kernel likes.
pub type Cores = Option<String>;

/// A running child; ended when dropped.
pub struct Process {
    child: Child,
    name: String,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts `command` on `cores`; what it prints goes to files in `dir`.
    ///
    /// # Errors
    /// `dir` is not writable, or setpriv (util-linux) is missing.
    pub fn start(name: &str, command: &Command, cores: &Cores, dir: &Path) -> anyhow::Result<Self> {
        let output = dir.join(format!("{name}.out"));
        let errors = dir.join(format!("{name}.err"));
        // setpriv and taskset replace themselves, so the child's id is the program's own. The death
        // signal covers what no destructor does: a measurement that is itself killed.
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "TERM"]);
        if let Some(cores) = cores {
            wrapped.args(["taskset", "-c", cores]);
        }
        wrapped.arg(command.get_program()).args(command.get_args());
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(File::create(&errors)?);
        let child = wrapped.spawn().context("cannot start setpriv (package util-linux)")?;
        Ok(Self { child, name: name.into(), output, errors })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready`, at most [`READY`].
    ///
    /// # Errors
    /// It ended or is not ready in time; with the last lines that it printed.
    pub fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.last_lines());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {READY:?}:\n{}", self.name, self.last_lines());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for the end, at most `limit`, and yields what it printed.
    ///
    /// # Errors
    /// It failed, or is not done in time.
    pub fn finish(mut self, limit: Duration) -> anyhow::Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(fs::read_to_string(&self.output)?),
                Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.last_lines()),
                None if Instant::now() > deadline => bail!("{} is not done after {limit:?}", self.name),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (Ok(None), Ok(id)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            // Asked first, so that nginx's master takes its workers along.
            if let Some(pid) = Pid::from_raw(id) {
                let _ = kill_process(pid, Signal::TERM);
            }
            let deadline = Instant::now() + LEAVE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Which cores the proxies and the load run on.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The proxy.
    pub proxy: Cores,
    /// Load generator and origin servers.
    pub load: Cores,
}

impl Layout {
    /// The first `workers` of the usable `cores` for the proxy and the others for the load, if that leaves
    /// twice as many for the load; unpinned otherwise. One worker makes do with one core for the load.
    pub fn choose(cores: &[usize], workers: usize) -> Self {
        let spare = cores.len().saturating_sub(workers);
        if spare == 0 || (workers > 1 && spare < 2 * workers) {
            return Self { proxy: None, load: None };
        }
        let list = |cores: &[usize]| Some(cores.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        Self { proxy: list(&cores[..workers]), load: list(&cores[workers..]) }
    }

    /// True when proxy and load do not share a core.
    pub fn pinned(&self) -> bool {
        self.proxy.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_core_is_shared_only_when_there_are_too_few() {
        let layout = |cores: &[usize], workers| {
            let Layout { proxy, load } = Layout::choose(cores, workers);
            (proxy.unwrap_or_default(), load.unwrap_or_default())
        };
        assert_eq!(layout(&[0, 1], 1), ("0".into(), "1".into()));
        assert_eq!(layout(&[2, 5, 7], 1), ("2".into(), "5,7".into()));
        assert_eq!(layout(&[0], 1), (String::new(), String::new()));
        assert_eq!(layout(&[0, 1], 2), (String::new(), String::new()));
        assert_eq!(layout(&[0, 1, 2, 3, 4, 5], 2), ("0,1".into(), "2,3,4,5".into()));
    }

    #[test]
    fn a_child_ends_with_its_guard_and_its_last_words_are_kept() {
        let dir = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 42"]);
        let done = Process::start("echo", &shell, &None, &dir).unwrap();
        assert_eq!(done.finish(Duration::from_secs(10)).unwrap(), "42\n");

        let mut shell = Command::new("sh");
        shell.args(["-c", "echo port in use >&2; exit 3"]);
        let mut broken = Process::start("broken", &shell, &None, &dir).unwrap();
        assert!(broken.wait_until(|| false).unwrap_err().to_string().contains("port in use"));

        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let sleeper = Process::start("sleep", &sleep, &None, &dir).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", sleeper.id()));
        assert!(proc.exists());
        drop(sleeper);
        assert!(!proc.exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
