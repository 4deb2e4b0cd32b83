//! Redis servers, of which one follows another.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::process::{Engine, Home, Place, run, wait_for};

/// One server, without a password unless it is started with one.
pub struct RedisNode {
    name: String,
    home: Home,
    place: Place,
    engine: Option<Engine>,
    password: Option<String>,
}

impl RedisNode {
    /// Starts one; returns when it takes commands.
    pub fn start(name: &str, password: Option<&str>) -> Self {
        let (home, place, password) = (Home::new(), Place::reserve(), password.map(str::to_owned));
        let mut node = Self { name: name.into(), home, place, engine: None, password };
        node.resume();
        node
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// Starts it again, empty, on the same port.
    pub fn resume(&mut self) {
        let port = self.port().to_string();
        let folder = self.home.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir", &folder];
        arguments.extend(["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]);
        if let Some(password) = &self.password {
            arguments.extend(["--requirepass", password, "--masterauth", password]);
        }
        let mut engine = Engine::start(&self.home, "log", Path::new("redis-server"), &arguments);
        wait_for("Redis takes commands", || {
            assert!(
                engine.is_running(),
                "redis-server ended, or is missing (apt-get install redis-server):\n{}",
                self.home.log("log")
            );
            self.cli(&["PING"]).output().unwrap().stdout.starts_with(b"PONG")
        });
        self.engine = Some(engine);
    }

    /// Runs a command; its reply.
    pub fn command(&self, words: &[&str]) -> String {
        run(&mut self.cli(words))
    }

    fn cli(&self, words: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port().to_string()]).args(words);
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        command
    }

    /// Follows another server; returns when it is in step.
    pub fn follow(&self, other: &Self) {
        self.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
        wait_for("the replica is connected", || self.command(&["ROLE"]).contains("connected"));
    }

    /// Takes writes from now on.
    pub fn promote(&self) {
        self.command(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.engine.take().into_iter().for_each(|mut engine| engine.kill());
    }

    /// Stops answering, with its connections open.
    pub fn freeze(&self) {
        self.engine.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Answers again.
    pub fn thaw(&self) {
        self.engine.as_ref().expect("it runs").signal(Signal::CONT);
    }
}
