//! What the results were measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Resource;
use serde::Serialize;

/// The machine and the versions of all that took part.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// UTC, `YYYY-MM-DD`.
    pub date: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// 1, 5 and 15 minutes, before the first scenario: above zero, something else was running.
    pub load_average: String,
    /// One line for each program.
    pub versions: Vec<String>,
}

impl Machine {
    /// Describes this machine and `programs`; what cannot be found out is `unknown`.
    pub fn read(programs: &[&Path]) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: first_line(Command::new("date").args(["-u", "+%Y-%m-%d"])),
            cpu: model.and_then(|l| l.split_once(": ")).map_or("unknown", |(_, name)| name).into(),
            cores: usable_cores().len(),
            kernel: first_line(Command::new("uname").args(["-s", "-r", "-m"])),
            load_average: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            versions: programs.iter().map(|program| version(program)).collect(),
        }
    }
}

/// The numbers of the cores that this process may use.
pub fn usable_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec![0] };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Raises the limit on open files as far as it goes, for all children too; the limit.
pub fn raise_open_files() -> u64 {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

fn version(program: &Path) -> String {
    let flag = match program.file_name().and_then(|name| name.to_str()) {
        // wrk prints its version with its usage and fails.
        Some("nginx" | "haproxy" | "wrk") => "-v",
        Some("openssl") => "version",
        Some("varnishd") => "-V",
        // A build of ours may have any name.
        _ => "--version",
    };
    first_line(Command::new(program).arg(flag))
}

/// The first line of what `command` prints, on stdout or else stderr.
pub fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return "unknown".into() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").trim().into()
}
