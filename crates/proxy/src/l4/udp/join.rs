//! Datagrams of one session that follow one another and have one length are given to the kernel as one message.

use std::ops::Range;

use evenkeel_net::{Outbox, SEGMENTS_MAX};

/// Bytes that one message may have; with the headers of UDP and IP it must be within 65,535.
const BYTES_MAX: usize = 65_000;

/// A stretch of datagrams that is one message, and the length of each if it is several.
pub type Stretch = (Range<usize>, usize);

/// Datagrams of these lengths in as few messages as possible. In each, all but the last have one length, and the last no greater.
pub fn join(lengths: &[usize]) -> Vec<Stretch> {
    stretches(lengths, Outbox::takes_segments())
}

fn stretches(lengths: &[usize], joins: bool) -> Vec<Stretch> {
    let mut messages: Vec<Stretch> = Vec::new();
    let mut is_open = false;
    for (at, &length) in lengths.iter().enumerate() {
        if let Some((range, segment)) = messages.last_mut().filter(|_| is_open) {
            let bytes = *segment * range.len() + length;
            if length <= *segment && length > 0 && range.len() < SEGMENTS_MAX && bytes <= BYTES_MAX {
                range.end = at + 1;
                is_open = length == *segment;
                continue;
            }
        }
        messages.push((at..at + 1, length));
        is_open = joins && length > 0;
    }
    // One alone is not to be taken apart.
    messages.iter_mut().filter(|(range, _)| range.len() == 1).for_each(|(_, segment)| *segment = 0);
    messages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn datagrams_of_one_length_are_one_message() {
        let check = |lengths: &[usize], expected: &[Stretch]| assert_eq!(stretches(lengths, true), expected);
        check(&[], &[]);
        check(&[7], &[(0..1, 0)]);
        check(&[7, 7, 7], &[(0..3, 7)]);
        check(&[7, 7, 3, 7], &[(0..3, 7), (3..4, 0)]);
        check(&[3, 7, 7], &[(0..1, 0), (1..3, 7)]);
        check(&[0, 0, 5, 0], &[(0..1, 0), (1..2, 0), (2..3, 0), (3..4, 0)]);
        check(&[40_000, 40_000], &[(0..1, 0), (1..2, 0)]);
        assert_eq!(stretches(&[7, 7], false), [(0..1, 0), (1..2, 0)]);
    }

    proptest! {
        #[test]
        fn no_datagram_is_lost_and_each_message_can_be_taken_apart(
            lengths in prop::collection::vec(prop_oneof![Just(0), Just(100), Just(1200), 0_usize..65_507], 0..200),
        ) {
            let mut next = 0;
            for (range, segment) in stretches(&lengths, true) {
                prop_assert_eq!(range.start, next);
                next = range.end;
                let (last, others) = lengths[range].split_last().expect("one at least");
                prop_assert!(others.iter().all(|length| *length == segment && segment > 0));
                prop_assert!(others.is_empty() && segment == 0 || *last <= segment && *last > 0);
                let bytes: usize = others.iter().sum();
                prop_assert!(others.is_empty() || bytes + last <= BYTES_MAX && others.len() < SEGMENTS_MAX);
            }
            prop_assert_eq!(next, lengths.len());
        }
    }
}
