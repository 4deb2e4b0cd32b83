//! A server's directory, port and process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use rustix::process::geteuid;
use tempfile::TempDir;

/// How long a server may take to start.
const DEADLINE: Duration = Duration::from_secs(30);

/// The user that servers run as if the test runs as root.
const USER: &str = "nobody";

/// A directory that belongs to the user of the servers.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("minigram-").unwrap();
        if geteuid().is_root() {
            let status = Command::new("chown").arg(USER).arg(directory.path()).status().unwrap();
            assert!(status.success(), "chown {USER}: {status}");
        }
        Self(directory)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that its server may change; returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let file = self.path().join(name);
        fs::write(&file, text).unwrap();
        if geteuid().is_root() {
            let status = Command::new("chown").arg(USER).arg(&file).status().unwrap();
            assert!(status.success(), "chown {USER}: {status}");
        }
        file.to_str().unwrap().to_owned()
    }

    fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// The end of the log, for messages.
    fn last_lines(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A port of 127.0.0.1 that stays free while its server is down.
pub struct Port {
    _reservation: OwnedFd,
    pub number: u16,
}

impl Port {
    pub fn reserve() -> Self {
        let reservation = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // Two sockets may share a port with SO_REUSEADDR as long as only one of them listens.
        sockopt::set_socket_reuseaddr(&reservation, true).unwrap();
        bind(&reservation, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address: SocketAddr = getsockname(&reservation).unwrap().try_into().unwrap();
        Self { _reservation: reservation, number: address.port() }
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// A server. It is killed when the value is dropped, and when the test's process ends otherwise.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    home: Home,
    port: Port,
    child: Option<Child>,
    ready: fn(SocketAddr) -> bool,
}

impl Server {
    /// Starts `program` with these arguments; returns when `ready` finds that it takes requests.
    pub fn start(
        program: PathBuf,
        arguments: impl FnOnce(&Home, &Port) -> Vec<String>,
        ready: fn(SocketAddr) -> bool,
    ) -> Self {
        let (home, port) = (Home::new(), Port::reserve());
        let arguments = arguments(&home, &port);
        let mut server = Self { program, arguments, home, port, child: None, ready };
        server.resume();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it again, on the same port and directory.
    pub fn resume(&mut self) {
        self.resume_with(&[]);
    }

    /// The same with more arguments, for this time.
    pub fn resume_with(&mut self, more: &[&str]) {
        self.kill();
        let log = File::options().create(true).append(true).open(self.home.log()).unwrap();
        let mut command = ordinary(&self.program);
        command.args(&self.arguments).args(more).current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = self.child.insert(spawn(command));
        let begun = Instant::now();
        while !(self.ready)(self.port.address()) {
            let name = self.program.display();
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {ended:?}\n{}", self.home.last_lines());
            assert!(begun.elapsed() < DEADLINE, "{name} does not start\n{}", self.home.last_lines());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where a program of a Debian package is.
pub fn program(names: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let mut files = directories.flat_map(|directory| names.iter().map(move |name| directory.join(name)));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{} is missing: apt-get install {package}", names.join(" or "));
    })
}

/// Sends a line, and returns the first one of the answer; `None` if there is none.
pub fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let wait = Duration::from_secs(1);
    let mut connection = TcpStream::connect_timeout(&address, wait).ok()?;
    connection.set_read_timeout(Some(wait)).ok()?;
    connection.write_all(request.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line).ok()?;
    Some(line)
}

/// A program of an ordinary user that ends with the thread that starts it.
fn ordinary(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if geteuid().is_root() {
        command.args([&format!("--reuid={USER}"), "--regid=nogroup", "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// Starts it in a thread that lives as long as the tests.
fn spawn(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, ordered) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in ordered {
                drop(answer.send(command.spawn()));
            }
        });
        orders
    });
    let (answer, answered) = mpsc::channel();
    spawner.send((command, answer)).unwrap();
    answered.recv().unwrap().unwrap_or_else(|error| panic!("setpriv of util-linux: {error}"))
}
