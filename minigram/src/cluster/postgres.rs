//! Three nodes of PostgreSQL, of which Patroni makes one the primary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection};

use super::archive::Archive;
use super::http::http_client;
use super::layout::Layout;
use super::members::Members;
use super::patroni::{NODES, Nodes, PATRONI_USER, leader};
use super::restore::Recovery;
use super::settings::ClusterSettings;
use super::{copying, doctor};
use crate::process::{Ports, Process, wait_until, watchdog};

/// Databases for shards.
pub const DATABASES: [&str; 2] = ["minigram_0", "minigram_1"];
/// How long the nodes may take until one is the primary and the others follow it.
const READY_BOUND: Duration = Duration::from_secs(90);
/// How long a restore may take until the first node has replayed the archive.
const RECOVERY_BOUND: Duration = Duration::from_secs(2 * 3600);
/// The pipe of a node's watchdog, in its folder.
const WATCHDOG: &str = "watchdog";

/// Starts the nodes; returns when one is the primary and two follow it, one of them synchronously.
pub async fn start(
    layout: &Layout,
    ports: &Ports,
    members: &Members,
    settings: &ClusterSettings,
    etcd: u16,
    archive: &Archive,
    recovery: Option<&Recovery>,
) -> anyhow::Result<Nodes> {
    let has_data = NODES.iter().any(|name| layout.root().join(name).join("data").exists());
    if recovery.is_none() {
        archive.check_new(has_data)?;
    }
    let mut nodes = Nodes { postgres: BTreeMap::new(), patroni: BTreeMap::new() };
    for name in NODES {
        nodes.postgres.insert(name.to_owned(), ports.port(&format!("postgres-{name}"))?);
        nodes.patroni.insert(name.to_owned(), ports.port(&format!("patroni-{name}"))?);
    }
    let patroni = doctor::path_of("patroni")?;
    let mut processes: Vec<Arc<Process>> = Vec::new();
    for name in NODES {
        let folder = layout.folder(name)?;
        layout.folder(&format!("logs/postgres-{name}"))?;
        let file = folder.join("patroni.yml");
        // JSON is YAML.
        let mut configuration = configuration(layout, name, &nodes, etcd)?;
        for (key, value) in archive.parameters() {
            configuration["postgresql"]["parameters"][key] = value;
        }
        if let Some(recovery) = recovery {
            recovery.begin_with(&mut configuration, archive);
        }
        layout.write(&file, &serde_json::to_string_pretty(&configuration)?)?;
        let pipe = folder.join(WATCHDOG);
        watchdog::make(&pipe)?;
        layout.own(&pipe)?;
        let program =
            layout.engine(name, &patroni).directory(&folder).kept(&settings.minigram).watchdog(pipe);
        processes.push(members.start(program.arg(&file))?);
    }
    let client = http_client()?;
    let complete = async {
        if recovery.is_none() {
            let what = "one node of PostgreSQL is the primary, and two follow it";
            let is_complete =
                || async { leader(&client, &nodes.patroni).await.is_some_and(|cluster| cluster.is_complete) };
            return wait_until(what, READY_BOUND, is_complete).await;
        }
        let what = "one node of PostgreSQL has replayed the archive and is the primary";
        let is_led = || async { leader(&client, &nodes.patroni).await.is_some() };
        wait_until(what, RECOVERY_BOUND, is_led).await?;
        copying::wait(layout, &client, &nodes, &processes, settings.copy_stalled_max).await
    };
    let complete = async {
        tokio::select! {
            complete = complete => complete,
            error = first_ended(&processes) => Err(error),
        }
    };
    complete.await.with_context(|| format!("see {}/node-*.log", layout.root().join("logs").display()))?;
    create(layout, &nodes, &client, archive).await?;
    Ok(nodes)
}

/// Waits for a node to end, which it does when it cannot begin.
async fn first_ended(processes: &[Arc<Process>]) -> anyhow::Error {
    let ends = processes.iter().map(|process| Box::pin(async move { (process.ended().await, process) }));
    let ((status, process), ..) = futures_util::future::select_all(ends).await;
    anyhow::anyhow!("{} ended ({status}):\n{}", process.name(), process.log_end())
}

