//! A watchdog for a program that must prove that it lives, or be ended: what `/dev/watchdog` is for a machine.
//!
//! Patroni holds the lock of the primary in etcd for 20 seconds after it last said so. If it hangs for longer, another node becomes
//! the primary, and Patroni 3.0 takes the lock back when it goes on, without a look at who has it: two primaries, and what the second
//! one has acknowledged is lost. So Patroni wants a watchdog that resets the machine before the lock ends. This one ends the
//! processes of one node. Patroni writes to it as to the device, by its driver `testing`, for which a named pipe is enough.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;

/// How often to look whether time is up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The longest that a program may set.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Characters of a command, at most.
const COMMAND_MAX: usize = 64;

/// What the program has said so far.
#[derive(Debug, Default)]
struct Said {
    /// How long it may be silent; `None` while the watchdog is off.
    timeout: Option<Duration>,
    /// When it last said that it lives.
    alive: Option<Instant>,
    /// A command that has begun: `Ctimeout=15`, up to its line end.
    command: Option<String>,
}

impl Said {
    fn hear(&mut self, byte: u8, now: Instant) {
        if let Some(command) = &mut self.command {
            if byte != b'\n' {
                if command.len() < COMMAND_MAX {
                    command.push(char::from(byte));
                }
                return;
            }
            let seconds = command.strip_prefix("timeout=").and_then(|seconds| seconds.parse().ok());
            self.timeout = seconds.map(|seconds| Duration::from_secs(seconds).min(TIMEOUT_MAX));
            (self.command, self.alive) = (None, Some(now));
            return;
        }
        match byte {
            b'C' => self.command = Some(String::new()),
            // Without this before the end, the watchdog stays on.
            b'V' => self.timeout = None,
            _ => self.alive = Some(now),
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        let silent = self.alive.map(|alive| now.saturating_duration_since(alive));
        matches!((silent, self.timeout), (Some(silent), Some(timeout)) if silent > timeout)
    }
}

/// Makes the pipe if it does not exist.
///
/// # Errors
/// The folder does not exist, or may not be written.
pub fn make(pipe: &Path) -> anyhow::Result<()> {
    match mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("the pipe {} cannot be made", pipe.display())),
    }
}

/// Calls `fire` once if the program sets a timeout and is then silent for longer.
///
/// # Errors
/// The pipe cannot be opened.
pub fn watch(pipe: &Path, fire: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    // With a writer of its own the pipe never ends, and the program never waits for a reader.
    let opened = OpenOptions::new().read(true).write(true).open(pipe);
    let mut file: File = opened.with_context(|| format!("the pipe {} cannot be opened", pipe.display()))?;
    let said = Arc::<Mutex<Said>>::default();
    let heard = Arc::clone(&said);
    thread::Builder::new().name("watchdog".into()).spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = file.read(&mut bytes) {
            let mut said = heard.lock().unwrap_or_else(PoisonError::into_inner);
            bytes[..count].iter().for_each(|byte| said.hear(*byte, Instant::now()));
        }
    })?;
    thread::Builder::new().name("watchdog-timer".into()).spawn(move || {
        while !said.lock().unwrap_or_else(PoisonError::into_inner).is_late(Instant::now()) {
            thread::sleep(LOOK_EVERY);
        }
        fire();
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, now: Instant) -> Said {
        let mut said = Said::default();
        text.bytes().for_each(|byte| said.hear(byte, now));
        said
    }

    #[test]
    fn a_program_that_is_silent_for_too_long_is_late() {
        let now = Instant::now();
        let check = |text: &str, seconds, expected| {
            assert_eq!(
                said(text, now).is_late(now + Duration::from_secs(seconds)),
                expected,
                "{text:?} {seconds}"
            );
        };
        check("", 100, false);
        check("1", 100, false);
        check("Ctimeout=15\n", 14, false);
        check("Ctimeout=15\n", 16, true);
        check("Ctimeout=15\n111", 16, true);
        check("Ctimeout=15\n1V", 100, false);
        check("Ctimeout=15\n1VCtimeout=3\n1", 4, true);
        // What it does not understand switches it off, so that nothing is ended by mistake.
        check("Ctimeout=soon\n1", 100, false);
    }
}
