//! How a process ends: asked, killed, dropped.

use minigram::process::{Ports, Process, Program};
use rustix::process::Signal;
use std::time::Duration;

use super::{DEADLINE, eventually, member_in, shell, wait_gone};

#[tokio::test]
async fn a_process_that_is_asked_to_end_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let process = Process::start(&shell(folder.path(), script)).unwrap();
    let log = folder.path().join("log");
    let is_ready = || async { std::fs::read_to_string(&log).unwrap().contains("ready") };
    process.wait_until("it is ready", DEADLINE, is_ready).await.unwrap();
    assert!(process.is_running());
    assert!(process.stop(DEADLINE).await);
    assert_eq!(process.status().unwrap().code(), Some(7));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\nbye\n");
}

#[tokio::test]
async fn a_process_that_does_not_end_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("child");
    let script = format!("trap '' TERM; sleep 1000 & echo $! > {}; while :; do wait; done", file.display());
    let process = Process::start(&shell(folder.path(), &script)).unwrap();
    let child = member_in(&file);
    assert!(!process.stop(Duration::from_millis(100)).await);
    wait_gone(child);
}

#[tokio::test]
async fn a_dropped_process_is_gone_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
    let process = Process::start(&shell(folder.path(), &script)).unwrap();
    let child = member_in(&file);
    drop(process);
    assert!(!child.is_alive());
}

/// Its first thread has ended, which `/proc` shows as if the process had; another one still runs, and holds its files.
#[tokio::test]
async fn a_process_runs_until_its_last_thread_has_ended() {
    const SCRIPT: &str = "import ctypes, os, threading, time
threading.Thread(target=lambda: time.sleep(1000)).start()
open('id', 'w').write(f'{os.getpid()}\\n')
ctypes.CDLL(None).pthread_exit(None)";
    let folder = tempfile::tempdir().unwrap();
    let python = Program::new("python", "/usr/bin/env", folder.path().join("log"));
    let process =
        Process::start(&python.args(["-C", folder.path().to_str().unwrap(), "python3", "-c", SCRIPT]))
            .unwrap();
    let member = member_in(&folder.path().join("id"));
    let stat = format!("/proc/{}/stat", member.id.as_raw_nonzero());
    eventually("the first thread ends", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));

    assert!(member.is_alive());
    member.signal(Signal::KILL);
    wait_gone(member);
    assert!(!process.is_running());
}

#[tokio::test]
async fn a_process_that_ends_early_is_an_error_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&shell(folder.path(), "echo no such disk >&2; exit 4")).unwrap();
    let never = || async { false };
    let error = process.wait_until("it takes requests", DEADLINE, never).await.unwrap_err().to_string();
    assert!(error.contains("before it takes requests") && error.contains("no such disk"), "{error}");
}

#[test]
fn ports_differ_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::open(&folder.path().join("ports"));
    assert_ne!(ports.port("a").unwrap(), ports.port("b").unwrap());
}
