//! What opens a WebSocket over HTTP/1.1: a key, and the proof that it was read (RFC 6455, 4). Over HTTP/2 the stream itself takes
//! the place of both (RFC 8441, 5).

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What is hashed with the key (RFC 6455, 1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Key` that these random bits make.
pub fn key(random: u128) -> [u8; 24] {
    base64(&random.to_le_bytes())
}

/// The value of `Sec-WebSocket-Accept` that proves that a key was read.
pub fn accept(key: &[u8]) -> [u8; 28] {
    let mut hash = sha1_smol::Sha1::from(key);
    hash.update(SUFFIX);
    base64(&hash.digest().bytes())
}

/// The bytes in base64, with its padding; `LEN` is how many digits that takes.
fn base64<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    debug_assert_eq!(bytes.len().div_ceil(3) * 4, LEN, "the length of the text");
    let mut text = [b'='; LEN];
    for (three, digits) in bytes.chunks(3).zip(text.chunks_exact_mut(4)) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for (at, digit) in digits.iter_mut().enumerate().take(three.len() + 1) {
            *digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(&key(u128::from_le_bytes(*b"the sample nonce")), b"dGhlIHNhbXBsZSBub25jZQ==");
    }
}
