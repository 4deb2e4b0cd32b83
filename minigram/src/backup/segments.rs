//! The pieces of the write-ahead log in the archive, and the histories that lead through them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::cluster::doctor::postgres_programs;
use crate::logs::time_in;

/// Bytes of a piece, as `initdb` has it.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Pieces of one number in the middle of a name.
const SEGMENTS_OF_A_LOG: u64 = 0x1_0000_0000 / SEGMENT_BYTES;

/// What the archive has.
#[derive(Debug)]
pub struct Segments {
    wal: PathBuf,
    /// Timeline and number.
    all: BTreeSet<(u32, u64)>,
    /// Timelines with a file that says where they begin.
    histories: BTreeSet<u32>,
}

/// The timelines that lead to one, oldest first.
#[derive(Debug, PartialEq, Eq)]
pub struct Lineage(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    timeline: u32,
    begin: u64,
    /// Where the next one begins; the greatest number for the last one.
    end: u64,
}

impl Segments {
    /// Reads the names in the archive.
    pub fn read(wal: &Path) -> anyhow::Result<Self> {
        let mut segments = Self { wal: wal.to_owned(), all: BTreeSet::new(), histories: BTreeSet::new() };
        let entries = fs::read_dir(wal).with_context(|| format!("{} cannot be read", wal.display()))?;
        for entry in entries {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(history) = name.strip_suffix(".history") {
                segments.histories.extend(u32::from_str_radix(history, 16));
            } else if name.len() == 24 {
                segments.all.extend(segment_of(name));
            }
        }
        Ok(segments)
    }

    /// The newest timeline that the archive knows.
    pub fn newest_timeline(&self) -> u32 {
        let segment = self.all.last().map_or(1, |(timeline, _)| *timeline);
        self.histories.last().map_or(segment, |history| segment.max(*history))
    }

    /// How a timeline came to be.
    ///
    /// # Errors
    /// The archive does not know it.
    pub fn lineage(&self, timeline: u32) -> anyhow::Result<Lineage> {
        if timeline == 1 {
            return Ok(Lineage::parse(1, ""));
        }
        let file = self.wal.join(format!("{timeline:08X}.history"));
        let text = fs::read_to_string(&file);
        let text =
            text.with_context(|| format!("the archive has no timeline {timeline}: {}", file.display()))?;
        Ok(Lineage::parse(timeline, &text))
    }

    /// The last piece that can be reached from this one without a gap.
    pub fn reaches(&self, lineage: &Lineage, first: u64) -> Option<u64> {
        (first..).take_while(|number| self.find(lineage, *number).is_some()).last()
    }

    /// The piece of a number that recovery reads.
    fn find(&self, lineage: &Lineage, number: u64) -> Option<u32> {
        let parts = lineage.0.iter().rev().filter(|part| part.has_segment(number));
        parts.map(|part| part.timeline).find(|timeline| self.all.contains(&(*timeline, number)))
    }

    /// When the last transaction was committed that is in the pieces between these, in milliseconds since the Unix epoch.
    pub fn last_commit_ms(&self, lineage: &Lineage, first: u64, last: u64) -> anyhow::Result<Option<u64>> {
        let program = postgres_programs()?.join("pg_waldump");
        for number in (first..=last).rev() {
            let Some(timeline) = self.find(lineage, number) else { continue };
            let mut command = Command::new(&program);
            command.arg("--rmgr=Transaction").arg("--path").arg(&self.wal).arg(name_of(timeline, number));
            command.env("TZ", "UTC").stdin(Stdio::null());
            // It fails at the end of a piece, where a record goes on in the next one.
            let output =
                command.output().with_context(|| format!("{} cannot be started", program.display()))?;
            let text = String::from_utf8_lossy(&output.stdout);
            ensure!(
                output.status.success() || !text.is_empty(),
                "pg_waldump: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            if let Some(ms) = text.lines().rev().find_map(commit_ms) {
                return Ok(Some(ms));
            }
        }
        Ok(None)
    }
}

/// The time in a line such as `rmgr: Transaction … desc: COMMIT 2026-11-29 22:00:05.123456 UTC; …`.
fn commit_ms(line: &str) -> Option<u64> {
    let (_, after) = line.split_once("desc: COMMIT")?;
    time_in(after.split_once(' ')?.1)
}

