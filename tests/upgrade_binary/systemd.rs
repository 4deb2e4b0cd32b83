//! What systemd expects of a service: sockets that it has bound, and messages to it. The tests play its part.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::setting::Chain;
use crate::support::{Client, DEADLINE, Evenkeel, Folder, Origin, eventually, ms, pool};
use crate::udp::server::{Client as UdpClient, Server as UdpServer};

/// A command that runs the binary with this socket, as systemd passes it on. Its last argument is to be the configuration.
fn activated(socket: &OwnedFd) -> Command {
    // Standard input is how a test can pass a descriptor on; the shell moves it to where it belongs.
    let mut shell = Command::new("sh");
    let script = "export LISTEN_PID=$$; exec \"$0\" run -c \"$1\" 3<&0 0</dev/null";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_evenkeel")]);
    shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "web");
    shell.stdin(Stdio::from(socket.try_clone().unwrap()));
    shell
}

#[test]
fn sockets_of_systemd_are_listened_on_and_outlive_the_process() {
    let origin = Origin::named("a");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let socket = OwnedFd::from(socket);
    let text = format!(
        "[server]\nworkers = 2\n[listener.web]\nbind = \"{address}\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    );
    let mut chain = Chain::of(Evenkeel::start_by(activated(&socket), Folder::new(), &text));
    assert_eq!(chain.get("/").text(), "a");
    // It goes on to the next process, and is still systemd's.
    chain.upgrade();
    assert_eq!(Client::connect(address).get("/").text(), "a");
    chain.end();
    let mut waiting = Client::connect(address);
    waiting.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let again = Evenkeel::start_by(activated(&socket), Folder::new(), &text);
    assert_eq!(waiting.answer("GET").text(), "a", "it has waited while no process ran");
    drop(again);
}

#[test]
fn a_unix_socket_and_one_of_udp_are_taken_too() {
    let (origin, folder) = (Origin::named("a"), Folder::new());
    let path = folder.path("web.sock");
    let socket = OwnedFd::from(UnixListener::bind(&path).unwrap());
    let text = format!("[listener.web]\nbind = \"unix:{path}\"\npool = \"app\"\n{}", pool(&[&origin], ""));
    let _first = Evenkeel::start_by(activated(&socket), Folder::new(), &text);
    let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    {
        use std::io::{Read, Write};
        let mut stream = &stream;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let server = UdpServer::named("a");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let text = crate::udp::server::config(&format!("bind = \"{address}\""), &[&server], "");
    let _second = Evenkeel::start_by(activated(&OwnedFd::from(socket)), Folder::new(), &text);
    assert_eq!(UdpClient::to(address, "127.0.0.1").name(), "a");
}

#[test]
fn a_socket_that_no_listener_has_is_an_error_that_names_it() {
    let origin = Origin::named("a");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let folder = Folder::new();
    let listener = "[admin]\nbind = \"off\"\n[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n";
    let file = folder.write("evenkeel.toml", &format!("{listener}{}", pool(&[&origin], "")));
    let mut command = activated(&socket.into());
    let output = command.arg(file).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("error: systemd has passed the socket `web` at {address}, and no listener of the configuration has that address in `bind`")),
        "{said}"
    );
}

/// The socket that systemd listens on.
struct Manager(UnixDatagram);

impl Manager {
    /// Waits for a message with this line in it, and returns the message.
    #[track_caller]
    fn hears(&self, line: &str) -> String {
        let mut heard = Vec::new();
        let mut buf = [0; 4096];
        loop {
            let length = match self.0.recv(&mut buf) {
                Ok(length) => length,
                Err(error) => panic!("{line} was not heard ({error}), only {heard:?}"),
            };
            let message = String::from_utf8_lossy(&buf[..length]).into_owned();
            if message.lines().any(|said| said == line) {
                return message;
            }
            heard.push(message);
        }
    }
}

