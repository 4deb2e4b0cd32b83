//! A program whose children leave it, as Patroni's do: the keeper has them.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use minigram::process::Process;
use minigram::process::tree::{Member, descendants, kill_descendants};
use rustix::process::{Pid, Signal};

use super::{DEADLINE, eventually, member_in, shell, wait_gone};

const MINIGRAM: &str = env!("CARGO_BIN_EXE_minigram");

/// Starts a daemon, which leaves session, group and parent, and writes its process id into a file.
fn daemon(file: &std::path::Path) -> String {
    let file = file.display();
    format!(
        "setsid sh -c '(echo $$ > {file}.new; mv {file}.new {file}; exec sleep 1000)' </dev/null & sleep 1000"
    )
}

#[tokio::test]
async fn a_daemon_ends_with_the_process_that_it_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon");
    let process = Process::start(&shell(folder.path(), &daemon(&file)).kept(MINIGRAM)).unwrap();
    let daemon = member_in(&file);
    assert!(process.descendants().contains(&daemon), "{:?}", process.descendants());
    assert!(process.stop(DEADLINE).await);
    assert!(!daemon.is_alive());
}

#[tokio::test]
async fn a_keeper_passes_on_the_request_to_end_and_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let process = Process::start(&shell(folder.path(), script).kept(MINIGRAM)).unwrap();
    let is_ready = || async { std::fs::read_to_string(&log).unwrap().contains("ready") };
    process.wait_until("it is ready", DEADLINE, is_ready).await.unwrap();
    assert!(process.stop(DEADLINE).await);
    assert_eq!(process.status().unwrap().code(), Some(7));
}

#[test]
fn a_daemon_ends_when_the_process_that_wanted_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon");
    let wanted = Wanted::start(&daemon(&file));
    let daemon = member_in(&file);
    wanted.kill();
    wait_gone(daemon);
}

#[test]
fn daemons_that_are_about_to_start_end_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let one = "(setsid sleep 1000 </dev/null >/dev/null &)";
    let wanted =
        Wanted::start(&format!("cd {at}; for i in $(seq 500); do {one}; : > begun; done; sleep 1000"));
    eventually("the first daemon", || folder.path().join("begun").exists());
    wanted.kill();
    eventually("no process works there any more", || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        !processes
            .filter_map(|it| std::fs::read_link(it.path().join("cwd")).ok())
            .any(|at| at.starts_with(folder.path()))
    });
}

#[test]
fn a_daemon_ends_although_the_program_is_stopped_when_its_keeper_becomes_an_orphan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon");
    let mut wanted = Wanted::start(&daemon(&file));
    let daemon = member_in(&file);
    let keeper = wanted.below("minigram");
    let program = descendants(keeper.id)[0];
    let writer = wanted.below("sleep");
    program.signal(Signal::STOP);
    // The kernel sends SIGHUP to a group that becomes an orphan while one of it is stopped.
    wanted.0.kill().unwrap();
    wanted.0.wait().unwrap();
    writer.signal(Signal::KILL);
    wait_gone(daemon);
    wait_gone(program);
    wait_gone(keeper);
}

/// A keeper with a program, and a shell that stands for `minigram up`: it has the other end of the keeper's standard input.
struct Wanted(Child);

impl Wanted {
    fn start(program: &str) -> Self {
        // With job control, the keeper has a process group of its own, as below `minigram up`.
        let script = format!("set -m; sleep 1000 | {MINIGRAM} keep -- sh -c \"$1\" & wait");
        let mut up = Command::new("bash");
        up.args(["-c", &script, "bash", program]).stdin(Stdio::null()).process_group(0);
        Self(up.spawn().unwrap())
    }

    /// Kills the writer of the keeper's standard input, which is the shell's child.
    fn kill(&self) {
        self.below("sleep").signal(Signal::KILL);
    }

    /// The first process with this program below the shell.
    fn below(&self, program: &str) -> Member {
        let below = descendants(Pid::from_child(&self.0));
        *below.iter().find(|it| it.program() == program).unwrap()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        kill_descendants(Pid::from_child(&self.0));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
