//! A balancer whose processes take each other's place: each is known, and none outlives the test.

use std::io::{Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};
use serde_json::Value;

use crate::support::{Evenkeel, Folder, eventually};

/// A balancer, and the processes that have come in the place of the one that the test started.
pub struct Chain {
    evenkeel: Evenkeel,
    successors: Vec<u32>,
}

impl Chain {
    /// Starts the first process.
    pub fn start(toml: &str) -> Self {
        Self::of(Evenkeel::start(toml))
    }

    /// The same in a folder that the test prepared.
    pub fn start_in(folder: Folder, toml: &str) -> Self {
        Self::of(Evenkeel::start_in(folder, toml))
    }

    /// The first process is this one.
    pub fn of(evenkeel: Evenkeel) -> Self {
        // The processes that follow are children of the ones before; when these end, they are ours to wait for.
        set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        Self { evenkeel, successors: Vec::new() }
    }

    /// The same binary by a path of its own, which the test can replace; returns that path.
    pub fn start_replaceable(toml: &str) -> (Self, String) {
        let folder = Folder::new();
        let binary = folder.path("evenkeel");
        std::fs::hard_link(env!("CARGO_BIN_EXE_evenkeel"), &binary).unwrap();
        let mut command = Command::new(&binary);
        command.args(["run", "-c"]);
        (Self::of(Evenkeel::start_by(command, folder, toml)), binary)
    }

    /// Has a new process take over; its id.
    #[track_caller]
    pub fn upgrade(&mut self) -> u32 {
        self.upgrade_by("{}")
    }

    /// The same by this request.
    #[track_caller]
    pub fn upgrade_by(&mut self, body: &str) -> u32 {
        let response = self.evenkeel.admin("POST", "/upgrade", body);
        assert_eq!(response.status, 200, "{}", response.text());
        let answer: Value = serde_json::from_str(&response.text()).unwrap();
        let pid = answer["pid"].as_u64().unwrap() as u32;
        self.successors.push(pid);
        assert_eq!(self.status()["pid"].as_u64(), Some(pid.into()), "it answers at the admin address");
        pid
    }

    /// Why this request for an upgrade is refused. The process that serves goes on.
    #[track_caller]
    pub fn refusal(&mut self, body: &str) -> String {
        let before = self.status()["pid"].clone();
        let answer = ask(&self.socket(), "", body);
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        assert!(head.starts_with("HTTP/1.1 422 "), "{answer}");
        assert_eq!(self.status()["pid"], before);
        let answer: Value = serde_json::from_str(text).unwrap();
        answer["error"].as_str().unwrap().to_owned()
    }

    /// The control socket of the process that serves.
    pub fn socket(&self) -> String {
        let first = self.evenkeel.control_socket();
        match self.successors.last() {
            None => first,
            Some(pid) => first.replace(&format!("{}.sock", self.evenkeel.pid()), &format!("{pid}.sock")),
        }
    }

    /// A process has come in the place of another without the test asking for it.
    pub fn note(&mut self, pid: u32) {
        self.successors.push(pid);
    }

    /// Ends the process that serves, in good order.
    pub fn end(mut self) {
        let Some(last) = self.successors.pop() else { return };
        let pid = Pid::from_raw(last as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        eventually("the last process ends", || is_over(pid));
    }
}

/// Asks for an upgrade over a control socket, where a request may name a binary; the whole answer.
pub fn ask(socket: &str, fields: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    let head =
        "POST /upgrade HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream, "{head}\r\n{fields}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    // A process that ends meanwhile gives no answer.
    let _ = stream.read_to_string(&mut answer);
    answer
}

impl Deref for Chain {
    type Target = Evenkeel;

    fn deref(&self) -> &Evenkeel {
        &self.evenkeel
    }
}

impl DerefMut for Chain {
    fn deref_mut(&mut self) -> &mut Evenkeel {
        &mut self.evenkeel
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for pid in self.successors.drain(..) {
            let pid = Pid::from_raw(pid as i32).unwrap();
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// True once a process has ended, whose parent has ended before or has waited for it.
pub fn is_over(pid: Pid) -> bool {
    matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
        || rustix::process::test_kill_process(pid).is_err()
}
