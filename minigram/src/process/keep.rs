//! `minigram keep`: a parent for a program whose children leave it, so that none of them outlives the process that wanted them.
//!
//! Patroni starts PostgreSQL as a daemon. If `minigram up` is killed, the kernel ends Patroni, and PostgreSQL would stay. The keeper
//! adopts such daemons (a child subreaper). It ends all of them when its program ends, or when its standard input closes, which
//! happens when the process that started the keeper dies, however it dies.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, wait,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{tree, watchdog};

/// How long the kernel may take to end what was killed.
const KILL_BOUND: Duration = Duration::from_secs(5);
/// Between two looks for processes that are left.
const PAUSE: Duration = Duration::from_millis(5);
/// The exit code if something outlives its kill.
const OUTLIVED: i32 = 4;
/// The exit code after the process that wanted the program has died.
const ABANDONED: i32 = 3;

/// Runs a command with its arguments, and ends this process with its exit code when nothing of it is left. The command may set a
/// watchdog by the pipe `watched`; if it is then silent for too long, it is killed with everything that it started.
///
/// # Errors
/// The program cannot be started.
pub fn keep(command: &[OsString], watched: Option<&Path>) -> anyhow::Result<Infallible> {
    let (program, arguments) = command.split_first().context("keep: no program")?;
    set_child_subreaper(Some(getpid())).context("cannot adopt processes")?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        // When the process that wanted the keeper dies, the kernel sends SIGHUP to the keeper's group if one of it is stopped, as the
        // program is while the keeper ends it.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let main = Pid::from_child(&child);
    if let Some(pipe) = watched {
        watchdog::watch(pipe, || {
            eprintln!("keep: the program has not fed its watchdog in time, and is killed");
            drop(end_all());
        })?;
    }
    thread::Builder::new().name("lifeline".into()).spawn(end_with_parent)?;
    thread::Builder::new().name("signals".into()).spawn(move || pass_on(main))?;
    let code = reap_until(main)?;
    end_with(code)
}

/// Ends everything that was started or adopted. While a thread has the result, no other thread ends anything.
fn end_all() -> MutexGuard<'static, ()> {
    static ENDING: Mutex<()> = Mutex::new(());
    let alone = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    let left = tree::kill_descendants(getpid());
    tree::wait_gone(&left, KILL_BOUND);
    alone
}

/// Ends everything, then this process. No other thread may end anything from then on: those that it had only stopped by then would
/// stay stopped. The kernel's list of children may leave some out while others end, so the last word has `wait`, which knows when there
/// are none.
fn end_with(code: i32) -> ! {
    let _alone = end_all();
    let begun = Instant::now();
    while has_children() {
        if begun.elapsed() > KILL_BOUND {
            eprintln!("keep: processes outlive their kill");
            std::process::exit(OUTLIVED);
        }
        tree::kill_descendants(getpid());
        thread::sleep(PAUSE);
    }
    std::process::exit(code);
}

/// True while there is a child whose end this process has not taken note of.
fn has_children() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Waits for the program, and takes note of the end of every process that was adopted: Patroni believes that a zombie runs.
fn reap_until(main: Pid) -> anyhow::Result<i32> {
    loop {
        let ended = match wait(WaitOptions::empty()) {
            Err(Errno::INTR) => continue,
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
    end_with(ABANDONED)
}

/// Passes on requests to end.
fn pass_on(main: Pid) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime.inspect_err(|error| eprintln!("keep: cannot take signals: {error}")) else {
        return;
    };
    runtime.block_on(async {
        let (Ok(mut end), Ok(mut interrupt), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            eprintln!("keep: cannot take signals");
            return;
        };
        loop {
            let (_, signal) = tokio::select! {
                it = end.recv() => (it, Signal::TERM),
                it = interrupt.recv() => (it, Signal::INT),
                it = hangup.recv() => (it, Signal::TERM),
            };
            // Its number is not given to another process, because this process ends right after it.
            let _ = kill_process(main, signal);
        }
    });
}
