//! A Redis of the test's own, which can stop, hang and come back.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Port, eventually};

/// A Redis on a port of its own; it ends with the test.
pub struct Redis {
    port: Port,
    child: Option<Child>,
    password: Option<String>,
}

impl Redis {
    /// One without a password.
    pub fn start() -> Self {
        Self::run(None)
    }

    /// One that asks for a password.
    pub fn with_password(password: &str) -> Self {
        Self::run(Some(password.to_owned()))
    }

    fn run(password: Option<String>) -> Self {
        let mut redis = Self { port: Port::reserve(), child: None, password };
        redis.resume();
        redis
    }

    /// The lines of a configuration that lead to it.
    pub fn section(&self, more: &str) -> String {
        format!("[redis]\nurl = \"redis://{}\"\n{more}\n", self.port.address())
    }

    /// Dies, and forgets everything.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Comes back on the same port.
    pub fn resume(&mut self) {
        let port = self.port.address().port().to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
        command.args(self.password.iter().flat_map(|password| ["--requirepass", password]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        self.child = Some(child.expect("redis-server is missing: apt-get install redis-server"));
        eventually("redis accepts connections", || TcpStream::connect(self.port.address()).is_ok());
    }

    /// Stops answering, with its connections open.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Answers again.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
