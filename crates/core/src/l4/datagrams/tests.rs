//! What goes back, and to whom.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::{Allowance, is_answerable};

proptest! {
    /// Before a client has sent a datagram after an answer, no more goes back than it is allowed; afterwards everything.
    #[test]
    fn answers_stay_within_their_multiple(
        max in 1_u32..20,
        turns in prop::collection::vec((any::<bool>(), 1_u32..30), 1..40),
    ) {
        let mut allowance = Allowance::default();
        let (mut sent, mut answered, mut is_shown) = (0, 0, false);
        for (is_client, count) in turns {
            if is_client {
                is_shown |= answered > 0;
                sent += count;
                allowance.handle_datagrams(count, Some(max));
            } else {
                for _ in 0..count {
                    let may = allowance.take(Some(max));
                    prop_assert_eq!(may, is_shown || answered < sent * max);
                    answered += u32::from(may);
                }
            }
        }
    }
}

#[test]
fn without_a_limit_everything_goes_back() {
    let mut allowance = Allowance::default();
    allowance.handle_datagrams(1, None);
    assert!((0..1_000).all(|_| allowance.take(None)));
    // A reload may bring the limit: the client has had answers, and shows so by its next datagram.
    assert!((0..u32::from(u16::MAX)).all(|_| allowance.take(Some(1))));
    allowance.handle_datagrams(1, Some(1));
    assert!(allowance.is_shown);
}

#[test]
fn only_single_hosts_are_answered() {
    let check = |peer: &str, local: &str| {
        let local: IpAddr = local.parse().unwrap();
        is_answerable(peer.parse::<SocketAddr>().unwrap(), Some(local))
    };
    for (peer, local) in
        [("10.0.0.1:53", "10.0.0.2"), ("[2001:db8::1]:9", "::1"), ("[::ffff:10.0.0.1]:1", "::1")]
    {
        assert!(check(peer, local), "{peer} {local}");
    }
    for (peer, local) in [
        ("10.0.0.1:0", "10.0.0.2"),
        ("224.0.0.1:53", "10.0.0.2"),
        ("255.255.255.255:53", "10.0.0.2"),
        ("0.0.0.0:53", "10.0.0.2"),
        ("[ff02::1]:53", "::1"),
        ("[::]:53", "::1"),
        ("[::ffff:224.0.0.1]:53", "::1"),
        ("10.0.0.1:53", "224.0.0.1"),
        ("10.0.0.1:53", "::ffff:255.255.255.255"),
    ] {
        assert!(!check(peer, local), "{peer} {local}");
    }
}
