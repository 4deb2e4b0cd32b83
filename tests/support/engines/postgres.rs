//! A PostgreSQL primary and its streaming replicas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::process::{Engine, Home, Place, ordinary, run, wait_for};

/// The superuser, which needs no password from this machine.
pub(super) const SUPERUSER: &str = "postgres";

const SETTINGS: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
shared_buffers = 16MB
max_connections = 40
wal_keep_size = 64MB
wal_retrieve_retry_interval = 100ms
autovacuum = off
log_timezone = 'UTC'
";

/// Who may do what: `probe` needs its password, `old` one of MD5, and the superuser none.
const ACCESS: &str = "host replication all 127.0.0.1/32 trust
host all probe 127.0.0.1/32 scram-sha-256
host all old 127.0.0.1/32 md5
host all all 127.0.0.1/32 trust
";

/// Rows that say which server has written them, and on which timeline.
const WRITES: &str = "CREATE TABLE writes (number bigint, port int DEFAULT inet_server_port(), \
    timeline text DEFAULT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))";

/// A primary and its replicas. The roles `probe` (SCRAM) and `old` (MD5) exist, both with the password `s3cret`.
pub struct Cluster {
    /// The first one begins as the primary.
    pub nodes: Vec<Node>,
}

/// One server.
pub struct Node {
    name: String,
    home: Home,
    place: Place,
    engine: Option<Engine>,
}

impl Cluster {
    /// The password of the login roles.
    pub const PASSWORD: &str = "s3cret";

    /// Starts a primary and so many replicas that follow it; returns when all take queries.
    pub fn start(replicas: usize) -> Self {
        let mut primary = Node::new("a");
        primary.initialize();
        primary.start();
        let password = Self::PASSWORD;
        primary.query(&format!("CREATE ROLE probe LOGIN PASSWORD '{password}'"));
        primary.query("CREATE TABLE written (at serial, text text)");
        primary.query(WRITES);
        let old = format!("CREATE ROLE old LOGIN PASSWORD '{password}'");
        primary.query_all(&["SET password_encryption = 'md5'", &old]);
        let mut nodes = vec![primary];
        for name in ["b", "c", "d"].into_iter().take(replicas) {
            let mut replica = Node::new(name);
            replica.copy(&nodes[0]);
            replica.start();
            nodes.push(replica);
        }
        Self { nodes }
    }
}

impl Node {
    fn new(name: &str) -> Self {
        Self { name: name.into(), home: Home::new(), place: Place::reserve(), engine: None }
    }

