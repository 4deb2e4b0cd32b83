//! The fetches under way: purges that may speak of their responses must not be forgotten.

use std::collections::BTreeMap;

use crate::sync::{Arc, Mutex, lock};

/// How many fetches are under way, by the number of the newest purge when their requests left.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<BTreeMap<u64, usize>>);

/// One fetch under way; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Arc<Flights>,
    sequence: u64,
}

impl Flights {
    /// Begins one. `newest` is asked under the lock, so that no purge is forgotten between the two.
    pub fn begin(self: &Arc<Self>, newest: impl FnOnce() -> u64) -> Flight {
        let mut counts = lock(&self.0);
        let sequence = newest();
        *counts.entry(sequence).or_default() += 1;
        drop(counts);
        Flight { flights: Arc::clone(self), sequence }
    }

    /// The smallest number among them, at most `most`.
    pub fn oldest(&self, most: u64) -> u64 {
        lock(&self.0).first_key_value().map_or(most, |(oldest, _)| most.min(*oldest))
    }
}

impl Flight {
    /// The number of the newest purge when the request left.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut counts = lock(&self.flights.0);
        if let Some(count) = counts.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.sequence);
            }
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_until_all_of_its_number_are_over() {
        let flights = Arc::new(Flights::default());
        assert_eq!(flights.oldest(9), 9);
        let (one, other, late) = (flights.begin(|| 3), flights.begin(|| 3), flights.begin(|| 5));
        assert_eq!((one.sequence(), late.sequence()), (3, 5));
        drop(one);
        assert_eq!((flights.oldest(9), flights.oldest(2)), (3, 2));
        drop(other);
        assert_eq!(flights.oldest(9), 5);
    }
}