#[test]
fn systemd_hears_of_the_start_reloads_upgrades_and_the_end() {
    let (origin, folder) = (Origin::named("a"), Folder::new());
    let path = folder.path("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["run", "-c"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut chain = Chain::of(Evenkeel::start_by(command, Folder::new(), &pool(&[&origin], "")));
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    assert_eq!(chain.admin("POST", "/reload", "").status, 200);
    let message = manager.hears("RELOADING=1");
    assert!(message.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{message}");
    manager.hears("READY=1");
    let pid = chain.upgrade();
    // The two processes say this at the same time.
    let (mut is_main, mut is_ready) = (false, false);
    while !is_main || !is_ready {
        let mut buf = [0; 4096];
        let length = manager.0.recv(&mut buf).unwrap();
        let message = String::from_utf8_lossy(&buf[..length]).into_owned();
        is_main |= message.lines().any(|line| line == format!("MAINPID={pid}"));
        is_ready |= message.lines().any(|line| line == "READY=1");
        assert!(!message.contains("STOPPING"), "the service goes on: {message}");
    }
    assert_eq!(chain.wait_end().code(), Some(0));
    manager.hears("WATCHDOG=1");
    chain.end();
    manager.hears("STOPPING=1");
}

/// A service whose watchdog is fed every 100 ms, after an upgrade. The client has a connection to the old process, which a tunnel keeps.
fn upgraded(manager: &Manager, path: &str, origin: &Origin) -> (Chain, Pid, Client) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["run", "-c"]).env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "200000");
    let mut chain = Chain::of(Evenkeel::start_by(command, Folder::new(), &pool(&[origin], "")));
    let mut tunnel = chain.client();
    assert_eq!(tunnel.get_with("/", "connection: upgrade\r\nupgrade: echo\r\n").status, 101);
    let new = chain.upgrade();
    manager.hears(&format!("MAINPID={new}"));
    (chain, Pid::from_raw(new as i32).unwrap(), tunnel)
}

fn tunnels() -> Origin {
    Origin::start(|_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        wire.hold();
    })
}

#[test]
fn a_process_that_has_a_successor_does_not_feed_its_watchdog() {
    let (origin, folder) = (tunnels(), Folder::new());
    let path = folder.path("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut chain, new, tunnel) = upgraded(&manager, &path, &origin);
    kill_process(new, Signal::STOP).unwrap();
    // What was sent before that is read first; of a process that goes on, ten messages come in this time.
    manager.0.set_read_timeout(Some(ms(1_000))).unwrap();
    let mut buf = [0; 4096];
    let heard = (0..20).take_while(|_| manager.0.recv(&mut buf).is_ok()).count();
    assert!(heard < 20, "the old process feeds the watchdog of the new one");
    kill_process(new, Signal::CONT).unwrap();
    manager.0.set_read_timeout(Some(DEADLINE)).unwrap();
    manager.hears("WATCHDOG=1");
    assert!(chain.is_running(), "the tunnel keeps the old process");
    drop(tunnel);
}

#[test]
fn a_successor_that_fails_ends_the_old_process_as_the_main_one() {
    let (origin, folder) = (tunnels(), Folder::new());
    let path = folder.path("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut chain, new, tunnel) = upgraded(&manager, &path, &origin);
    kill_process(new, Signal::KILL).unwrap();
    manager.hears(&format!("MAINPID={}", chain.pid()));
    assert_eq!(chain.wait_end().code(), Some(1), "it does not wait for the tunnel");
    chain.stderr.wait_for("the alarm", |line| line.contains("ERROR") && line.contains("has failed"));
    drop(tunnel);
}

#[test]
fn a_service_manager_that_does_not_read_does_not_matter() {
    let (origin, folder) = (Origin::named("a"), Folder::new());
    let path = folder.path("notify");
    let deaf = UnixDatagram::bind(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["run", "-c"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000");
    let mut evenkeel = Evenkeel::start_by(command, Folder::new(), &pool(&[&origin], ""));
    let begun = std::time::Instant::now();
    eventually("its queue is full", || begun.elapsed() > ms(300));
    assert_eq!(evenkeel.get("/").text(), "a");
    drop(deaf);
    evenkeel.signal(Signal::TERM);
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
}
