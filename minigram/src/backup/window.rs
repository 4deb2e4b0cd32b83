//! The times that a base backup can be brought to.

use std::fmt;

use super::base::Note;
use super::segments::{Lineage, SEGMENT_BYTES, Segments};
use crate::logs::text_of;

/// From when to when, in milliseconds since the Unix epoch, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the backup was complete.
    pub from_ms: u64,
    /// The last time with a later transaction in the archive: only that shows that all before it are there. Before `from_ms` if there
    /// is none.
    pub until_ms: u64,
    /// The history that leads there.
    pub timeline: u32,
}

impl Window {
    /// True if the backup can be brought to this time.
    pub fn contains(&self, ms: u64) -> bool {
        (self.from_ms..=self.until_ms).contains(&ms)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.until_ms < self.from_ms {
            return write!(f, "no time yet, because the archive has no later transaction");
        }
        write!(f, "{} to {}", text_of(self.from_ms), text_of(self.until_ms))
    }
}

/// The window of a backup on a history; `None` if it is not part of that, or the archive lacks what it needs.
pub(super) fn of(note: &Note, segments: &Segments, lineage: &Lineage) -> anyhow::Result<Option<Window>> {
    if !lineage.contains(note.timeline, note.end) {
        return Ok(None);
    }
    let first = note.first_segment();
    let Some(last) = segments.reaches(lineage, first) else { return Ok(None) };
    // Recovery must at least reach the end of the copy.
    if last < note.end.saturating_sub(1) / SEGMENT_BYTES {
        return Ok(None);
    }
    let commit = segments.last_commit_ms(lineage, first, last)?;
    let until_ms = commit.unwrap_or(0).saturating_sub(1);
    Ok(Some(Window { from_ms: note.ended_ms, until_ms, timeline: lineage.timeline() }))
}
