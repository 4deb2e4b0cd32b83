//! CPU time: of the generator's threads, and of the processes of the target.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

/// CPU time of a thread so far.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    at: Instant,
    ran: Duration,
    /// Ready to run, and without a core.
    waited: Duration,
}

/// What a thread did within a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Busy {
    /// The share of the time in which it ran, from 0 to 1.
    pub ran: f64,
    /// The share in which it was ready to run and the machine had no core for it.
    pub waited: f64,
}

impl Reading {
    /// Of the calling thread.
    pub fn of_thread() -> Self {
        let at = Instant::now();
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut nanos = text.split(' ').map_while(|word| word.parse().ok()).map(Duration::from_nanos);
        if let (Some(ran), Some(waited)) = (nanos.next(), nanos.next()) {
            return Self { at, ran, waited };
        }
        // A kernel without CONFIG_SCHED_INFO.
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let ran = Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default());
        Self { at, ran, waited: Duration::ZERO }
    }

    /// What the thread did since then.
    pub fn until(self, later: Self) -> Busy {
        let wall = later.at.duration_since(self.at).as_secs_f64().max(1e-6);
        let share = |from: Duration, to: Duration| (to.saturating_sub(from).as_secs_f64() / wall).min(1.0);
        Busy { ran: share(self.ran, later.ran), waited: share(self.waited, later.waited) }
    }
}

/// CPU time so far of these processes and of all that they have started, also of those that have ended since. `None` when one of
/// these processes cannot be read.
pub fn of_processes(pids: &[u32]) -> Option<Duration> {
    let table = processes();
    if pids.is_empty() || !pids.iter().all(|pid| table.contains_key(pid)) {
        return None;
    }
    let mut started: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, process) in &table {
        started.entry(process.parent).or_default().push(*pid);
    }
    let (mut open, mut counted) = (pids.to_vec(), BTreeSet::new());
    while let Some(pid) = open.pop() {
        if counted.insert(pid) {
            open.extend(started.get(&pid).into_iter().flatten());
        }
    }
    let ticks: u64 = counted.iter().filter_map(|pid| table.get(pid)).map(|process| process.ticks).sum();
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// A process, as `/proc/PID/stat` has it.
#[derive(Debug, PartialEq)]
struct Process {
    parent: u32,
    /// In user and kernel mode; with those of children that have ended and that it has waited for.
    ticks: u64,
}

/// All processes that can be read.
fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // Those that have ended meanwhile cannot be read.
        Some((pid, process(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    };
    entries.filter_map(process).collect()
}

/// Reads a line of `/proc/PID/stat`. A name in it may hold spaces and brackets.
fn process(stat: &str) -> Option<Process> {
    const PARENT: usize = 1;
    const TICKS: std::ops::Range<usize> = 11..15;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = fields.get(TICKS)?.iter().map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Process { parent: fields.get(PARENT)?.parse().ok()?, ticks })
}

/// The processes that listen on a TCP port of this machine, as far as this process may see their descriptors.
pub fn listeners(port: u16) -> Vec<u32> {
    let mut inodes = BTreeSet::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        inodes.extend(listening(&fs::read_to_string(file).unwrap_or_default(), port));
    }
    let sockets: BTreeSet<String> = inodes.into_iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let mut links = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        if links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link))) {
            pids.push(pid);
        }
    }
    pids
}

/// The inodes of the sockets that listen on a port, of a text as `/proc/net/tcp` has it.
fn listening(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let is_it = fields.get(3) == Some(&LISTEN) && u16::from_str_radix(local, 16) == Ok(port);
        is_it.then(|| fields.get(9)?.parse().ok())?
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_by_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0\n\
            1: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4 30 10 -1\n\
            2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0\n";
        assert_eq!(listening(table, 8080), [111]);
        assert_eq!(listening(table, 8081), [333]);
        assert!(listening(table, 8082).is_empty());
    }

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 20 3 20 0 4 0 100 0 0";
        assert_eq!(process(stat), Some(Process { parent: 7, ticks: 223 }));
        assert_eq!(process("gone"), None);
    }

    #[test]
    fn what_a_process_has_started_counts_for_it_also_when_it_has_ended() {
        let own = [std::process::id()];
        let worked = Duration::from_millis(200);
        let before = of_processes(&own).unwrap();
        let work = "while :; do :; done";
        let mut child = std::process::Command::new("sh").args(["-c", work]).spawn().unwrap();
        let used = || of_processes(&own).unwrap() - before;
        let deadline = Instant::now() + Duration::from_secs(20);
        while used() < worked && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lives = used();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lives >= worked, "{lives:?}");
        assert!(used() >= lives, "{:?} instead of {lives:?}", used());
        assert_eq!(of_processes(&[own[0], child.id()]), None, "a target that has ended");
    }

    #[test]
    fn a_thread_that_works_is_busy() {
        let before = Reading::of_thread();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {}
        let busy = before.until(Reading::of_thread());
        assert!(busy.ran + busy.waited > 0.5, "{busy:?}");
    }

    #[test]
    fn a_process_that_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = listeners(listener.local_addr().unwrap().port());
        assert_eq!(found, [std::process::id()]);
        assert!(of_processes(&found).is_some());
        assert_eq!(of_processes(&[]), None);
    }
}
