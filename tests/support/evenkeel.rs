//! The real binary as a child process: started on free ports, watched, and ended with the test.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{PipeReader, empty, pipe};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;

use super::log::Log;
use super::message::Response;
use super::{Client, Origin, eventually};

/// A running balancer.
pub struct Evenkeel {
    child: Child,
    folder: Arc<Folder>,
    /// The access log, unless the test sent it elsewhere.
    pub stdout: Log,
    /// Its messages.
    pub stderr: Log,
    listeners: HashMap<String, SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Evenkeel {
    /// Runs a configuration to which [`complete`] added what tests have in common; returns when it is ready.
    pub fn start(toml: &str) -> Self {
        Self::start_in(Folder::new(), toml)
    }

    /// The same in a folder that the test prepared.
    pub fn start_in(folder: Folder, toml: &str) -> Self {
        let file = folder.write("evenkeel.toml", &complete(toml));
        Self::run(folder, &["run", "-c", &file])
    }

    /// The same with an output that is not read: it fills up, and breaks when the reader is dropped.
    pub fn start_unread(toml: &str) -> (Self, PipeReader) {
        let folder = Folder::new();
        let file = folder.write("evenkeel.toml", &complete(toml));
        let (reader, writer) = pipe().unwrap();
        let child = command(&["run", "-c", &file]).stdout(writer).spawn().unwrap();
        (Self::attend(folder, child), reader)
    }

    /// The same with so many file descriptors at most.
    pub fn start_with_descriptors(count: usize, toml: &str) -> Self {
        let folder = Folder::new();
        let file = folder.write("evenkeel.toml", &complete(toml));
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {count} && exec \"$0\" run -c \"$1\"")]);
        shell.args([env!("CARGO_BIN_EXE_evenkeel"), &file]);
        let child = piped(&mut shell).spawn().unwrap();
        Self::attend(folder, child)
    }

    /// The same in a mount namespace of its own, after a command there. Without root, its user is root there.
    pub fn start_after(command: &str, toml: &str) -> Self {
        let folder = Folder::new();
        let file = folder.write("evenkeel.toml", &complete(toml));
        let mut shell = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            shell.arg("--map-root-user");
        }
        shell.args(["--mount", "sh", "-c", &format!("{command} && exec \"$0\" run -c \"$1\"")]);
        shell.args([env!("CARGO_BIN_EXE_evenkeel"), &file]);
        let child = piped(&mut shell).spawn().unwrap();
        Self::attend(folder, child)
    }

    /// Runs what a command starts, which is `evenkeel run` in the end, with a configuration as [`start`](Self::start) has it, whose path
    /// is the last argument.
    pub fn start_by(mut command: Command, folder: impl Into<Arc<Folder>>, toml: &str) -> Self {
        let folder = folder.into();
        let file = folder.write("evenkeel.toml", &complete(toml));
        let stdin = command.get_envs().any(|(name, _)| name == "LISTEN_FDS");
        command.arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("RUNTIME_DIRECTORY", folder.path("run"));
        if !stdin {
            command.stdin(Stdio::null());
        }
        let child = command.spawn().unwrap();
        // Else what the command was given stays open here.
        drop(command);
        Self::attend(folder, child)
    }

    /// Runs the binary with these arguments; returns when it is ready. Commands in the folder find it.
    pub fn run(folder: impl Into<Arc<Folder>>, arguments: &[&str]) -> Self {
        let folder = folder.into();
        let child = command(arguments).env("RUNTIME_DIRECTORY", folder.path("run")).spawn().unwrap();
        Self::attend(folder, child)
    }

    fn attend(folder: impl Into<Arc<Folder>>, mut child: Child) -> Self {
        let folder = folder.into();
        let stdout = child.stdout.take().map_or_else(|| Log::of(empty()), Log::of);
        let stderr = Log::of(child.stderr.take().unwrap());
        let mut evenkeel = Self { child, folder, stdout, stderr, listeners: HashMap::new(), admin: None };
        eventually("evenkeel is ready", || {
            assert!(evenkeel.child.try_wait().unwrap().is_none(), "evenkeel ended before it was ready");
            evenkeel.stderr.count(|line| words(line).any(|word| word == "ready")) > 0
        });
        for line in evenkeel.stderr.lines() {
            let listener = words(&line).find_map(|word| word.strip_prefix("listener="));
            if let (Some(address), Some(name)) = (address_after(&line, "listening on "), listener) {
                evenkeel.listeners.entry(name.trim_matches('"').to_owned()).or_insert(address);
            }
            evenkeel.admin = evenkeel.admin.or(address_after(&line, "admin on "));
        }
        evenkeel
    }

    /// The address of the listener called `web`.
    pub fn address(&self) -> SocketAddr {
        self.listener("web")
    }

    /// The first address of a listener.
    pub fn listener(&self, name: &str) -> SocketAddr {
        *self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name} in {:?}", self.listeners))
    }

    /// The address of the admin API.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.unwrap()
    }

    /// A new connection to the listener called `web`.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// One GET over a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// One request over a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        self.client().ask(request)
    }

    /// Runs a command that finds processes as one of the same user does, and waits for its end.
    pub fn cli(&self, arguments: &[&str]) -> Outcome {
        self.folder.cli(arguments)
    }

    /// Its control socket.
    pub fn control_socket(&self) -> String {
        self.folder.path(&format!("run/{}.sock", self.pid()))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration file.
    pub fn config(&self) -> String {
        self.folder.path("evenkeel.toml")
    }

    /// One request to the admin API.
    pub fn admin(&self, method: &str, path: &str, body: &str) -> Response {
        self.admin_with(method, path, "", body)
    }

    /// One request to the admin API with more fields, each line with its CRLF.
    pub fn admin_with(&self, method: &str, path: &str, fields: &str, body: &str) -> Response {
        let host = self.admin_address();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{fields}content-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        Client::connect(host).ask(request)
    }

    /// Changes a server's state or weight through the admin API.
    #[track_caller]
    pub fn set_server(&self, pool: &str, server: &str, change: &str) {
        let response = self.admin("PUT", &format!("/pools/{pool}/servers/{server}"), change);
        assert!((200..300).contains(&response.status), "{change}: {} {}", response.status, response.text());
    }

    /// `/status`, parsed.
    pub fn status(&self) -> Value {
        let response = self.admin("GET", "/status", "");
        assert_eq!(response.status, 200, "{}", response.text());
        serde_json::from_str(&response.text()).unwrap()
    }

    /// One server of one pool in `/status`.
    pub fn server(&self, pool: &str, server: &str) -> Value {
        let status = self.status();
        let pool = named(&status["pools"], "name", pool);
        named(&pool["servers"], "id", server)
    }

    /// Waits until a server is in this state.
    pub fn wait_for_state(&self, server: &str, state: &str) {
        eventually(&format!("{server} is {state}"), || self.server("app", server)["state"] == state);
    }

    /// The sum of all samples of a metric whose labels contain each of `labels`, as in `pool="app"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.admin("GET", "/metrics", "").text();
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (found, value) = rest.rsplit_once(' ')?;
            let ours = found.is_empty() || found.starts_with('{');
            (ours && labels.iter().all(|label| found.contains(label))).then(|| value.parse::<f64>().unwrap())
        });
        samples.sum()
    }

    /// Puts a new configuration in the place of the old one and reloads it; returns the API's answer.
    pub fn reload(&self, toml: &str) -> Response {
        self.rewrite(toml);
        self.admin("POST", "/reload", "")
    }

    /// Puts a new configuration in the place of the old one. Its listeners are written as before, so the same
    /// ports serve on.
    pub fn rewrite(&self, toml: &str) {
        self.folder.write("evenkeel.toml", &complete(toml));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process and of its output.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("evenkeel exits", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.stdout.ended();
        self.stderr.ended();
        status.unwrap()
    }

    /// Waits for the end of the process alone: another one may still have its output.
    pub fn wait_end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("evenkeel ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// The folder that it was started in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// True while the process runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The first record of the JSON access log that is like this; waits for it.
    pub fn record(&self, like: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &str| serde_json::from_str::<Value>(line).ok();
        let line = self.stdout.wait_for("an access log record", |line| parse(line).is_some_and(|r| like(&r)));
        parse(&line).unwrap()
    }

    /// Memory that it has filled itself, in bytes: without the pages of the executable, which come in as code first runs.
    pub fn allocated(&self) -> usize {
        self.memory("RssAnon:") + self.memory("RssShmem:")
    }

    /// Resident memory in bytes, the pages of the executable included.
    pub fn resident(&self) -> usize {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it had so far, in bytes.
    pub fn resident_peak(&self) -> usize {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Ends of pipes that it has open.
    pub fn pipes(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| target.to_str().is_some_and(|name| name.starts_with("pipe:"))).count()
    }

    /// Lets it open no descriptor with this number or a larger one.
    pub fn limit_descriptors(&self, count: u64) {
        let limit = Rlimit { current: Some(count), ..getrlimit(Resource::Nofile) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    /// The nice values of its threads of this name.
    pub fn nice_of(&self, thread: &str) -> Vec<i32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let stat = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).ok();
        let nice = |stat: String| {
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            // The 19th field; the first after the name is the third.
            (name == thread).then(|| rest.split(' ').nth(16).unwrap().parse().unwrap())
        };
        tasks.flatten().filter_map(stat).filter_map(nice).collect()
    }

    /// File descriptors that are open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Evenkeel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- evenkeel said:\n{}\n---", self.stderr.text());
        }
    }
}

