//! `minigram engines` with a backup directory of its own, and other commands of `minigram`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use minigram::cluster::Endpoints;
use minigram::cluster::faults::Faults;
use minigram::process::tree::wait_gone;
use minigram::process::{Process, Program};
use rustix::process::Signal;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::programs::{MINIGRAM, evenkeel};

/// How long anything may take on a busy machine.
pub const BOUND: Duration = Duration::from_secs(120);

/// Where everything of a test is. It is removed with the value.
pub struct Places(tempfile::TempDir);

impl Places {
    pub fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        let mode = Permissions::from_mode(0o755);
        Self(builder.prefix("minigram-backup-").permissions(mode).tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.at("state")
    }

    /// On another disk, let us say.
    pub fn backup(&self) -> PathBuf {
        self.at("backup")
    }

    pub fn pictures(&self) -> PathBuf {
        self.at("pictures")
    }

    /// The end of a command's options: these places.
    pub fn options(&self) -> [PathBuf; 4] {
        ["--state".into(), self.state(), "--directory".into(), self.backup()]
    }
}

/// Runs `minigram` to its end.
pub fn minigram(arguments: &[&str], more: &[PathBuf]) -> Output {
    Command::new(MINIGRAM).args(arguments).args(more).output().unwrap()
}

/// What a command printed that must succeed.
pub fn succeed(arguments: &[&str], more: &[PathBuf]) -> String {
    let output = minigram(arguments, more);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a command that must fail.
pub fn fail(arguments: &[&str], more: &[PathBuf]) -> String {
    let output = minigram(arguments, more);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Running engines; they end with the value and with this process.
pub struct Engines<'a> {
    pub places: &'a Places,
    pub endpoints: Endpoints,
    pub faults: Faults,
    process: Process,
}

impl<'a> Engines<'a> {
    /// Starts them with alerts after two seconds, and an archive that is a second behind.
    pub async fn start(places: &'a Places, webhook: &str) -> Self {
        let (begun, state) = (Instant::now(), places.state());
        let program = Program::new("engines", MINIGRAM, places.at("engines.log"))
            .args(["engines", "--scrape", "1", "--alert-after", "2", "--archive-every", "1"])
            .args(["--webhook", webhook, "--evenkeel"])
            .args([
                evenkeel().to_owned(),
                "--backup".into(),
                places.backup(),
                "--state".into(),
                state.clone(),
            ]);
        let process = Process::start(&program).unwrap();
        let is_ready = || async { Faults::open(&state).is_ok() };
        process.wait_until("all engines take requests", BOUND, is_ready).await.unwrap();
        println!("the engines were ready after {:.1} s", begun.elapsed().as_secs_f64());
        let faults = Faults::open(&state).unwrap();
        Self { places, endpoints: faults.endpoints().unwrap(), faults, process }
    }

    /// A session through Evenkeel's port for writes, or for reads.
    pub async fn session(&self, is_for_writes: bool) -> PgConnection {
        let [write, read] = self.endpoints.database_urls(&self.endpoints.databases[0]).unwrap();
        PgConnection::connect(if is_for_writes { &write } else { &read }).await.unwrap()
    }

    /// Kills them all at once, as a lost machine.
    pub async fn die(self) {
        let all = self.process.descendants();
        self.process.signal(Signal::KILL);
        self.process.ended().await;
        assert!(wait_gone(&all, BOUND), "processes are still there");
    }
}

/// One number of a query.
pub async fn number(session: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(session).await.unwrap()
}
