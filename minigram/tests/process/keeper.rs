//! A program whose children leave it, as Patroni's do: the keeper has them.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use minigram::process::Process;
use rustix::process::{Pid, Signal, kill_process};

use super::{DEADLINE, member_in, shell, wait_gone};

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
    // The shell stands for `minigram up`: it has the other end of the keeper's standard input.
    let script = format!("sleep 1000 | {MINIGRAM} keep -- sh -c \"$1\" & wait");
    let mut up = Command::new("sh");
    up.args(["-c", &script, "sh", &daemon(&file)]).stdin(Stdio::null()).process_group(0);
    let mut up = up.spawn().unwrap();
    let daemon = member_in(&file);
    // The writer of the pipe is the shell's child.
    let writers = minigram::process::tree::descendants(Pid::from_child(&up));
    let writer = writers.iter().find(|it| it.program() == "sleep").unwrap();
    kill_process(writer.id, Signal::KILL).unwrap();
    wait_gone(daemon);
    let left = minigram::process::tree::kill_descendants(Pid::from_child(&up));
    let _ = up.kill();
    up.wait().unwrap();
    assert!(minigram::process::tree::wait_gone(&left, DEADLINE));
}
