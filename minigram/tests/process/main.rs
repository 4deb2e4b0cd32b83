//! Processes that MiniGram starts: they end in order, and nothing of them stays behind.
#![allow(clippy::unwrap_used)]

mod ending;
mod keeper;

use std::path::Path;
use std::time::{Duration, Instant};

use minigram::process::Program;
use minigram::process::tree::Member;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A shell that runs a script; its output is in `log` below `folder`.
fn shell(folder: &Path, script: &str) -> Program {
    Program::new("shell", "/bin/sh", folder.join("log")).args(["-c", script])
}

/// Waits until a file holds a process id; the process.
fn member_in(file: &Path) -> Member {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(id) =
            text.strip_suffix('\n').and_then(|id| rustix::process::Pid::from_raw(id.parse().ok()?))
        {
            return Member::find(id).expect("the process lives");
        }
        assert!(begun.elapsed() < DEADLINE, "no process id in {}", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a process has ended.
#[track_caller]
fn wait_gone(member: Member) {
    assert!(minigram::process::tree::wait_gone(&[member], DEADLINE), "{member:?} still runs");
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
