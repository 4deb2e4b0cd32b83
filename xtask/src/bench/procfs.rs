//! What the kernel has accounted to a process and its children: CPU time and memory (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Sub;
use std::path::PathBuf;

/// CPU time in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// All of it, to the nanosecond where the kernel has `schedstat`.
    pub total_us: f64,
    /// In user space, in clock ticks (most often 10 ms).
    pub user_us: f64,
    /// In the kernel, in clock ticks.
    pub system_us: f64,
}

impl CpuTime {
    /// What the process `id` and its descendants have used so far.
    ///
    /// # Errors
    /// The process does not exist.
    pub fn of_tree(id: u32) -> io::Result<Self> {
        let tick_us = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        let mut sum = Self::default();
        for id in tree(id)? {
            let stat = Stat::parse(&fs::read_to_string(format!("/proc/{id}/stat"))?);
            let stat = stat.ok_or_else(|| io::Error::other("/proc/PID/stat is not as proc(5) says"))?;
            sum.user_us += stat.user_ticks as f64 * tick_us;
            sum.system_us += stat.system_ticks as f64 * tick_us;
            sum.total_us += threads_us(id)?.values().sum::<f64>();
        }
        if sum.total_us == 0.0 {
            sum.total_us = sum.user_us + sum.system_us;
        }
        Ok(sum)
    }

    /// The part of `total_us` that was spent in user space.
    pub fn user_share(self) -> f64 {
        let ticks = self.user_us + self.system_us;
        if ticks > 0.0 { self.user_us / ticks } else { 0.0 }
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total_us: self.total_us - earlier.total_us,
            user_us: self.user_us - earlier.user_us,
            system_us: self.system_us - earlier.system_us,
        }
    }
}

/// CPU time of each thread of the process `id`, in microseconds; empty where the kernel has no `schedstat`.
///
/// # Errors
/// The process does not exist.
pub fn threads_us(id: u32) -> io::Result<BTreeMap<u32, f64>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{id}/task"))? {
        let path = entry?.path();
        let thread = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
        // A thread may end at any time; one that does is no worker.
        let stat = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        let ran_ns = stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
        if let (Some(thread), Some(ns)) = (thread, ran_ns) {
            threads.insert(thread, ns / 1000.0);
        }
    }
    Ok(threads)
}

/// Proportional set size of the process `id` and its descendants, in bytes: memory of their own, and
/// their share of what they hold in common.
///
/// # Errors
/// The process does not exist, or the kernel is older than 4.14.
pub fn pss_bytes(id: u32) -> io::Result<u64> {
    let mut bytes = 0;
    for id in tree(id)? {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        bytes += 1024 * kib.ok_or_else(|| io::Error::other("no Pss in smaps_rollup"))?;
    }
    Ok(bytes)
}

/// Resident memory of `processes` together, in bytes. Less work for the kernel than [`pss_bytes`], so that a process may be watched
/// closely; what several of them hold in common counts for each.
///
/// # Errors
/// One of them does not exist.
pub fn resident_bytes(processes: &[u32]) -> io::Result<u64> {
    let mut pages = 0;
    for id in processes {
        let text = fs::read_to_string(format!("/proc/{id}/statm"))?;
        let resident = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages += resident.ok_or_else(|| io::Error::other("/proc/PID/statm is not as proc(5) says"))?;
    }
    Ok(pages * rustix::param::page_size() as u64)
}

/// The process `root` and all that descend from it.
///
/// # Errors
/// There is no `/proc`.
pub fn tree(root: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path: PathBuf = entry?.path();
        let id = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok());
        let stat = id.and_then(|_| fs::read_to_string(path.join("stat")).ok());
        if let (Some(id), Some(stat)) = (id, stat.as_deref().and_then(Stat::parse)) {
            parents.push((id, stat.parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(id, _)| *id));
        next += 1;
    }
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    user_ticks: u64,
    system_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may hold spaces and parentheses of its own.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            user_ticks: fields.get(11)?.parse().ok()?,
            system_ticks: fields.get(12)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 55 66 0 0 20 0 1 0 9";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 3, user_ticks: 55, system_ticks: 66 }));
    }

    #[test]
    fn the_work_and_memory_of_children_count() {
        let loops = "(i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done) & wait";
        let mut shell = Command::new("sh").args(["-c", loops]).stdout(Stdio::null()).spawn().unwrap();
        let id = shell.id();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let mut alone = 0.0;
        let mut all = 0.0;
        while all < 50_000.0 && std::time::Instant::now() < deadline {
            alone = threads_us(id).unwrap().values().sum();
            all = CpuTime::of_tree(id).unwrap().total_us;
        }
        let memory = pss_bytes(id).unwrap();
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(all >= 50_000.0 && alone < all / 2.0, "{alone} us of {all} us");
        assert!(memory > 0);
    }
}
