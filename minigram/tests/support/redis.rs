//! A Redis that keeps sessions and cache, alone or as a pair with Sentinels.

use std::fs;
use std::net::SocketAddr;

use minigram::cluster::{RedisConf, SentinelConf};
use minigram::real::redis::RedisSettings;

use super::process::{Server, exchange, program};

/// What Sentinels call the pair.
pub const PAIR: &str = "minigram";

pub struct Redis(Server);

/// A primary and a replica, and three Sentinels that watch them.
pub struct Pair {
    pub primary: Redis,
    pub replica: Redis,
    sentinels: Vec<Server>,
}

impl Redis {
    /// One for sessions and cache: it evicts what has an end.
    pub fn start() -> Self {
        Self::with("volatile-lru", None)
    }

    /// One for the cache alone, as `minigram up` starts it: it evicts whatever was not used for longest.
    pub fn start_cache() -> Self {
        Self::with("allkeys-lru", None)
    }

    fn with(when_full: &str, replica_of: Option<u16>) -> Self {
        let redis = program(&["redis-server"], "redis-server");
        let server = Server::start(
            redis,
            |home, port| {
                let conf = RedisConf {
                    port: port.number,
                    folder: home.path(),
                    password: None,
                    memory_max: "64mb",
                    when_full,
                    replica_of,
                };
                vec![home.write("redis.conf", &conf.text())]
            },
            answers,
        );
        Self(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
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

    /// Starts it after a crash that has cost it the log of its writes.
    pub fn resume_from_snapshot(&mut self) {
        self.0.kill();
        fs::remove_dir_all(self.0.home().join("appendonlydir")).unwrap();
        self.0.resume_with(&["--appendonly", "no"]);
    }
}

impl Pair {
    pub fn start() -> Self {
        let primary = Redis::start();
        let port = primary.0.address().port();
        let replica = Redis::with("volatile-lru", Some(port));
        let sentinels = (0..3).map(|_| sentinel(port)).collect();
        Self { primary, replica, sentinels }
    }

    /// Where the Sentinels listen.
    pub fn sentinels(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(Server::address).collect()
    }
}

fn sentinel(primary: u16) -> Server {
    let redis = program(&["redis-server"], "redis-server");
    Server::start(
        redis,
        |home, port| {
            let (port, folder) = (port.number, home.path());
            let conf = SentinelConf { port, folder, pair: PAIR, primary, password: None };
            vec![home.write("sentinel.conf", &conf.text()), "--sentinel".to_owned()]
        },
        answers,
    )
}

fn answers(address: SocketAddr) -> bool {
    exchange(address, "PING\r\n").is_some_and(|line| line.starts_with("+PONG"))
}
