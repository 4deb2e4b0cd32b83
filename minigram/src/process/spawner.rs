//! The thread that starts processes. The kernel ends a process with the thread that started it, so that thread must live long.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Commands that wait for the thread. Callers block beyond that.
const WAITING_MAX: usize = 64;

type Job = (Command, SyncSender<io::Result<Child>>);

/// Starts a command on the thread that lives as long as this process.
///
/// # Errors
/// The program does not exist, or the machine has no room for a process.
pub fn spawn(command: Command) -> io::Result<Child> {
    static JOBS: OnceLock<SyncSender<Job>> = OnceLock::new();
    let (answer, child) = sync_channel(1);
    let jobs = JOBS.get_or_init(start);
    let ended = || io::Error::other("the thread that starts processes has ended");
    jobs.send((command, answer)).map_err(|_| ended())?;
    child.recv().map_err(|_| ended())?
}

fn start() -> SyncSender<Job> {
    let (jobs, work) = sync_channel::<Job>(WAITING_MAX);
    let run = move || {
        for (mut command, answer) in work {
            let _ = answer.send(command.spawn());
        }
    };
    // If there is no thread, its end of the channel is gone, and every `spawn` says so.
    let _ = thread::Builder::new().name("spawner".into()).spawn(run);
    jobs
}
