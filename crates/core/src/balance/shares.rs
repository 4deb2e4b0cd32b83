//! Servers laid end to end by weight, so that a number falls to one of them in proportion.

use fastrand::Rng;

/// A list of servers with their shares of the whole. Weights are divided by their greatest common divisor.
#[derive(Debug, Default)]
pub(super) struct Shares {
    servers: Box<[u32]>,
    /// Running sums of the weights; empty when all weigh the same, each then being 1.
    cumulative: Box<[u64]>,
    total: u64,
}

impl Shares {
    /// The shares of `(server, weight)`, in the order given; none of the weights is 0.
    pub fn new(list: &[(usize, u32)]) -> Self {
        let divisor = list.iter().fold(0, |divisor, &(_, weight)| gcd(divisor, weight));
        let mut total = 0;
        let mut cumulative: Box<[u64]> = list
            .iter()
            .map(|&(_, weight)| {
                debug_assert!(weight > 0, "a server without weight takes no share");
                total += u64::from(weight / divisor.max(1));
                total
            })
            .collect();
        if total == list.len() as u64 {
            cumulative = Box::default();
        }
        Self { servers: list.iter().map(|&(server, _)| server as u32).collect(), cumulative, total }
    }

    /// How many servers.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// True without servers.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// True when all weigh the same.
    pub fn is_equal(&self) -> bool {
        self.cumulative.is_empty()
    }

    /// The sum of the reduced weights.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The server at `place`, below [`len`](Self::len).
    pub fn server(&self, place: usize) -> usize {
        self.servers[place] as usize
    }

    /// The servers in order.
    pub fn servers(&self) -> impl Iterator<Item = usize> {
        self.servers.iter().map(|&server| server as usize)
    }

    /// The reduced weight of the server at `place`.
    pub fn weight(&self, place: usize) -> u64 {
        if self.is_equal() { 1 } else { self.cumulative[place] - self.before(place) }
    }

    /// The place whose share `point` falls into, for a point below [`total`](Self::total).
    pub fn place(&self, point: u64) -> usize {
        if self.is_equal() { point as usize } else { self.cumulative.partition_point(|&end| end <= point) }
    }

    /// A place at random, by weight. There must be one.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        self.place(rng.u64(..self.total))
    }

    /// A place at random, by weight, that is not `first`; `None` if there is no other.
    pub fn draw_other(&self, rng: &mut Rng, first: usize) -> Option<usize> {
        let own = self.weight(first);
        if own == self.total {
            return None;
        }
        let point = rng.u64(..self.total - own);
        Some(self.place(if point < self.before(first) { point } else { point + own }))
    }

    fn before(&self, place: usize) -> u64 {
        match place.checked_sub(1) {
            None => 0,
            Some(_) if self.is_equal() => place as u64,
            Some(previous) => self.cumulative[previous],
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_falls_to_one_server_in_proportion() {
        let shares = Shares::new(&[(7, 20), (8, 10), (9, 30)]);
        let fallen: Vec<usize> =
            (0..shares.total()).map(|point| shares.server(shares.place(point))).collect();
        assert_eq!(fallen, [7, 7, 8, 9, 9, 9]);
    }

    #[test]
    fn the_other_of_a_draw_is_never_the_first_and_keeps_proportion() {
        let shares = Shares::new(&[(0, 1), (1, 2), (2, 1)]);
        let mut rng = Rng::with_seed(1);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[shares.draw_other(&mut rng, 0).unwrap_or(0)] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!((6_400..6_900).contains(&counts[1]), "two thirds, not {counts:?}");
        assert_eq!(Shares::new(&[(0, 5)]).draw_other(&mut rng, 0), None);
    }
}
