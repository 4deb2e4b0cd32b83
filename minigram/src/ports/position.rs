//! Positions in a database's log, by which a user always reads their own writes, whichever replica answers.

use serde::{Deserialize, Serialize};

/// The place of a write in the log of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which database, counted from 0. Logical shards are spread over them.
    pub database: u16,
    /// Which history of that database. A failover starts a new one.
    pub timeline: u32,
    /// How far in the log: PostgreSQL's LSN; a counter of writes in SQLite.
    pub lsn: u64,
}

impl Position {
    /// Whether a replica that has replayed its log up to `reached` shows this write.
    ///
    /// A newer timeline contains every acknowledged write of an older one, because the primary acknowledges a write
    /// only when its successor has it (`synchronous_mode` of Patroni). An LSN of the older one means nothing there.
    #[must_use]
    pub fn is_within(self, reached: Self) -> bool {
        self.database == reached.database
            && (reached.timeline > self.timeline
                || (reached.timeline == self.timeline && reached.lsn >= self.lsn))
    }
}

/// The last position that a user wrote in each database; what a read must not be behind.
///
/// Empty means that any replica may answer. There is one for each database at most, and there are no more databases
/// than [`SHARDS`](crate::ids::SHARDS).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions(Vec<Position>);

impl Positions {
    /// No write to wait for.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes note of a write; an earlier one of the same database is forgotten, a later one stays.
    pub fn note(&mut self, written: Position) {
        match self.0.iter_mut().find(|p| p.database == written.database) {
            Some(known) if known.is_within(written) => *known = written,
            Some(_) => {}
            None => self.0.push(written),
        }
    }

    /// Takes note of all of `others`.
    pub fn merge(&mut self, others: &Self) {
        for position in &others.0 {
            self.note(*position);
        }
    }

    /// The position in each database.
    pub fn iter(&self) -> impl Iterator<Item = Position> {
        self.0.iter().copied()
    }

    /// The position to wait for in this database.
    #[must_use]
    pub fn of(&self, database: u16) -> Option<Position> {
        self.0.iter().copied().find(|p| p.database == database)
    }
}

impl From<Position> for Positions {
    fn from(position: Position) -> Self {
        Self(vec![position])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(database: u16, timeline: u32, lsn: u64) -> Position {
        Position { database, timeline, lsn }
    }

    #[test]
    fn a_write_is_within_what_was_replayed_on_its_timeline_and_on_every_newer_one() {
        let check = |write: Position, reached, expected| assert_eq!(write.is_within(reached), expected);
        check(at(0, 1, 10), at(0, 1, 10), true);
        check(at(0, 1, 10), at(0, 1, 9), false);
        check(at(0, 1, 10), at(0, 2, 3), true);
        check(at(0, 2, 3), at(0, 1, 10), false);
        check(at(0, 1, 10), at(1, 1, 10), false);
    }

    #[test]
    fn positions_keep_the_latest_write_of_each_database() {
        let mut positions = Positions::none();
        for written in [at(0, 1, 10), at(1, 1, 5), at(0, 1, 8), at(0, 2, 3), at(0, 1, 99)] {
            positions.note(written);
        }
        assert_eq!(positions.of(0), Some(at(0, 2, 3)));
        assert_eq!(positions.of(1), Some(at(1, 1, 5)));
        assert_eq!(positions.of(2), None);
    }
}
