//! Which programs the real engines need, which of them are missing, and the one command that installs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A program that is needed.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// Its name in the path.
    pub program: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
    /// The option that has it say its version.
    version: &'static str,
    /// The oldest version that works here.
    pub at_least: [u32; 2],
    /// What for.
    pub purpose: &'static str,
}

const fn need(
    program: &'static str,
    package: &'static str,
    version: &'static str,
    at_least: [u32; 2],
    purpose: &'static str,
) -> Requirement {
    Requirement { program, package, version, at_least, purpose }
}

/// All that is needed. Each version is the one in Debian 12.
pub const REQUIREMENTS: [Requirement; 8] = [
    need("setpriv", "util-linux", "--version", [2, 33], "starts engines as another user"),
    need("postgres", "postgresql-15", "--version", [15, 0], "the database"),
    need("patroni", "patroni", "--version", [3, 0], "promotes a replica of the database"),
    need("etcd", "etcd-server", "--version", [3, 4], "remembers for Patroni who the primary is"),
    need("redis-server", "redis-server", "--version", [7, 0], "sessions, cache, messages between servers"),
    need("nats-server", "nats-server", "--version", [2, 9], "the queue"),
    need("prometheus", "prometheus", "--version", [2, 42], "metrics and alert rules"),
    need("prometheus-alertmanager", "prometheus-alertmanager", "--version", [0, 25], "sends alerts"),
];

/// What was found of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is there, in this version.
    Fine(PathBuf, String),
    /// It is there, and too old.
    Old(PathBuf, String),
    /// It is there, and does not say its version.
    Broken(PathBuf),
    /// It is not there.
    Missing,
}

/// Looks for a program and its version.
pub fn examine(requirement: &Requirement) -> Finding {
    let Some(path) = find(requirement.program) else { return Finding::Missing };
    let output = Command::new(&path).arg(requirement.version).stdin(Stdio::null()).output();
    let Ok(output) = output else { return Finding::Broken(path) };
    let text = [output.stdout, output.stderr].concat();
    match version_in(&String::from_utf8_lossy(&text)) {
        None => Finding::Broken(path),
        Some((numbers, text)) if numbers >= requirement.at_least => Finding::Fine(path, text),
        Some((_, text)) => Finding::Old(path, text),
    }
}

/// The first word that is a version, as in `etcd Version: 3.4.23` or `nats-server: v2.9.10` or `Redis server v=7.0.15`.
fn version_in(text: &str) -> Option<([u32; 2], String)> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '=' | ',' | '(' | ')')).find_map(|word| {
        let word = word.trim_start_matches('v');
        let version: &str = word.split(['+', '-', '~']).next()?;
        let mut numbers = version.split('.').map(str::parse::<u32>);
        let found = [numbers.next()?.ok()?, numbers.next()?.ok()?];
        Some((found, version.to_owned()))
    })
}

/// The command that installs what these findings lack.
pub fn remedy(findings: &[(Requirement, Finding)]) -> Option<String> {
    let lacking = findings.iter().filter(|(_, finding)| !matches!(finding, Finding::Fine(..)));
    let packages: Vec<&str> = lacking.map(|(requirement, _)| requirement.package).collect();
    let command = format!("sudo apt-get install --no-install-recommends {}", packages.join(" "));
    (!packages.is_empty()).then_some(command)
}

/// Looks for everything.
pub fn examine_all() -> Vec<(Requirement, Finding)> {
    REQUIREMENTS.into_iter().map(|requirement| (requirement, examine(&requirement))).collect()
}

/// Fails if a program is not there.
pub(super) fn demand_all() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        REQUIREMENTS.iter().filter(|it| find(it.program).is_none()).map(|it| it.program).collect();
    if !missing.is_empty() {
        bail!("missing: {}. `minigram doctor` says how to install them", missing.join(", "));
    }
    Ok(())
}

/// The path of a program.
pub(super) fn path_of(program: &str) -> anyhow::Result<PathBuf> {
    find(program).with_context(|| format!("{program} is missing. `minigram doctor` says how to install it"))
}

/// The folder of PostgreSQL's programs, which Debian keeps out of the path.
pub(crate) fn postgres_programs() -> anyhow::Result<PathBuf> {
    let folder = path_of("postgres")?.parent().map(Path::to_owned);
    folder.context("PostgreSQL's programs have no folder")
}

fn find(program: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|folder| Some((folder.file_name().to_str()?.parse().ok()?, folder.path().join("bin"))))
        .collect();
    versions.sort();
    let postgres = versions.into_iter().rev().map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A user's path has no sbin, where Debian has nats-server.
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let folders = postgres.chain(std::env::split_paths(&path)).chain(system);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_program_says_them() {
        let check = |text: &str, expected| assert_eq!(version_in(text).map(|it| it.0), expected, "{text}");
        check("etcd Version: 3.4.23\nGit SHA: Not provided\nGo Version: go1.19.8", Some([3, 4]));
        check("nats-server: v2.9.10", Some([2, 9]));
        check("patroni 3.0.2", Some([3, 0]));
        check("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", Some([15, 20]));
        check("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", Some([7, 0]));
        check("prometheus, version 2.42.0+ds (branch: debian/sid)", Some([2, 42]));
        check("setpriv from util-linux 2.38.1", Some([2, 38]));
        check("usage: patroni [-h]", None);
    }

    #[test]
    fn one_command_installs_what_is_missing_or_old() {
        let [setpriv, postgres, patroni, ..] = REQUIREMENTS;
        let fine = Finding::Fine("/usr/bin/setpriv".into(), "2.38.1".into());
        let old = Finding::Old("/usr/bin/patroni".into(), "2.1.0".into());
        let found = [(setpriv, fine.clone()), (postgres, Finding::Missing), (patroni, old)];
        let command = remedy(&found).unwrap();
        assert!(command.ends_with("install --no-install-recommends postgresql-15 patroni"), "{command}");
        assert_eq!(remedy(&[(setpriv, fine)]), None);
    }
}
