//! What all engines have in common: a folder, a port, and a process of an ordinary user.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use socket2::{Domain, Socket, Type};

/// How long an engine may take to start, or to do what it is asked for.
const DEADLINE: Duration = Duration::from_secs(30);

/// The user that engines run as when the test runs as root: PostgreSQL refuses root.
const USER: &str = "nobody";

/// A folder that belongs to the user of the engines; it is removed with the value.
pub struct Home(PathBuf);

impl Home {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("evenkeel-engine-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        if geteuid().is_root() {
            run(Command::new("chown").arg(USER).arg(&path));
        }
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that the engine alone may read; returns its path.
    pub fn write_secret(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            run(Command::new("chown").arg(USER).arg(&path));
        }
        path.to_str().unwrap().to_owned()
    }

    /// The end of a log in it, for messages.
    pub fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port of 127.0.0.1 that stays free while an engine is down.
pub struct Place {
    _reservation: Socket,
    pub port: u16,
}

impl Place {
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Two sockets may share a port with SO_REUSEADDR as long as only one of them listens.
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self { _reservation: socket, port }
    }
}

/// A process and its children.
pub struct Engine(Child);

impl Engine {
    /// Starts a program as the user of the engines, with its output in a log below `home`.
    pub fn start(home: &Home, log: &str, program: &Path, arguments: &[&str]) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(home.path().join(log)).unwrap();
        let mut command = ordinary(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display())))
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }

    /// Sends a signal to it and its children.
    pub fn signal_all(&self, signal: Signal) {
        let children = self.children();
        self.signal(signal);
        for child in children {
            let _ = kill_process(child, signal);
        }
    }

    fn children(&self) -> Vec<Pid> {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
    }

    /// Ends it as a crash does, and waits until it and its children are gone: PostgreSQL does not start beside any of them.
    pub fn kill(&mut self) {
        // It makes no further child from here on.
        self.signal(Signal::STOP);
        let children = self.children();
        self.signal(Signal::KILL);
        for child in &children {
            let _ = kill_process(*child, Signal::KILL);
        }
        let _ = self.0.wait();
        wait_for("the children of an engine end", || children.iter().all(|child| is_gone(*child)));
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) {
        wait_for("an engine ends", || !self.is_running());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// True if a process has ended, whether or not its parent has taken note of that.
fn is_gone(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    // The name before the state is in parentheses, and may hold any.
    stat.ok().is_none_or(|stat| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X'])))
}

/// A program of an ordinary user that ends with the thread that starts it.
pub fn ordinary(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if geteuid().is_root() {
        command.args([&format!("--reuid={USER}"), "--regid=nogroup", "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// Runs a command to its end; what it says.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.trim().to_owned()
}

/// Waits for a condition.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Seconds since midnight of a time such as `13:01:02.345`.
pub fn time_of_day(text: &str) -> Option<f64> {
    let mut parts = text.split(':').map(|part| part.parse::<f64>().ok());
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}
