//! Which datagrams a udp listener takes, and how many go back before a client has shown that it gets them.

use std::net::{IpAddr, SocketAddr};

/// True if a datagram from `peer`, sent to `local`, can be answered: it comes from one host, and was sent to one.
pub fn is_answerable(peer: SocketAddr, local: Option<IpAddr>) -> bool {
    peer.port() != 0 && is_one_host(peer.ip()) && local.is_none_or(is_one_host)
}

fn is_one_host(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
    }
}

/// How many datagrams may go back to the client of one session. Anyone can send a datagram in another's name, and so could have a
/// server flood that other; until a client shows that it gets answers, it therefore gets no more of them than a multiple of what it
/// has sent. It shows that by a datagram that follows an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    left: u32,
    has_answered: bool,
    is_shown: bool,
}

impl Allowance {
    /// One of which another process has counted this much: how many may go back, whether some have, and whether the client has shown
    /// that it gets them.
    pub fn of(left: u32, has_answered: bool, is_shown: bool) -> Self {
        Self { left, has_answered, is_shown }
    }

    /// What [`of`](Self::of) makes it of.
    pub fn parts(self) -> (u32, bool, bool) {
        (self.left, self.has_answered, self.is_shown)
    }

    /// The client has sent `count` datagrams; each allows `max` in return, `None` is any number.
    #[inline]
    pub fn handle_datagrams(&mut self, count: u32, max: Option<u32>) {
        if self.has_answered {
            self.is_shown = true;
        } else {
            self.left = self.left.saturating_add(count.saturating_mul(max.unwrap_or(u32::MAX)));
        }
    }

    /// True if one more datagram may go back, which is counted.
    #[inline]
    pub fn take(&mut self, max: Option<u32>) -> bool {
        if self.is_shown || max.is_none() {
            self.has_answered = true;
            return true;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.has_answered = true;
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
