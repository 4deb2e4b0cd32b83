//! Panic: when ejections have left too few servers, those ejected are better than none.
//!
//! If most servers fail at once the cause is seldom in the servers, and the few that are left would break under
//! what was meant for all (Envoy's panic threshold).

/// Servers that share traffic, in numbers; those of weight 0 left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// All but the drained.
    pub whole: usize,
    /// Those that are up.
    pub up: usize,
    /// Those that are ejected.
    pub ejected: usize,
}

/// The servers of a pool, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Those that are no backups.
    pub primaries: Group,
    /// Those that are used only when no other is up.
    pub backups: Group,
}

impl Census {
    /// Whether ejected servers are to be used: when none would be left without them, or fewer than `threshold`
    /// hundredths of the pool. Where no other server is up the backups that are count in their place, so that a pool
    /// fails over to backups that are enough.
    pub fn panics(&self, threshold: u32) -> bool {
        let Self { primaries, backups } = self;
        let (left, ejected) = match primaries.up {
            0 => (backups.up, primaries.ejected + backups.ejected),
            up => (up, primaries.ejected),
        };
        ejected > 0 && (left == 0 || left as u64 * 100 < u64::from(threshold) * primaries.whole as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(whole: usize, up: usize, ejected: usize) -> Group {
        Group { whole, up, ejected }
    }

    #[track_caller]
    fn check(primaries: Group, backups: Group, threshold: u32, expected: bool) {
        assert_eq!(Census { primaries, backups }.panics(threshold), expected);
    }

    #[test]
    fn it_panics_below_the_threshold_and_not_at_it() {
        let none = Group::default();
        check(group(4, 2, 2), none, 50, false);
        check(group(5, 2, 3), none, 50, true);
        check(group(5, 2, 3), none, 40, false);
        check(group(5, 2, 3), none, 0, false);
    }

    #[test]
    fn servers_that_are_down_count_but_are_no_reason_by_themselves() {
        let none = Group::default();
        check(group(4, 1, 0), none, 50, false);
        check(group(4, 1, 1), none, 50, true);
    }

    #[test]
    fn no_ejection_leaves_a_pool_without_a_server_whatever_the_threshold() {
        check(group(2, 0, 1), Group::default(), 0, true);
        check(group(2, 0, 0), group(1, 0, 1), 0, true);
        check(group(2, 0, 0), Group::default(), 100, false);
    }

    #[test]
    fn backups_that_are_enough_take_over_and_others_do_not() {
        check(group(1, 0, 1), group(1, 1, 0), 50, false);
        check(group(10, 0, 10), group(1, 1, 0), 50, true);
        // They help only where no other server is up.
        check(group(10, 1, 9), group(9, 9, 0), 50, true);
        check(group(3, 3, 0), group(1, 0, 1), 100, false);
    }
}
