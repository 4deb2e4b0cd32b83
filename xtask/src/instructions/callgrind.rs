//! Valgrind's counter of instructions: how a program runs under it, and how it is read while the program runs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::bench::install;
use crate::bench::machine;

/// How long a proxy gets to put away the connections that the clients have closed and to write its log.
const SETTLES: Duration = Duration::from_millis(300);
/// Lines of a profile at most.
const LINES_MAX: usize = 80;

/// The programs of the package `valgrind`.
pub struct Tools {
    valgrind: PathBuf,
    vgdb: PathBuf,
    annotate: PathBuf,
}

impl Tools {
    /// Finds them.
    ///
    /// # Errors
    /// One is missing.
    pub fn find() -> anyhow::Result<Self> {
        let found = |name: &str| install::find(name).with_context(|| format!("{name} is not installed"));
        Ok(Self {
            valgrind: found("valgrind")?,
            vgdb: found("vgdb")?,
            annotate: found("callgrind_annotate")?,
        })
    }

    /// Name and version.
    pub fn version(&self) -> String {
        machine::first_line(Command::new(&self.valgrind).arg("--version"))
    }

    /// The command that runs a program with its instructions counted; the counts of all threads are added up.
    pub fn runner(&self, dir: &Path) -> Vec<OsString> {
        let mut out = OsString::from("--callgrind-out-file=");
        out.push(dir.join("callgrind.%p"));
        [self.valgrind.clone().into(), "--tool=callgrind".into(), out].into()
    }

    /// The functions that take most in `profile`, most first.
    ///
    /// # Errors
    /// `callgrind_annotate` fails.
    pub fn annotate(&self, profile: &Path) -> anyhow::Result<String> {
        let mut command = Command::new(&self.annotate);
        let output = command.args(["--auto=no", "--threshold=100"]).arg(profile).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "callgrind_annotate: {errors}");
        Ok(functions(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// What is of use of `annotated`. A function that was entered before the counting began, such as that of a thread, is listed with all
/// that it has called since, which is everything.
fn functions(annotated: &str) -> String {
    let is_whole = |line: &&str| line.contains("(100.0%)") && !line.ends_with("PROGRAM TOTALS");
    let lines = annotated.lines().filter(|line| !line.is_empty() && !is_whole(line));
    lines.take(LINES_MAX).collect::<Vec<_>>().join("\n")
}

/// Counts the instructions of one process that runs under callgrind.
pub struct Counter<'a> {
    tools: &'a Tools,
    process: u32,
    dir: &'a Path,
}

impl<'a> Counter<'a> {
    /// The counter of `process`, which the [runner](Tools::runner) for `dir` has started.
    pub fn attach(tools: &'a Tools, process: u32, dir: &'a Path) -> Self {
        Self { tools, process, dir }
    }

    /// Forgets what was counted so far.
    ///
    /// # Errors
    /// The process is gone.
    pub fn zero(&mut self) -> anyhow::Result<()> {
        std::thread::sleep(SETTLES);
        self.tell("zero")
    }

    /// The instructions since the last call of this or of [`zero`](Self::zero), and the profile that they are from.
    ///
    /// # Errors
    /// The process is gone, or callgrind wrote no profile.
    pub fn take(&mut self) -> anyhow::Result<(u64, PathBuf)> {
        for file in self.profiles()? {
            fs::remove_file(file)?;
        }
        std::thread::sleep(SETTLES);
        self.tell("dump")?;
        let profile = self.profiles()?.pop().context("callgrind wrote no profile")?;
        let text = fs::read_to_string(&profile)?;
        let total = total(&text).with_context(|| format!("{} has no total", profile.display()))?;
        Ok((total, profile))
    }

    fn tell(&self, what: &str) -> anyhow::Result<()> {
        let mut command = Command::new(&self.tools.vgdb);
        let output = command.args([&format!("--pid={}", self.process), what]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "vgdb: {what}: {errors}");
        Ok(())
    }

    /// The files of this process that were written on demand; each has a number after the process's.
    fn profiles(&self) -> anyhow::Result<Vec<PathBuf>> {
        let start = format!("callgrind.{}.", self.process);
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&start) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// All instructions of a profile.
fn total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_called_everything_is_not_shown() {
        let [total, whole] = ["334,496,994 (100.0%)  PROGRAM TOTALS", "334,496,227 (100.0%)  clone.S:clone"];
        let function = " 13,994,810 ( 4.18%)  memmove.S:memcpy";
        assert_eq!(functions(&[total, "", whole, whole, function].join("\n")), [total, function].join("\n"));
    }

    #[test]
    fn the_total_of_a_profile_is_read() {
        assert_eq!(
            total("events: Ir\nsummary: 17\nfn=(1) main\n1 2\ntotals: 374256897\n"),
            Some(374_256_897)
        );
        assert_eq!(total("events: Ir\n"), None);
    }
}
