//! `minigram engines`, started and ended as a user does it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use minigram::cluster::faults::Faults;
use minigram::cluster::{Endpoints, Running};
use minigram::process::tree::{Member, wait_gone};
use minigram::process::{Process, Program};
use rustix::process::Signal;

use crate::alerts::Receiver;
use crate::programs::{MINIGRAM, evenkeel};

/// How long a start may take on a busy machine.
const START_BOUND: Duration = Duration::from_secs(120);
/// How long processes may take to be gone.
const END_BOUND: Duration = Duration::from_secs(60);

/// A state directory that the engines' user may enter. It is removed with the value.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        Self(
            builder.prefix("minigram-cluster-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap(),
        )
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }
}

/// Running engines; they end with the value and with this process.
pub struct Engines {
    pub state: PathBuf,
    pub endpoints: Endpoints,
    pub faults: Faults,
    process: Process,
}

impl Engines {
    pub async fn start(folder: &Folder, alerts: &Receiver) -> Self {
        let (begun, state) = (Instant::now(), folder.state());
        let program = Program::new("engines", MINIGRAM, folder.0.path().join("engines.log"))
            .args(["engines", "--scrape", "1", "--webhook", &alerts.url])
            .args(["--state".as_ref(), state.as_os_str(), "--evenkeel".as_ref(), evenkeel().as_os_str()]);
        let process = Process::start(&program).unwrap();
        let is_ready = || async { Faults::open(&state).is_ok() };
        process.wait_until("all engines take requests", START_BOUND, is_ready).await.unwrap();
        println!("the engines were ready after {:.1} s", begun.elapsed().as_secs_f64());
        let faults = Faults::open(&state).unwrap();
        Self { endpoints: faults.endpoints().unwrap(), state, faults, process }
    }

    /// Runs SQL by psql, as user `minigram`, on a port; what it prints.
    pub fn psql(&self, port: u16, sql: &str) -> String {
        let mut command = Command::new("psql");
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--host",
            "127.0.0.1",
            "--port",
        ]);
        command.args([&port.to_string(), "--username", "minigram", "--dbname", &self.endpoints.databases[0]]);
        command.args(["--command", sql]).env("PGPASSWORD", self.endpoints.password("minigram").unwrap());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The process of an engine.
    pub fn process(&self, name: &str) -> Member {
        Running::read(&self.state).unwrap().process(name).unwrap()
    }

    /// Asks them to end, and checks that no process is left.
    pub async fn end_in_order(self) {
        let (begun, all) = (Instant::now(), self.all());
        let down = Command::new(MINIGRAM).arg("down").arg("--state").arg(&self.state).status().unwrap();
        assert!(down.success(), "the engines did not end: {}", self.process.log_end());
        // `down` waits for the lock of the state directory, which the kernel releases a moment before it says that the process ended.
        let status = tokio::time::timeout(END_BOUND, self.process.ended()).await.expect("it ends");
        assert_eq!(status.code(), Some(0), "{}", self.process.log_end());
        println!("the engines ended in order within {:.1} s", begun.elapsed().as_secs_f64());
        self.check_gone(&all);
        assert!(Faults::open(&self.state).is_err(), "the state directory says that the engines run");
    }

    /// Kills the one process that started them all, and checks that no other one stays.
    pub async fn die(self) {
        let (begun, all) = (Instant::now(), self.all());
        self.process.signal(Signal::KILL);
        self.process.ended().await;
        self.check_gone(&all);
        println!(
            "all {} processes were gone {:.1} s after the kill",
            all.len(),
            begun.elapsed().as_secs_f64()
        );
    }

    fn all(&self) -> Vec<Member> {
        let all = self.process.descendants();
        assert!(all.len() > 30, "{all:?}");
        all
    }

    fn check_gone(&self, all: &[Member]) {
        assert!(
            wait_gone(all, END_BOUND),
            "still there: {:?}",
            all.iter().filter(|it| it.is_alive()).collect::<Vec<_>>()
        );
        // Those that were started after the look at them work below the state directory, too.
        let begun = Instant::now();
        while let Some(process) = working_below(&self.state) {
            assert!(begun.elapsed() < END_BOUND, "process {process} works in {}", self.state.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A process that works in this folder or below it.
fn working_below(folder: &Path) -> Option<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut below = processes
        .filter(|it| std::fs::read_link(it.path().join("cwd")).is_ok_and(|at| at.starts_with(folder)));
    below.next().map(|it| it.file_name().to_string_lossy().into_owned())
}
