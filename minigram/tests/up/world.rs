//! A running system for a test: started by the binary, ended with the test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use minigram::up::running::Running;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use crate::evenkeel::evenkeel;

/// The longest that a condition may take. A machine that is busy with builds needs much of it.
pub const DEADLINE: Duration = Duration::from_secs(90);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` returns something.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(LOOK_EVERY);
    }
}

/// `minigram up`, and what it started.
pub struct World {
    pub running: Running,
    child: Child,
    state: TempDir,
    arguments: Vec<String>,
}

impl World {
    /// Starts a new system with few photos, and returns when it is ready.
    pub fn up() -> Self {
        Self::up_with(&[])
    }

    /// The same with further arguments.
    pub fn up_with(arguments: &[&str]) -> Self {
        let mut world = Self::up_by(|state| {
            let mut up = up(state);
            up.args(arguments);
            up
        });
        world.arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        world
    }

    /// The same by another command, which is given a state directory.
    pub fn up_by(command: impl FnOnce(&Path) -> Command) -> Self {
        // PostgreSQL runs as another user, who must be able to enter it.
        let state = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let child = command(state.path()).spawn().unwrap();
        let mut world = Self { running: unknown(), child, state, arguments: Vec::new() };
        world.wait_until_ready();
        world
    }

    /// Starts it once more with the same arguments, after it has ended.
    pub fn restart(&mut self) {
        self.child = up(self.state.path()).args(&self.arguments).spawn().unwrap();
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        self.running = eventually("the system is ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let said = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
                panic!("minigram up ended ({status}):\n{said}");
            }
            Running::read(self.state.path()).ok()
        });
        println!("minigram up was ready after {:.1} s", begun.elapsed().as_secs_f64());
    }

    pub fn state(&self) -> &Path {
        self.state.path()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until `minigram up` has ended.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("minigram up ends", || self.child.try_wait().unwrap())
    }

    /// What runs with files of this system: its processes, by what `/proc` says of their command lines.
    pub fn processes(&self) -> Vec<String> {
        let state = self.state.path().to_str().unwrap().to_owned();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&state) {
                found.push(line);
            }
        }
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Evenkeel ends with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `minigram up` in a state directory.
pub fn up(state: &Path) -> Command {
    let mut command = up_of(env!("CARGO_BIN_EXE_minigram").as_ref(), state);
    command.args(["--photos", "6", "--evenkeel"]).arg(evenkeel());
    command
}

/// `up` of this program, which finds Evenkeel by itself.
pub fn up_of(program: &Path, state: &Path) -> Command {
    let mut command = program_at(program);
    command.args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state"]);
    command.arg(state);
    command
}

/// The program, whose messages are read.
pub fn minigram() -> Command {
    program_at(env!("CARGO_BIN_EXE_minigram").as_ref())
}

fn program_at(file: &Path) -> Command {
    let mut command = Command::new(file);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command prints that must succeed.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Before a system is ready.
fn unknown() -> Running {
    let nowhere = ([0, 0, 0, 0], 0).into();
    Running {
        address: nowhere,
        admin: nowhere,
        admin_token: PathBuf::new(),
        evenkeel: 0,
        minigram: 0,
        servers: Vec::new(),
    }
}
