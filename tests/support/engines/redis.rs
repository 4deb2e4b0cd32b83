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
    /// Certificate and key, in files.
    tls: Option<[String; 2]>,
}

impl RedisNode {
    /// Starts one; returns when it takes commands.
    pub fn start(name: &str, password: Option<&str>) -> Self {
        let mut node = Self::new(name);
        node.password = password.map(str::to_owned);
        node.resume();
        node
    }

    /// Starts one that speaks TLS alone, with this certificate and key in PEM; returns when it takes commands.
    pub fn start_with_tls(name: &str, certificate: &str, key: &str) -> Self {
        let mut node = Self::new(name);
        let file = |name: &str, text: &str| node.home.write_secret(name, text);
        node.tls = Some([file("server.pem", certificate), file("server.key", key)]);
        node.resume();
        node
    }

    fn new(name: &str) -> Self {
        let (home, place) = (Home::new(), Place::reserve());
        Self { name: name.into(), home, place, engine: None, password: None, tls: None }
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
        let mut arguments = vec!["--bind", "127.0.0.1", "--save", "", "--dir", &folder];
        match &self.tls {
            None => arguments.extend(["--port", &port]),
            Some([certificate, key]) => {
                arguments.extend(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
                arguments.extend(["--tls-cert-file", certificate, "--tls-key-file", key]);
                // It wants to know whom to believe, although it asks no client.
                arguments.extend(["--tls-ca-cert-file", certificate]);
            }
        }
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
        command.args(["-h", "127.0.0.1", "-p", &self.port().to_string()]);
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        if self.tls.is_some() {
            command.args(["--tls", "--insecure"]);
        }
        command.args(words);
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