fn configuration(layout: &Layout, name: &str, nodes: &Nodes, etcd: u16) -> anyhow::Result<Value> {
    let (postgres, patroni) = (nodes.postgres[name], nodes.patroni[name]);
    let folder = layout.root().join(name);
    let login = |user: &str, role: &str| -> anyhow::Result<Value> {
        Ok(json!({ "username": user, "password": layout.secret(role)? }))
    };
    Ok(json!({
        "scope": "minigram",
        "name": name,
        "restapi": {
            "listen": format!("127.0.0.1:{patroni}"),
            "connect_address": format!("127.0.0.1:{patroni}"),
            "authentication": login(PATRONI_USER, "patroni")?,
        },
        // Ends the node 5 seconds before its lock ends, if Patroni or PostgreSQL hangs.
        "watchdog": {
            "mode": "required",
            "driver": "testing",
            "device": folder.join(WATCHDOG),
            "safety_margin": 5,
        },
        "etcd3": { "host": format!("127.0.0.1:{etcd}") },
        "bootstrap": {
            "dcs": dynamic_configuration(),
            "initdb": [{ "encoding": "UTF8" }, { "locale": "C.UTF-8" }, "data-checksums"],
        },
        "postgresql": {
            "listen": format!("127.0.0.1:{postgres}"),
            "connect_address": format!("127.0.0.1:{postgres}"),
            "data_dir": folder.join("data"),
            "bin_dir": doctor::postgres_programs()?,
            "pgpass": folder.join("pgpass"),
            "authentication": {
                "superuser": login("postgres", "postgres")?,
                "replication": login("replicator", "replicator")?,
            },
            "pg_hba": [
                "host replication replicator 127.0.0.1/32 scram-sha-256",
                "host all all 127.0.0.1/32 scram-sha-256",
            ],
            "basebackup": [{ "checkpoint": "fast" }],
            "parameters": {
                "log_directory": layout.root().join("logs").join(format!("postgres-{name}")),
                "unix_socket_directories": "",
            },
        },
    }))
}

/// What all nodes share, kept in etcd. How long writes stop depends on it:
///
/// - `ttl`: a node that is lost holds the primary's lock for this long; 20 seconds are the least that Patroni takes.
/// - `primary_start_timeout` 0: a primary that crashes is not started again first, a replica takes over at once.
/// - `synchronous_mode`: a write is acknowledged when a replica has it too, and only such a replica is promoted.
fn dynamic_configuration() -> Value {
    json!({
        "ttl": 20,
        "loop_wait": 1,
        "retry_timeout": 5,
        "primary_start_timeout": 0,
        "synchronous_mode": true,
        "maximum_lag_on_failover": 1_048_576,
        "postgresql": {
            "use_pg_rewind": true,
            "use_slots": true,
            "parameters": {
                "max_connections": 200,
                "shared_buffers": "64MB",
                "max_wal_size": "512MB",
                "wal_keep_size": "64MB",
                "max_slot_wal_keep_size": "1GB",
                "wal_retrieve_retry_interval": "200ms",
                "wal_receiver_status_interval": "1s",
                "hot_standby_feedback": "on",
                "password_encryption": "scram-sha-256",
                "logging_collector": "on",
                "log_destination": "jsonlog",
                "log_timezone": "UTC",
                // One file for each hour of the day, written anew the next day.
                "log_filename": "postgres-%H.log",
                "log_rotation_age": "1h",
                "log_truncate_on_rotation": "on",
                "log_min_duration_statement": "500ms",
            },
        },
    })
}

/// Creates roles and databases that do not exist yet, and sets the passwords to those of the state directory.
async fn create(
    layout: &Layout,
    nodes: &Nodes,
    client: &reqwest::Client,
    archive: &Archive,
) -> anyhow::Result<()> {
    let leader = leader(client, &nodes.patroni).await.context("PostgreSQL has no primary")?;
    let mut connection = superuser(layout, leader.port).await?;
    let system = "SELECT system_identifier::text FROM pg_control_system()";
    let system: String =
        sqlx::query_scalar(system).fetch_one(&mut connection).await.context("the database's identity")?;
    archive.claim(&system)?;
    for (role, limits) in [("minigram", ""), ("evenkeel", "CONNECTION LIMIT 20")] {
        // Passwords are hexadecimal digits, and need no quoting.
        let password = layout.secret(role)?;
        if !exists(&mut connection, "SELECT 1 FROM pg_roles WHERE rolname = $1", role).await? {
            execute(&mut connection, format!("CREATE ROLE {role} LOGIN {limits}")).await?;
        }
        execute(&mut connection, format!("ALTER ROLE {role} PASSWORD '{password}'")).await?;
    }
    // `minigram shards move` reads how far the replicas are, which others may not see.
    execute(&mut connection, "GRANT pg_read_all_stats TO minigram".to_owned()).await?;
    for database in DATABASES {
        if !exists(&mut connection, "SELECT 1 FROM pg_database WHERE datname = $1", database).await? {
            execute(&mut connection, format!("CREATE DATABASE {database} OWNER minigram")).await?;
        }
    }
    connection.close().await.context("the primary does not end the session")
}

/// A session of the superuser on a node.
pub async fn superuser(layout: &Layout, port: u16) -> anyhow::Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .password(&layout.secret("postgres")?)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    PgConnection::connect_with(&options).await.context("the primary refuses its superuser")
}

async fn exists(connection: &mut PgConnection, query: &'static str, name: &str) -> anyhow::Result<bool> {
    let row = sqlx::query(query).bind(name).fetch_optional(connection).await;
    Ok(row.with_context(|| format!("{query}: {name}"))?.is_some())
}

async fn execute(connection: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.context("roles and databases")?;
    Ok(())
}
