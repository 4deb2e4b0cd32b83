//! Addresses of sockets as the kernel reads and writes them, and the messages about addresses and segments beside a datagram.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `UDP_SEGMENT` and `UDP_GRO` of udp(7).
pub(super) const UDP_SEGMENT: libc::c_int = 103;
pub(super) const UDP_GRO: libc::c_int = 104;

/// The address of a socket, of either family.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name([u8; size_of::<libc::sockaddr_in6>()]);

impl Name {
    pub(super) const SIZE: usize = size_of::<libc::sockaddr_in6>();
    pub(super) const EMPTY: Self = Self([0; Self::SIZE]);

    /// An address, and its length; in a socket of IPv6, IPv4 addresses are written as IPv6.
    pub(super) fn of(address: SocketAddr, is_ipv6: bool) -> (Self, usize) {
        let mut name = Self::EMPTY;
        let (ip, scope) = match address {
            SocketAddr::V4(address) if !is_ipv6 => {
                name.put(0, &(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
                name.put(offset_of!(libc::sockaddr_in, sin_port), &address.port().to_be_bytes());
                name.put(offset_of!(libc::sockaddr_in, sin_addr), &address.ip().octets());
                return (name, size_of::<libc::sockaddr_in>());
            }
            SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(address) => (*address.ip(), address.scope_id()),
        };
        name.put(0, &(libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
        name.put(offset_of!(libc::sockaddr_in6, sin6_port), &address.port().to_be_bytes());
        name.put(offset_of!(libc::sockaddr_in6, sin6_addr), &ip.octets());
        name.put(offset_of!(libc::sockaddr_in6, sin6_scope_id), &scope.to_ne_bytes());
        (name, Self::SIZE)
    }

    /// What the kernel has written; IPv4 addresses that are written as IPv6 become IPv4.
    pub(super) fn read(&self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.get(offset_of!(libc::sockaddr_in, sin_port)));
        match libc::c_int::from(libc::sa_family_t::from_ne_bytes(self.get(0))) {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(self.get::<4>(offset_of!(libc::sockaddr_in, sin_addr)));
                Some(SocketAddrV4::new(ip, port).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(self.get::<16>(offset_of!(libc::sockaddr_in6, sin6_addr)));
                let scope = u32::from_ne_bytes(self.get(offset_of!(libc::sockaddr_in6, sin6_scope_id)));
                Some(match ip.to_ipv4_mapped() {
                    Some(ip) => SocketAddrV4::new(ip, port).into(),
                    None => SocketAddrV6::new(ip, port, 0, scope).into(),
                })
            }
            _ => None,
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().unwrap_or([0; N])
    }
}

/// Messages beside a datagram (cmsg(3)): room for an address and for the length of segments.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; Self::SIZE]);

/// Bytes of a message's header.
const HEADER: usize = size_of::<libc::cmsghdr>();

/// What is said beside a datagram that has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// The address that it was sent to.
    pub(super) local: Option<IpAddr>,
    /// The bytes of each of several datagrams, all of one length but the last; 0 if it is one.
    pub(super) segment: usize,
}

impl Control {
    pub(super) const SIZE: usize = 96;
    pub(super) const EMPTY: Self = Self([0; Self::SIZE]);

    /// What the kernel has written, `length` bytes.
    pub(super) fn read(&self, length: usize) -> Beside {
        let mut beside = Beside::default();
        let mut rest = &self.0[..length.min(Self::SIZE)];
        while let Some((header, _)) = rest.split_at_checked(HEADER) {
            let number = |at: usize| i32::from_ne_bytes(header[at..at + 4].try_into().unwrap_or_default());
            let bytes = header[..size_of::<usize>()].try_into().unwrap_or_default();
            let length = usize::from_ne_bytes(bytes);
            let Some(data) = rest.get(HEADER..length) else { break };
            let level = number(offset_of!(libc::cmsghdr, cmsg_level));
            match (level, number(offset_of!(libc::cmsghdr, cmsg_type))) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let said = first::<4>(data, offset_of!(libc::in_pktinfo, ipi_addr));
                    let ours = first::<4>(data, offset_of!(libc::in_pktinfo, ipi_spec_dst));
                    // Sent to a network's broadcast address, it was not for one host.
                    let ip = if said == ours { said.map(Ipv4Addr::from) } else { Some(Ipv4Addr::BROADCAST) };
                    beside.local = ip.map(IpAddr::V4);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let at = offset_of!(libc::in6_pktinfo, ipi6_addr);
                    beside.local = first::<16>(data, at).map(|ip| Ipv6Addr::from(ip).to_canonical());
                }
                (libc::SOL_UDP, UDP_GRO) => {
                    let segment = first::<4>(data, 0).map_or(0, i32::from_ne_bytes);
                    beside.segment = usize::try_from(segment).unwrap_or(0);
                }
                _ => {}
            }
            rest = rest.get(aligned(length)..).unwrap_or_default();
        }
        beside
    }

    /// What is to be said beside datagrams that go out: from which address, and how long each of several is if not 0. Returns the
    /// length.
    pub(super) fn write(
        &mut self,
        from: Option<IpAddr>,
        to: Option<SocketAddr>,
        is_ipv6: bool,
        segment: usize,
    ) -> usize {
        let mut at = 0;
        match from {
            None => {}
            Some(IpAddr::V4(ip)) if !is_ipv6 => {
                let mut info = [0; size_of::<libc::in_pktinfo>()];
                let place = offset_of!(libc::in_pktinfo, ipi_spec_dst);
                info[place..place + 4].copy_from_slice(&ip.octets());
                at = self.put(at, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(ip) => {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let scope = match to {
                    Some(SocketAddr::V6(to)) if ip.is_unicast_link_local() => to.scope_id(),
                    _ => 0,
                };
                let mut info = [0; size_of::<libc::in6_pktinfo>()];
                let place = offset_of!(libc::in6_pktinfo, ipi6_addr);
                info[place..place + 16].copy_from_slice(&ip.octets());
                let place = offset_of!(libc::in6_pktinfo, ipi6_ifindex);
                info[place..place + 4].copy_from_slice(&scope.to_ne_bytes());
                at = self.put(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
        if let Some(segment) = u16::try_from(segment).ok().filter(|segment| *segment > 0) {
            at = self.put(at, libc::SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
        }
        at
    }

    fn put(&mut self, at: usize, level: libc::c_int, kind: libc::c_int, data: &[u8]) -> usize {
        let length = HEADER + data.len();
        let header = &mut self.0[at..at + HEADER];
        header[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
        let place = offset_of!(libc::cmsghdr, cmsg_level);
        header[place..place + 4].copy_from_slice(&level.to_ne_bytes());
        let place = offset_of!(libc::cmsghdr, cmsg_type);
        header[place..place + 4].copy_from_slice(&kind.to_ne_bytes());
        self.0[at + HEADER..at + length].copy_from_slice(data);
        at + aligned(length)
    }
}

/// Messages begin at multiples of a word.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

fn first<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at + N)?.try_into().ok()
}