    /// Its name: `a`, `b`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.place.port
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn initialize(&self) {
        let mut command = ordinary(&program("initdb"));
        command.arg("--pgdata").arg(self.data());
        run(command.args(["--username", SUPERUSER, "--auth", "trust", "--no-sync", "--locale", "C"]));
        let settings = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&settings).unwrap() + SETTINGS;
        fs::write(settings, text).unwrap();
        self.allow(ACCESS);
    }

    /// Copies the data of another server, which it follows from then on. It must not run.
    pub fn copy(&mut self, from: &Self) {
        assert!(self.engine.is_none(), "{} runs", self.name);
        let _ = fs::remove_dir_all(self.data());
        let mut command = ordinary(&program("pg_basebackup"));
        command.arg("--pgdata").arg(self.data());
        command.args(["--host", "127.0.0.1", "--port", &from.port().to_string(), "--username", SUPERUSER]);
        run(command.args(["--write-recovery-conf", "--no-sync", "--checkpoint", "fast"]));
    }

    /// Starts it; returns when it takes queries.
    pub fn start(&mut self) {
        self.start_only();
        let Self { home, engine, .. } = self;
        let engine = engine.as_mut().expect("it was started");
        let ready = format!("SELECT 1 /* {} */", self.name);
        let port = self.place.port;
        wait_for("PostgreSQL takes queries", || {
            assert!(engine.is_running(), "PostgreSQL ended:\n{}", home.log("log"));
            psql(port, &[&ready]).output().unwrap().status.success()
        });
    }

    /// Starts it, and does not wait.
    pub fn start_only(&mut self) {
        let (data, port) = (self.data(), self.port().to_string());
        let data = data.to_str().unwrap();
        self.engine =
            Some(Engine::start(&self.home, "log", &program("postgres"), &["-D", data, "-p", &port]));
    }

    /// Runs one statement as the superuser; the values of its rows, separated by `|`.
    pub fn query(&self, sql: &str) -> String {
        self.query_all(&[sql])
    }

    fn query_all(&self, statements: &[&str]) -> String {
        run(&mut psql(self.port(), statements))
    }

    /// Makes a replica the primary; returns when it takes writes.
    pub fn promote(&self) {
        self.query("SELECT pg_promote(true, 30)");
    }

    /// The time of day, in seconds of UTC, at which it last began to take queries as what it is now, as its log says.
    pub fn ready_at(&self) -> f64 {
        let log = fs::read_to_string(self.home.path().join("log")).unwrap();
        let ready = |line: &&str| line.contains("is ready to accept connections");
        let line = log.lines().rfind(ready).expect("it has started");
        super::process::time_of_day(line.split(' ').nth(1).unwrap()).unwrap()
    }

    /// Follows another server from now on. It must be a replica.
    pub fn follow(&self, other: &Self) {
        let to = format!("host=127.0.0.1 port={} user={SUPERUSER}", other.port());
        self.query(&format!("ALTER SYSTEM SET primary_conninfo = '{to}'"));
        self.query("SELECT pg_reload_conf()");
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.engine.take().into_iter().for_each(|mut engine| engine.kill());
    }

    /// Shuts it down as an operator does (`fast`); the server says so to its clients.
    pub fn shut_down(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            engine.signal(Signal::INT);
            engine.wait();
        }
    }

    /// Has it shut down once its sessions have ended (`smart`); it takes no new ones.
    pub fn shut_down_later(&self) {
        self.engine.as_ref().expect("it runs").signal(Signal::TERM);
    }

    /// Stops all of its processes, with their connections open.
    pub fn freeze(&self) {
        self.engine.as_ref().expect("it runs").signal_all(Signal::STOP);
    }

    /// Stops the process that accepts connections, and no other.
    pub fn freeze_postmaster(&self) {
        self.engine.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Has it start as a replica that waits in vain for a primary, and takes no queries. It must not run.
    pub fn hold_in_recovery(&self) {
        fs::write(self.data().join("standby.signal"), "").unwrap();
        let settings = self.data().join("postgresql.auto.conf");
        let text = fs::read_to_string(&settings).unwrap() + "hot_standby = off\n";
        fs::write(settings, text).unwrap();
    }

    /// Lets its processes go on.
    pub fn thaw(&self) {
        self.engine.as_ref().expect("it runs").signal_all(Signal::CONT);
    }

    /// Speaks TLS from now on, with this certificate and key in PEM, with clients that ask for it.
    pub fn speak_tls(&self, certificate: &str, key: &str) {
        let files = [("ssl_cert_file", "server.pem", certificate), ("ssl_key_file", "server.key", key)];
        for (setting, name, text) in files {
            let path = self.home.write_secret(name, text);
            self.query(&format!("ALTER SYSTEM SET {setting} = '{path}'"));
        }
        self.query("ALTER SYSTEM SET ssl = on");
        self.query("SELECT pg_reload_conf()");
        wait_for("PostgreSQL speaks TLS", || self.query("SHOW ssl") == "on");
    }

    /// Replaces the rules about who may connect (`pg_hba.conf`); they are in force when it starts, or after [`Self::allow_now`].
    pub fn allow(&self, rules: &str) {
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
    }

    /// Puts these lines before the rules about who may connect.
    pub fn allow_now(&self, first: &str) {
        self.allow(&format!("{first}\n{ACCESS}"));
        self.query("SELECT pg_reload_conf()");
    }
}

fn psql(port: u16, statements: &[&str]) -> Command {
    let mut command = Command::new(program("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--host", "127.0.0.1"]);
    command.args(["--port", &port.to_string(), "--username", SUPERUSER, "--dbname", "postgres"]);
    command.args(statements.iter().flat_map(|statement| ["--command", statement]));
    command.env("PGCONNECT_TIMEOUT", "5");
    command
}

/// A program of PostgreSQL; Debian keeps those of the server out of the path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.into_iter().rev().chain(std::env::split_paths(&path));
    let found = all.map(|folder| folder.join(name)).find(|file: &PathBuf| Path::is_file(file));
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install postgresql-15"))
}
