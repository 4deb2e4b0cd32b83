//! A Redis that keeps sessions and cache, as `up` starts it.

use minigram::real::redis::{RedisSettings, server};

use super::process::{Server, exchange, program};

pub struct Redis(Server);

impl Redis {
    pub fn start() -> Self {
        let redis = program(&["redis-server"], "redis-server");
        let server = Server::start(
            redis,
            |home, port| {
                let node =
                    server::Node { maxmemory_bytes: 64 << 20, ..server::Node::new(port.number, home.path()) };
                let file = home.path().join("redis.conf");
                std::fs::write(&file, node.to_conf()).unwrap();
                vec![file.to_str().unwrap().to_owned()]
            },
            |address| exchange(address, "PING\r\n").is_some_and(|line| line.starts_with("+PONG")),
        );
        Self(server)
    }

    /// Settings for what has this prefix.
    pub fn settings(&self, prefix: &str) -> RedisSettings {
        let url = format!("redis://{}", self.0.address());
        RedisSettings { prefix: prefix.to_owned(), ..RedisSettings::new(&url) }
    }

    pub fn kill(&mut self) {
        self.0.kill();
    }

    pub fn resume(&mut self) {
        self.0.resume();
    }
}
