//! What requests have in common that a limit counts together: the same bytes for the same key.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use evenkeel_config::{LimitKey, RateLimit};
use sha2::{Digest, Sha256};

use crate::keys::Keys;

/// The hash by which this process finds a request's key. SipHash with a secret key of this process, so that no client
/// can choose keys that meet in one place.
pub fn hash(limit: &RateLimit, request: &impl Keys, keyed: &RandomState) -> u64 {
    let mut hasher = keyed.build_hasher();
    feed(limit, request, &mut |bytes| hasher.write(bytes));
    hasher.finish()
}

/// The name of a request's key in the shared rate-limit Redis: 128 bits in hexadecimal digits, which reveal no address
/// and no token.
pub fn name(limit: &RateLimit, request: &impl Keys) -> String {
    let mut digest = Sha256::new();
    feed(limit, request, &mut |bytes| digest.update(bytes));
    digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hands out the bytes of a key, such that no two keys have the same.
fn feed(limit: &RateLimit, request: &impl Keys, out: &mut dyn FnMut(&[u8])) {
    for part in &limit.per {
        match part {
            LimitKey::Route => {}
            LimitKey::ClientIp => match network(request.client(), limit.ipv6_prefix) {
                IpAddr::V4(ip) => out(&ip.octets()),
                IpAddr::V6(ip) => out(&ip.octets()),
            },
            LimitKey::Host => feed_value(Some(request.host().as_bytes()), out),
            LimitKey::Header(name) => feed_value(request.header(name), out),
            LimitKey::Cookie(name) => feed_value(request.cookie(name), out),
        }
    }
}

/// What is absent is a key as well, and another one than what is empty.
fn feed_value(value: Option<&[u8]>, out: &mut dyn FnMut(&[u8])) {
    let length = value.map_or(0, |value| value.len() as u64 + 1);
    out(&length.to_le_bytes());
    out(value.unwrap_or_default());
}

/// The network that a client belongs to: a client that has one IPv6 address has all of its network. An IPv4 address stands for
/// itself, also where it is written as one of IPv6.
pub fn network(client: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let kept = u32::from(ipv6_prefix.min(128));
            let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}
