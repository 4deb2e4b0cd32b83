//! Which parts of a system use the cores of the machine, by the names of their threads.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::up::running::SYSTEM;

/// Linux counts CPU time in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time until now, by part.
#[derive(Debug, Clone)]
pub struct Snapshot {
    at: Instant,
    ticks: BTreeMap<String, u64>,
    machine: Machine,
}

#[derive(Debug, Clone, Copy, Default)]
struct Machine {
    busy: u64,
    all: u64,
}

/// Cores that parts used between two snapshots.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// Cores of each part, the largest first.
    pub parts: Vec<(String, f64)>,
    /// The share of all cores of the machine that was busy, 0 to 1.
    pub machine: f64,
}

impl Snapshot {
    /// Reads it for these processes, each with its name.
    #[must_use]
    pub fn take(processes: &[(String, u32)]) -> Self {
        let mut ticks = BTreeMap::new();
        for (name, process) in processes {
            let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                if let Some((thread, used)) = parse(&stat) {
                    *ticks.entry(part(name, thread)).or_default() += used;
                }
            }
        }
        Self {
            at: Instant::now(),
            ticks,
            machine: machine(&fs::read_to_string("/proc/stat").unwrap_or_default()),
        }
    }

    /// What was used since `before`. Threads that have ended since are not counted.
    #[must_use]
    pub fn since(&self, before: &Self) -> Usage {
        let seconds = self.at.duration_since(before.at).max(Duration::from_millis(1)).as_secs_f64();
        let per_second = seconds * TICKS_PER_SECOND;
        let used = |(part, ticks): (&String, &u64)| {
            let ticks = ticks.saturating_sub(before.ticks.get(part).copied().unwrap_or(0));
            (part.clone(), ticks as f64 / per_second)
        };
        let mut parts: Vec<(String, f64)> = self.ticks.iter().map(used).collect();
        parts.sort_by(|one, other| other.1.total_cmp(&one.1));
        let all = self.machine.all.saturating_sub(before.machine.all).max(1);
        let busy = self.machine.busy.saturating_sub(before.machine.busy);
        Usage { parts, machine: busy as f64 / all as f64 }
    }
}

/// The name of a thread and its CPU time in ticks, from `/proc/PID/task/TID/stat`.
fn parse(stat: &str) -> Option<(&str, u64)> {
    // The name is in parentheses, and may have some itself.
    let (start, rest) = stat.rsplit_once(") ")?;
    let (_, name) = start.split_once('(')?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some((name, ticks(11)? + ticks(12)?))
}

/// What the threads of a process work for.
fn part(process: &str, thread: &str) -> String {
    match thread {
        _ if process != SYSTEM => process.to_owned(),
        _ if thread.starts_with("app-") => "application servers".to_owned(),
        _ if thread.starts_with("sqlx-sqlite") => "database (SQLite)".to_owned(),
        _ => "workers, passwords, files".to_owned(),
    }
}

/// Busy and all ticks of the machine, from `/proc/stat`.
fn machine(stat: &str) -> Machine {
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        first.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).take(8).collect();
    let all: u64 = ticks.iter().sum();
    // The fourth is idle, the fifth waits for disks.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Machine { busy: all - idle, all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_for_the_part_that_they_work_for() {
        let stat = "12 (app-1 (x)) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(parse(stat), Some(("app-1 (x)", 42)));
        assert_eq!(part(SYSTEM, "app-1"), "application servers");
        assert_eq!(part(SYSTEM, "sqlx-sqlite-wor"), "database (SQLite)");
        assert_eq!(part("evenkeel", "app-1"), "evenkeel");
    }

    #[test]
    fn a_busy_thread_shows() {
        let own = [("test".to_owned(), std::process::id())];
        let before = Snapshot::take(&own);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(begun);
        }
        let usage = Snapshot::take(&own).since(&before);
        assert_eq!(usage.parts[0].0, "test");
        assert!(usage.parts[0].1 > 0.1, "{usage:?}");
        assert!(usage.machine > 0.0 && usage.machine <= 1.0, "{usage:?}");
    }
}
