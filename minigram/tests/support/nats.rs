//! A NATS server with JetStream.

use minigram::real::nats::NatsSettings;

use super::process::{Server, exchange, program};

pub struct Nats(Server);

impl Nats {
    pub fn start() -> Self {
        let nats = program(&["nats-server"], "nats-server");
        let server = Server::start(
            nats,
            |home, port| {
                let port = port.number.to_string();
                let arguments = ["--addr", "127.0.0.1", "--port", &port, "--jetstream", "--store_dir"];
                arguments.into_iter().chain([home.path().to_str().unwrap()]).map(str::to_owned).collect()
            },
            |address| exchange(address, "").is_some_and(|line| line.starts_with("INFO")),
        );
        Self(server)
    }

    /// Settings for what has this prefix.
    pub fn settings(&self, prefix: &str) -> NatsSettings {
        let url = format!("nats://{}", self.0.address());
        NatsSettings { prefix: prefix.to_owned(), ..NatsSettings::new(&url) }
    }

    pub fn kill(&mut self) {
        self.0.kill();
    }

    pub fn resume(&mut self) {
        self.0.resume();
    }
}
