//! A PostgreSQL primary and one streaming replica for tests, run by an ordinary user on free ports.
//!
//! A guard process ends the servers and removes their folder when the test's process ends, however that ends.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// The user that servers run as when the test runs as root: PostgreSQL refuses root.
const USER: &str = "nobody";

const SETTINGS: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_connections = 200
max_wal_size = 2GB
wal_keep_size = 256MB
wal_retrieve_retry_interval = 100ms
autovacuum = off
";

/// Ends when its input does: stops the servers below its first argument, and removes that folder.
const GUARD: &str = r#"cat >/dev/null
for pid in $(head -qn1 "$1"/*/postmaster.pid 2>/dev/null); do kill -QUIT "$pid"; done
for pid in $(head -qn1 "$1"/*/postmaster.pid 2>/dev/null); do
    n=0; while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
    kill -KILL "$pid" 2>/dev/null
done
rm -rf "$1""#;

/// A primary and its replica.
pub struct Cluster {
    /// The folder of both; the guard removes it.
    home: PathBuf,
    /// Begins as the primary.
    pub primary: Node,
    /// Begins as the replica.
    pub replica: Node,
    /// Kept open for the guard.
    _guard: (Child, ChildStdin),
}

/// One server.
pub struct Node {
    data: PathBuf,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Cluster {
    /// Starts both with further settings; returns when both take queries.
    pub fn start(settings: &str) -> Self {
        let home = TempDir::with_prefix("minigram-postgres-").unwrap().keep();
        if is_root() {
            run(Command::new("chown").arg(USER).arg(&home));
        }
        let mut guard = Command::new("setsid");
        guard.args(["sh", "-c", GUARD, "guard"]).arg(&home).stdin(Stdio::piped());
        let mut guard = guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pipe = guard.stdin.take().unwrap();

        let node = |name: &str| Node { data: home.join(name), port: free_port() };
        let (primary, replica) = (node("primary"), node("replica"));
        primary.initialize(settings);
        primary.start();
        replica.copy(&primary);
        replica.start();
        Self { home, primary, replica, _guard: (guard, pipe) }
    }

    /// Makes an empty database, and returns when the replica has it.
    pub fn database(&self, name: &str) {
        self.primary.query("postgres", &format!("CREATE DATABASE {name}"));
        let here = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        wait_for("the replica has the database", || self.replica.query("postgres", &here) == "1");
    }

    /// Where the servers are.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Node {
    /// Where to connect.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn initialize(&self, settings: &str) {
        let mut command = ordinary("initdb");
        command.arg("--pgdata").arg(&self.data);
        run(command.args(["--username", "postgres", "--auth", "trust", "--no-sync", "--locale", "C.UTF-8"]));
        let file = self.data.join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap() + SETTINGS + settings + "\n";
        fs::write(&file, text).unwrap();
    }

    fn copy(&self, from: &Self) {
        let mut command = ordinary("pg_basebackup");
        command.arg("--pgdata").arg(&self.data).args(["--host", "127.0.0.1", "--username", "postgres"]);
        command.args(["--port", &from.port.to_string(), "--write-recovery-conf", "--no-sync"]);
        run(command.args(["--checkpoint", "fast"]));
    }

    fn start(&self) {
        let mut command = ordinary("pg_ctl");
        command.arg("start").arg("--pgdata").arg(&self.data).arg("--log").arg(self.data.join("log"));
        let options = format!("-p {}", self.port);
        run(command.args(["--wait", "--timeout", "60", "--options", &options]));
    }

    /// Runs one statement as the superuser; the values of its rows, separated by `|`.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(program("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--host", "127.0.0.1"]);
        command.args(["--port", &self.port.to_string(), "--username", "postgres", "--dbname", database]);
        run(command.args(["--command", sql]))
    }

    /// Ends the server and its children as a crash does.
    pub fn kill(&self) {
        let file = fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap().to_owned();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        // Its children notice at once that it is gone, but may be in the middle of an answer.
        let mut kill = Command::new("kill");
        let _ = kill.arg("-KILL").arg(&pid).args(children.split_whitespace()).output().unwrap();
        wait_for("the server is gone", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }

    /// Makes a replica the primary; returns when it takes writes.
    pub fn promote(&self) {
        self.query("postgres", "SELECT pg_promote(true, 30)");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of PostgreSQL, as an ordinary user.
fn ordinary(name: &str) -> Command {
    if !is_root() {
        return Command::new(program(name));
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={USER}"), "--regid=nogroup", "--clear-groups"]).arg(program(name));
    command
}

/// Debian keeps the programs of the server out of the path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.into_iter().rev().chain(std::env::split_paths(&path));
    let found = all.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install postgresql-15"))
}

/// A port that nothing listens on. Another process can take it before the server does; the start fails then.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs a command to its end; what it says.
fn run(command: &mut Command) -> String {
    // A server that outlives `pg_ctl` would keep a pipe open, so files take the output.
    let (out, errors) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(errors.try_clone().unwrap());
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let output = Output { status, stdout: text(out), stderr: text(errors) };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.trim().to_owned()
}

fn text(mut file: fs::File) -> Vec<u8> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
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
