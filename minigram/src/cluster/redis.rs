//! Redis: a pair for sessions with Sentinels that promote, and one server for the cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use redis::AsyncConnectionConfig;

use super::doctor;
use super::layout::Layout;
use super::members::Members;
use super::redis_conf::{RedisConf, SentinelConf};
use crate::process::Ports;

/// The pair.
pub const PAIR: [&str; 2] = ["redis-1", "redis-2"];
/// Sentinels: two of the three must agree that the primary is gone, so that one that is cut off promotes nothing.
pub const SENTINELS: [&str; 3] = ["sentinel-1", "sentinel-2", "sentinel-3"];
/// The server for the cache.
const CACHE: &str = "redis-cache";
/// The name by which Sentinels know the pair.
const PAIR_NAME: &str = "sessions";
/// How long a server of the pair that has crashed stays down. Its log may lack the last two seconds (`appendfsync everysec`) of what its
/// replica has, so that a Sentinel must have promoted the replica before it comes back: otherwise it would be the primary again, and
/// the replica would throw away what it has more.
const RESTART_AFTER: Duration = Duration::from_secs(8);
/// How long each may take to be ready.
const READY_BOUND: Duration = Duration::from_secs(30);

/// The ports of all Redis servers.
#[derive(Debug, Clone)]
pub struct Servers {
    /// The pair.
    pub pair: BTreeMap<String, u16>,
    /// The cache.
    pub cache: u16,
}

/// Starts all servers; returns when they take commands, and the Sentinels watch.
pub async fn start(layout: &Layout, ports: &Ports, members: &Members) -> anyhow::Result<Servers> {
    let mut pair = BTreeMap::new();
    for name in PAIR {
        pair.insert(name.to_owned(), ports.port(name)?);
    }
    let cache = ports.port(CACHE)?;
    let password = layout.secret("redis")?;
    let primary = last_primary(layout, &pair);
    let conf = RedisConf {
        port: 0,
        folder: Path::new(""),
        password: Some(&password),
        memory_max: "256mb",
        // Sessions are never evicted: a full server refuses new ones.
        when_full: "noeviction",
        replica_of: None,
    };
    for name in PAIR {
        let replica_of = (name != primary).then_some(pair[primary]);
        server(layout, members, name, RedisConf { port: pair[name], replica_of, ..conf }).await?;
        members.restart_after(name, RESTART_AFTER);
    }
    let conf = RedisConf { port: cache, memory_max: "64mb", when_full: "allkeys-lru", ..conf };
    server(layout, members, CACHE, conf).await?;
    for name in SENTINELS {
        sentinel(layout, members, name, ports.port(name)?, pair[primary], &password).await?;
    }
    Ok(Servers { pair, cache })
}

/// The server of the pair that was the primary when the engines ended, as the first Sentinel has noted it.
fn last_primary(layout: &Layout, pair: &BTreeMap<String, u16>) -> &'static str {
    let notes =
        fs::read_to_string(layout.root().join(SENTINELS[0]).join("sentinel.conf")).unwrap_or_default();
    let begin = format!("sentinel monitor {PAIR_NAME} 127.0.0.1 ");
    let noted = notes.lines().find_map(|line| line.strip_prefix(&begin)?.split(' ').next()?.parse().ok());
    PAIR.into_iter().find(|name| Some(pair[*name]) == noted).unwrap_or(PAIR[0])
}

/// Starts a server, in a folder of its own.
async fn server(layout: &Layout, members: &Members, name: &str, conf: RedisConf<'_>) -> anyhow::Result<()> {
    let folder = layout.folder(name)?;
    let file = folder.join("redis.conf");
    layout.write(&file, &RedisConf { folder: &folder, ..conf }.text())?;
    let program = layout.engine(name, doctor::path_of("redis-server")?).directory(&folder).arg(&file);
    let (port, password) = (conf.port, conf.password.unwrap_or_default());
    let client = redis::Client::open(format!("redis://:{password}@127.0.0.1:{port}/0"))
        .context("the address of Redis")?;
    members.start_ready(program, READY_BOUND, || answers(&client)).await
}

async fn sentinel(
    layout: &Layout,
    members: &Members,
    name: &str,
    port: u16,
    primary: u16,
    password: &str,
) -> anyhow::Result<()> {
    let folder = layout.folder(name)?;
    let file = folder.join("sentinel.conf");
    let conf = SentinelConf { port, folder: &folder, pair: PAIR_NAME, primary, password: Some(password) };
    layout.write(&file, &conf.text())?;
    let program = layout.engine(name, doctor::path_of("redis-server")?).directory(&folder);
    let client =
        redis::Client::open(format!("redis://127.0.0.1:{port}")).context("the address of Sentinel")?;
    members.start_ready(program.arg(&file).arg("--sentinel"), READY_BOUND, || answers(&client)).await
}

async fn answers(client: &redis::Client) -> bool {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(Duration::from_secs(1)));
    let Ok(mut connection) = client.get_multiplexed_async_connection_with_config(&config).await else {
        return false;
    };
    redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
}