/// What a command that ends by itself did.
pub struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of its output.
    pub stdout: String,
    /// All of its messages.
    pub stderr: String,
}

/// Runs the binary until it ends by itself. It finds no process but by an address.
pub fn cli(arguments: &[&str]) -> Outcome {
    finish(&mut command(arguments))
}

fn finish(command: &mut Command) -> Outcome {
    let mut child = command.spawn().unwrap();
    let (stdout, stderr) = (Log::of(child.stdout.take().unwrap()), Log::of(child.stderr.take().unwrap()));
    let mut status = None;
    eventually(&format!("{command:?} ends"), || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    stdout.ended();
    stderr.ended();
    Outcome { code: status.unwrap().code(), stdout: stdout.text(), stderr: stderr.text() }
}

/// The table of the pool `app` with these servers, named as the origins are, and more keys.
pub fn pool(servers: &[&Origin], keys: &str) -> String {
    let mut backends = String::new();
    for server in servers {
        let _ = write!(backends, "{{ address = \"{}\", name = \"{}\" }}, ", server.address(), server.name);
    }
    format!("[pool.app]\nbackends = [{backends}]\n{keys}\n")
}

/// A folder of the test's own, removed with it.
pub struct Folder(PathBuf);

impl Folder {
    /// A new empty one.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("blackbox-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file; returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    /// Runs a command in it, which finds the processes that were started with this folder, until it ends by itself.
    pub fn cli(&self, arguments: &[&str]) -> Outcome {
        finish(command(arguments).env("RUNTIME_DIRECTORY", self.path("run")).current_dir(&self.0))
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Adds what most tests do not care about, unless the text has it: one worker (so that counts are exact), the
/// admin API on a free port, and a listener `web` on a free port that leads to the pool `app`, if there is one.
fn complete(toml: &str) -> String {
    let mut text = String::new();
    if !toml.contains("[server]") {
        text.push_str("[server]\nworkers = 1\n");
    }
    if !toml.contains("[admin]") {
        text.push_str("[admin]\nbind = \"127.0.0.1:0\"\n");
    }
    if !toml.contains("[listener.") {
        let pool = if toml.contains("[pool.app]") { "pool = \"app\"\n" } else { "" };
        let _ = write!(text, "[listener.web]\nbind = [\"127.0.0.1:0\"]\n{pool}");
    }
    text + toml
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    piped(command.args(arguments));
    command
}

/// No directory: a process has no control socket there, and a command finds none.
const NOWHERE: &str = "/nowhere";

fn piped(command: &mut Command) -> &mut Command {
    // Processes and commands of other tests are not to be found.
    command.env("RUNTIME_DIRECTORY", NOWHERE);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', ',', '.', ':', ';']).filter(|word| !word.is_empty())
}

fn address_after(line: &str, marker: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(marker)? + marker.len()..];
    rest.split_whitespace().next()?.parse().ok()
}

/// The member of an array of objects, or of an object, that is called `name`.
fn named(list: &Value, key: &str, name: &str) -> Value {
    let found = match list {
        Value::Array(items) => items.iter().find(|item| item[key] == name),
        other => other.get(name),
    };
    found.unwrap_or_else(|| panic!("no {name} in {list}")).clone()
}

/// What `evenkeel explain` says about a configuration: its exit code and both outputs.
pub fn explain_file(text: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", text);
    let outcome = cli(&[&["explain"], arguments, &["-c", &file]].concat());
    (outcome.code, outcome.stdout, outcome.stderr)
}

/// That `evenkeel explain` has ended well, with these rows among others.
#[track_caller]
pub fn assert_rows((code, stdout, stderr): &(Option<i32>, String, String), rows: &[(&str, &str)]) {
    assert_eq!(*code, Some(0), "{stderr}");
    for (key, value) in rows {
        let row = format!("{key:<10}{value}");
        assert!(stdout.lines().any(|line| line == row), "no `{row}` in\n{stdout}");
    }
}
