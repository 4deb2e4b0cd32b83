//! `minigram keep`: a parent for a program whose children leave it, so that none of them outlives the process that wanted them.
//!
//! Patroni starts PostgreSQL as a daemon. If `minigram up` is killed, the kernel ends Patroni, and PostgreSQL would stay. The keeper
//! adopts such daemons (a child subreaper). It ends all of them when its program ends, or when its standard input closes, which
//! happens when the process that started the keeper dies, however it dies.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, wait,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{tree, watchdog};

/// How long the kernel may take to end what was killed.
const KILL_BOUND: Duration = Duration::from_secs(5);
/// How often to look for processes that are left.
const ROUNDS_MAX: usize = 10;
/// The exit code after the process that wanted the program has died.
const ABANDONED: i32 = 3;

/// Runs a command with its arguments, and returns its exit code when nothing of it is left. The command may set a watchdog by the
/// pipe `watched`; if it is then silent for too long, it is killed with everything that it started.
///
/// # Errors
/// The program cannot be started.
pub fn keep(command: &[OsString], watched: Option<&Path>) -> anyhow::Result<i32> {
    let (program, arguments) = command.split_first().context("keep: no program")?;
    set_child_subreaper(Some(getpid())).context("cannot adopt processes")?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let main = Pid::from_child(&child);
    if let Some(pipe) = watched {
        watchdog::watch(pipe, || {
            eprintln!("keep: the program has not fed its watchdog in time, and is killed");
            end_all();
        })?;
    }
    thread::Builder::new().name("lifeline".into()).spawn(end_with_parent)?;
    thread::Builder::new().name("signals".into()).spawn(move || pass_on(main))?;
    let code = reap_until(main)?;
    ensure!(end_all(), "processes outlive their kill");
    Ok(code)
}

/// Ends everything that was started or adopted; false if something outlives that. One thread at a time: if the keeper ended while
/// another thread had only stopped the processes, they would stay so. It looks again until it finds none, because the kernel's list of
/// children may leave some out while others end.
fn end_all() -> bool {
    static ENDING: Mutex<()> = Mutex::new(());
    let _alone = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ROUNDS_MAX {
        let left = tree::kill_descendants(getpid());
        if left.is_empty() {
            return true;
        }
        tree::wait_gone(&left, KILL_BOUND);
    }
    false
}

/// Waits for the program, and takes note of the end of every process that was adopted: Patroni believes that a zombie runs.
fn reap_until(main: Pid) -> anyhow::Result<i32> {
    loop {
        let ended = match wait(WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            ended => ended.context("cannot wait for processes")?,
        };
        match ended {
            Some((id, status)) if id == main => return Ok(code(status)),
            _ => {}
        }
    }
}

/// As a shell reports it.
fn code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// Reads standard input to its end, then ends everything.
fn end_with_parent() {
    let mut bytes = [0; 64];
    let mut input = std::io::stdin().lock();
    while !matches!(input.read(&mut bytes), Ok(0) | Err(_)) {}
    end_all();
    std::process::exit(ABANDONED);
}

/// Passes on requests to end.
fn pass_on(main: Pid) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime.inspect_err(|error| eprintln!("keep: no signals: {error}")) else { return };
    runtime.block_on(async {
        let (Ok(mut end), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            eprintln!("keep: cannot take signals");
            return;
        };
        loop {
            let (_, signal) = tokio::select! {
                it = end.recv() => (it, Signal::TERM),
                it = interrupt.recv() => (it, Signal::INT),
            };
            // Its number is not given to another process, because this process ends right after it.
            let _ = kill_process(main, signal);
        }
    });
}
