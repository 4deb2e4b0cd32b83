//! Positions as text that scripts can compare: of two positions in a database, the later one has the greater text.

use crate::ports::position::Position;

/// Timeline and LSN as decimals of fixed length. The database is kept beside it.
pub(super) fn to_text(position: Position) -> String {
    format!("{:010}:{:020}", position.timeline, position.lsn)
}

/// From the texts of the database and of [`to_text`].
pub(super) fn from_text(database: &str, text: &str) -> Option<Position> {
    let (timeline, lsn) = text.split_once(':')?;
    let (database, timeline) = (database.parse().ok()?, timeline.parse().ok()?);
    Some(Position { database, timeline, lsn: lsn.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_later_position_is_greater_and_is_read_as_it_was_written() {
        let at = |timeline, lsn| Position { database: 3, timeline, lsn };
        let order = [at(1, 9), at(1, 10), at(1, u64::MAX), at(2, 0), at(10, 0), at(u32::MAX, 1)];
        for pair in order.windows(2) {
            assert!(to_text(pair[0]) < to_text(pair[1]), "{pair:?}");
        }
        for written in order {
            assert_eq!(from_text("3", &to_text(written)), Some(written));
        }
    }
}
