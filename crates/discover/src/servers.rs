//! Which servers a pool gets of addresses and services: ids, weights, backups, and how many at most.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use evenkeel_config::Backend;
use evenkeel_types::Address;

/// Servers that DNS can give a pool: what one message of 64 KiB can hold of A records. Each has probes and figures.
pub const SERVERS_MAX: usize = 4_096;

/// The highest weight that a server of the configuration may have.
const WEIGHT_MAX: u32 = 1_000;

/// What SRV records say of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
}

/// Servers by their address, which is their id.
#[derive(Debug, Default)]
pub(crate) struct Addresses(BTreeMap<SocketAddr, Rank>);

impl Addresses {
    /// Adds an address; of several mentions, the lowest priority counts, and then the highest weight. One at which there
    /// cannot be a server is left out.
    pub(crate) fn add(&mut self, ip: IpAddr, port: u16, rank: Rank) {
        if !can_be_a_server(ip) || port == 0 {
            return;
        }
        let known = self.0.entry(SocketAddr::new(ip, port)).or_insert(rank);
        if (rank.priority, u16::MAX - rank.weight) < (known.priority, u16::MAX - known.weight) {
            *known = rank;
        }
    }

    /// The servers in the order of their addresses, primaries first, and how many there were too many. Those of the
    /// lowest priority are primaries, all others backups.
    pub(crate) fn servers(self) -> (Vec<Backend>, usize) {
        let Some(lowest) = self.0.values().map(|rank| rank.priority).min() else { return (Vec::new(), 0) };
        let (mut primaries, mut backups): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, rank)| rank.priority == lowest);
        // A nearer priority comes first where only some of them fit.
        backups.sort_by_key(|(_, rank)| rank.priority);
        let left_out = (primaries.len() + backups.len()).saturating_sub(SERVERS_MAX);
        primaries.truncate(SERVERS_MAX);
        backups.truncate(SERVERS_MAX - primaries.len());
        let mut servers = tier(&primaries, false);
        servers.extend(tier(&backups, true));
        (servers, left_out)
    }
}

/// The servers of one tier. Weights that a pool cannot have are scaled: the proportions stay, to one part in a
/// thousand. A weight of 0 among others is the smallest share that there is (RFC 2782: "a very small chance of being
/// selected"); where all are 0, all are equal.
fn tier(addresses: &[(SocketAddr, Rank)], backup: bool) -> Vec<Backend> {
    let weights = || addresses.iter().map(|(_, rank)| u32::from(rank.weight));
    let highest = weights().max().unwrap_or_default();
    let fits = highest <= WEIGHT_MAX && weights().all(|weight| weight > 0);
    let scaled = |weight: u32| match weight {
        weight if fits => weight,
        0 => 1,
        weight => (weight * WEIGHT_MAX / highest).max(1),
    };
    let server = |(address, rank): &(SocketAddr, Rank)| {
        let mut server = Backend::new(Address::Ip(*address));
        server.weight = scaled(rank.weight.into());
        server.backup = backup;
        server
    };
    addresses.iter().map(server).collect()
}

/// False for addresses that name no single machine, or that need a zone, which the DNS does not give. Blocking resolvers
/// answer with `0.0.0.0` where a name is forbidden; a connection there would reach this machine.
fn can_be_a_server(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast()),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, u16, u16)]) -> Vec<(String, u32, bool)> {
        let mut addresses = Addresses::default();
        for (address, priority, weight) in entries {
            let address: SocketAddr = address.parse().unwrap();
            let rank = Rank { priority: *priority, weight: *weight };
            addresses.add(address.ip(), address.port(), rank);
        }
        let (servers, left_out) = addresses.servers();
        assert_eq!(left_out, 0);
        servers.into_iter().map(|server| (server.id.to_string(), server.weight, server.backup)).collect()
    }

    fn server(id: &str, weight: u32, backup: bool) -> (String, u32, bool) {
        (id.into(), weight, backup)
    }

    #[test]
    fn the_lowest_priority_is_primary_and_all_others_are_backups() {
        let servers = of(&[("10.0.0.3:80", 20, 5), ("10.0.0.1:80", 10, 60), ("10.0.0.2:80", 30, 7)]);
        assert_eq!(
            servers,
            [
                server("10.0.0.1:80", 60, false),
                server("10.0.0.3:80", 5, true),
                server("10.0.0.2:80", 7, true)
            ]
        );
    }

    #[test]
    fn weights_are_taken_as_they_are_or_scaled() {
        let weights = |weights: &[u16]| {
            let names: Vec<String> = (0..weights.len()).map(|i| format!("10.0.0.{i}:80")).collect();
            let entries: Vec<_> = names.iter().zip(weights).map(|(name, w)| (name.as_str(), 1, *w)).collect();
            of(&entries).into_iter().map(|(_, weight, _)| weight).collect::<Vec<_>>()
        };
        assert_eq!(weights(&[1, 2, 1000]), [1, 2, 1000]);
        assert_eq!(weights(&[0, 0]), [1, 1]);
        assert_eq!(weights(&[0, 1, 2]), [1, 500, 1000]);
        assert_eq!(weights(&[65_535, 32_768, 1]), [1000, 500, 1]);
    }

    #[test]
    fn an_address_is_one_server_however_often_it_is_named() {
        let servers = of(&[("10.0.0.1:80", 20, 9), ("10.0.0.1:80", 10, 2), ("10.0.0.1:80", 10, 5)]);
        assert_eq!(servers, [server("10.0.0.1:80", 5, false)]);
        assert_eq!(of(&[("10.0.0.1:80", 1, 1), ("10.0.0.1:81", 1, 1)]).len(), 2);
    }

    #[test]
    fn addresses_without_a_machine_are_left_out() {
        let none =
            ["0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80", "[::]:80", "[ff02::1]:80", "[fe80::1]:80"];
        for address in none.into_iter().chain(["10.0.0.1:0", "[::ffff:0.0.0.0]:80"]) {
            assert!(of(&[(address, 1, 1)]).is_empty(), "{address}");
        }
        assert_eq!(of(&[("[fd00::1]:80", 1, 1), ("127.0.0.1:80", 1, 1)]).len(), 2);
    }

    #[test]
    fn no_more_servers_than_the_maximum_and_primaries_first() {
        let mut addresses = Addresses::default();
        for i in 0..SERVERS_MAX as u32 + 10 {
            let rank = Rank { priority: if i < 20 { 9 } else { 1 }, weight: 0 };
            addresses.add(IpAddr::V4((0x0a00_0000 + i).into()), 80, rank);
        }
        let (servers, left_out) = addresses.servers();
        assert_eq!((servers.len(), left_out), (SERVERS_MAX, 10));
        assert_eq!(servers.iter().filter(|server| server.backup).count(), 10);
    }
}
