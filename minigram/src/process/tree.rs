//! A process and all that it has started, as the kernel shows them.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How many processes of one tree are looked at.
const MEMBERS_MAX: usize = 4096;
/// How often a tree is looked at anew while it grows under the hand that ends it.
const ROUNDS_MAX: usize = 50;
/// Between two looks at processes that are about to end.
const PAUSE: Duration = Duration::from_millis(5);

/// One process, distinguished from a later one with the same number by the time at which it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: Pid,
    /// When it started, in ticks of the kernel since the machine did.
    pub started: u64,
}

impl Member {
    /// The process with this number, if it has not ended.
    pub fn find(id: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).ok()?;
        // The name of the program is in parentheses, and may contain any.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let (state, threads) = (*fields.first()?, *fields.get(17)?);
        // The first thread of a process that ends may do so before the others, which still hold its files.
        if state == "X" || (state == "Z" && matches!(threads, "0" | "1")) {
            return None;
        }
        Some(Self { id, started: fields.get(19)?.parse().ok()? })
    }

    /// True until it has ended, whether or not its parent has taken note of the end.
    pub fn is_alive(&self) -> bool {
        Self::find(self.id) == Some(*self)
    }

    /// Sends it a signal; does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            let _ = kill_process(self.id, signal);
        }
    }

    /// The name of its program, such as `postgres`: the first 15 characters.
    pub fn program(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.id.as_raw_nonzero()));
        name.unwrap_or_default().trim_end().to_owned()
    }

    /// The file of its program, if it has not ended.
    pub fn file(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.id.as_raw_nonzero())).ok()
    }

    /// An argument that it was started with; the program itself is number 0.
    pub fn argument(&self, number: usize) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.id.as_raw_nonzero())).unwrap_or_default();
        let argument = line.split(|byte| *byte == 0).nth(number).unwrap_or_default();
        String::from_utf8_lossy(argument).into_owned()
    }
}

/// All processes below `root`, parents before their children; `root` is not among them.
pub fn descendants(root: Pid) -> Vec<Member> {
    let mut found = Vec::new();
    let mut queue = VecDeque::from([root]);
    while let Some(parent) = queue.pop_front() {
        for child in children(parent) {
            if found.len() < MEMBERS_MAX {
                queue.push_back(child);
                found.extend(Member::find(child));
            }
        }
    }
    found
}

fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero();
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split(' ').filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect::<Vec<_>>())
        .collect()
}

/// Ends all processes below `root` as a crash does. They are stopped first, so that none starts another one meanwhile.
pub fn kill_descendants(root: Pid) -> Vec<Member> {
    let mut stopped: Vec<Member> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let new: Vec<Member> = descendants(root).into_iter().filter(|it| !stopped.contains(it)).collect();
        if new.is_empty() {
            break;
        }
        new.iter().for_each(|member| member.signal(Signal::STOP));
        stopped.extend(new);
    }
    stopped.iter().for_each(|member| member.signal(Signal::KILL));
    stopped
}

/// Waits until these processes have ended, no longer than `bound`; true if they have.
pub fn wait_gone(members: &[Member], bound: Duration) -> bool {
    let begun = Instant::now();
    while members.iter().any(Member::is_alive) {
        if begun.elapsed() > bound {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}