impl Lineage {
    /// Reads PostgreSQL's history file of a timeline: its ancestors, oldest first, and where each was left.
    fn parse(timeline: u32, text: &str) -> Self {
        let mut parts = Vec::new();
        let mut begin = 0;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let ancestor = words.next().and_then(|word| word.parse().ok());
            if let (Some(ancestor), Some(end)) = (ancestor, words.next().and_then(lsn_of)) {
                parts.push(Part { timeline: ancestor, begin, end });
                begin = end;
            }
        }
        parts.push(Part { timeline, begin, end: u64::MAX });
        Self(parts)
    }

    /// The timeline itself.
    pub fn timeline(&self) -> u32 {
        self.0.last().map_or(1, |part| part.timeline)
    }

    /// True if a place in the log of a timeline belongs to it.
    pub fn contains(&self, timeline: u32, lsn: u64) -> bool {
        self.0.iter().any(|part| part.timeline == timeline && lsn <= part.end)
    }
}

impl Part {
    fn has_segment(&self, number: u64) -> bool {
        (self.begin / SEGMENT_BYTES..=self.end / SEGMENT_BYTES).contains(&number)
    }
}

/// A place in the log, as PostgreSQL writes it.
pub fn lsn_of(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

/// Timeline and number of a piece, by the first 24 characters of a file's name.
pub fn segment_of(name: &str) -> Option<(u32, u64)> {
    let [timeline, log, segment] =
        [0..8, 8..16, 16..24].map(|part| u32::from_str_radix(name.get(part)?, 16).ok());
    Some((timeline?, u64::from(log?) * SEGMENTS_OF_A_LOG + u64::from(segment?)))
}

fn name_of(timeline: u32, number: u64) -> String {
    format!("{timeline:08X}{:08X}{:08X}", number / SEGMENTS_OF_A_LOG, number % SEGMENTS_OF_A_LOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(all: &[(u32, u64)]) -> Segments {
        Segments { wal: PathBuf::new(), all: all.iter().copied().collect(), histories: BTreeSet::new() }
    }

    #[test]
    fn names_are_read_and_written() {
        assert_eq!(segment_of("0000000200000001000000FF"), Some((2, 511)));
        assert_eq!(name_of(2, 511), "0000000200000001000000FF");
        assert_eq!(segment_of("00000002.history"), None);
        assert_eq!(lsn_of("1/20000A0"), Some(0x1_0200_00A0));
    }

    #[test]
    fn a_gap_ends_what_can_be_reached() {
        let one = Lineage::parse(1, "");
        assert_eq!(segments(&[(1, 3), (1, 4), (1, 6)]).reaches(&one, 3), Some(4));
        assert_eq!(segments(&[(1, 4)]).reaches(&one, 3), None);
    }

    #[test]
    fn a_history_leads_through_its_ancestors_and_not_beyond_where_they_were_left() {
        // Timeline 1 was left in piece 5, timeline 2 in piece 7.
        let three = Lineage::parse(3, "1\t0/5000060\tbefore 2026-11-29\n\n2\t0/7000000\tno reason\n");
        assert_eq!(three.timeline(), 3);
        let all = [(1, 4), (1, 5), (1, 6), (1, 7), (2, 5), (2, 6), (3, 7), (3, 8)];
        assert_eq!(segments(&all).reaches(&three, 4), Some(8));
        assert_eq!(
            segments(&all[..4]).reaches(&three, 4),
            Some(5),
            "piece 6 of timeline 1 is of another history"
        );
        assert!(
            three.contains(1, 0x500_0060) && !three.contains(1, 0x500_0061) && three.contains(3, u64::MAX)
        );
        assert!(!three.contains(4, 0));
    }

    #[test]
    fn the_time_of_a_commit_is_read() {
        let line = "rmgr: Transaction len (rec/tot):     34/    34, tx:        736, lsn: 0/03000110, prev 0/030000D8, desc: COMMIT 2026-11-29 22:02:26.445678 UTC";
        assert_eq!(commit_ms(line), Some(1_795_989_746_445));
        assert_eq!(commit_ms(&line.replace("COMMIT", "ABORT")), None);
    }
}
