//! The logs of all processes of a state directory, searched as one.
//!
//! Servers, workers, Evenkeel and most engines write JSON, one object a line. Patroni, Redis and NATS write plain lines, of which the
//! time is read. What has no time of its own, such as a stack trace, belongs to the line before it.

mod files;
mod line;
mod when;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

pub use line::Line;
pub use when::{Since, text_of, time_in};

/// What to look for. Everything that is given must be true of a line.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The trace that the line belongs to.
    pub trace: Option<String>,
    /// What the name of the service begins with, such as `app` or `node-a`.
    pub service: Option<String>,
    /// The earliest time, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Text in it, whatever its case.
    pub text: Option<String>,
    /// True for warnings and errors alone.
    pub only_problems: bool,
    /// How many lines, the newest ones.
    pub lines_max: usize,
}

/// The newest lines that were looked for, the oldest of them first.
///
/// # Errors
/// The state directory has no logs.
pub fn search(state: &Path, search: &Search) -> anyhow::Result<Vec<Line>> {
    // The oldest is on top, so that it makes room.
    let mut found: BinaryHeap<Reverse<Line>> = BinaryHeap::new();
    for file in files::find(state)? {
        if search.service.as_ref().is_some_and(|service| !file.service.starts_with(service.as_str())) {
            continue;
        }
        file.each_line(|line| {
            if search.is_met_by(&line) {
                found.push(Reverse(line));
                if found.len() > search.lines_max {
                    found.pop();
                }
            }
        })?;
    }
    let mut lines: Vec<Line> = found.into_iter().map(|Reverse(line)| line).collect();
    lines.sort();
    Ok(lines)
}

impl Search {
    fn is_met_by(&self, line: &Line) -> bool {
        let is_recent = self.since_ms.is_none_or(|since| line.ms >= since);
        let has_text =
            self.text.as_ref().is_none_or(|text| line.text.to_lowercase().contains(&text.to_lowercase()));
        is_recent
            && has_text
            && (!self.only_problems || line.is_problem())
            && self.trace.as_ref().is_none_or(|trace| line.has_trace(trace))
    }
}
