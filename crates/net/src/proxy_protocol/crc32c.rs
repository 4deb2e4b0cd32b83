//! CRC-32C (RFC 9260, appendix A), the checksum of a header: a few hundred bytes once a connection, bit by bit.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of these bytes, one slice after the other.
pub(super) fn of<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let bytes = slices.into_iter().flatten();
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_that_of_the_catalogue() {
        assert_eq!(super::of([&b"1234"[..], b"56789"]), 0xe306_9283);
    }
}
