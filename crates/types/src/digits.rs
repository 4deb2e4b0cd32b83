//! The decimal digits of small numbers, without a division for each.

/// The digits of each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// The three decimal digits of a number below 1,000, with leading zeros.
#[inline]
pub fn three_digits(n: u64) -> [u8; 3] {
    debug_assert!(n < 1_000, "{n} has more than three digits");
    let [tens, ones] = PAIRS[(n % 100) as usize];
    [b'0'.wrapping_add((n / 100) as u8), tens, ones]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_that_are_displayed() {
        for n in 0..1_000 {
            assert_eq!(three_digits(n), format!("{n:03}").as_bytes());
        }
    }
}
