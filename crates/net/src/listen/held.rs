//! Which process listens on an address already: this one alone, or another. The kernel tells apart only users.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel_types::Address;

/// The state `TCP_LISTEN` in proc_net_tcp(5).
const LISTEN: &str = "0A";
/// The state `TCP_SYN_RECV`: before Linux 4.4, connections that are being opened stand beside their listening socket.
const OPENING: &str = "03";
/// The state of a socket of UDP that is not connected.
const UNCONNECTED: &str = "07";

/// Whether a socket bound to `wide` gets the connections to `narrow` when no socket listens there.
pub fn covers(wide: &Address, narrow: &Address) -> bool {
    matches!((wide, narrow), (Address::Ip(wide), Address::Ip(narrow)) if includes(*wide, *narrow))
}

/// Of which processes the sockets are that listen on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// All are of the process that is asked about.
    Own,
    /// Some are of others.
    Others,
    /// There is none. One that comes or goes meanwhile may hide others from this look.
    Nobody,
}

/// Who listens on `address` or on one that overlaps with it, of TCP or of UDP, in the network of the process `pid`: that process, or
/// others.
///
/// # Errors
/// `/proc`, which tells it, cannot be read: there is no such process, or it is of another user.
pub fn holder(pid: u32, address: SocketAddr, is_udp: bool) -> io::Result<Holder> {
    look(&pid.to_string(), address, is_udp)
}

/// The same of this process.
pub(super) fn holder_here(address: SocketAddr, is_udp: bool) -> io::Result<Holder> {
    look("self", address, is_udp)
}

fn look(process: &str, address: SocketAddr, is_udp: bool) -> io::Result<Holder> {
    let (table, table6, state) = if is_udp { ("udp", "udp6", UNCONNECTED) } else { ("tcp", "tcp6", LISTEN) };
    let mut holder = Holder::Nobody;
    for table in [table, table6] {
        let table = match File::open(format!("/proc/{process}/net/{table}")) {
            // A kernel without IPv6.
            Err(error) if table.ends_with('6') && error.kind() == io::ErrorKind::NotFound => continue,
            table => table?,
        };
        let mut held = HashSet::new();
        note_listening(table, state, address, &mut held)?;
        if held.is_empty() {
            continue;
        }
        if !has_all(process, held)? {
            return Ok(Holder::Others);
        }
        holder = Holder::Own;
    }
    Ok(holder)
}

/// Whether all sockets with these inodes are the process's.
fn has_all(process: &str, mut inodes: HashSet<u64>) -> io::Result<bool> {
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        // It may have been closed in the meantime.
        let Ok(target) = fs::read_link(descriptor?.path()) else { continue };
        if let Some(inode) = target.to_str().and_then(socket_inode) {
            inodes.remove(&inode);
        }
        if inodes.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes the inode of each socket in `table` that listens on an address that overlaps with `address`.
fn note_listening(
    table: impl Read,
    state: &str,
    address: SocketAddr,
    held: &mut HashSet<u64>,
) -> io::Result<()> {
    for line in BufReader::new(table).lines().skip(1) {
        let line = line?;
        if state == LISTEN && is_connection(&line) {
            // The kernel lists all listening sockets first. Connections, of which there may be very many, need not be read.
            break;
        }
        held.extend(
            listening(&line, state).filter(|(local, _)| overlap(*local, address)).map(|(_, inode)| inode),
        );
    }
    Ok(())
}

fn is_connection(line: &str) -> bool {
    line.split_ascii_whitespace().nth(3).is_some_and(|state| ![LISTEN, OPENING].contains(&state))
}

/// The address and inode of a listening socket, from a line of proc_net_tcp(5).
fn listening(line: &str, state: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != state {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    Some((SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?), fields.nth(5)?.parse().ok()?))
}

/// An IP address as 32-bit words in hexadecimal, each in the machine's byte order.
fn ip_of(words: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(words.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if words.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?];
    <[u8; 16]>::try_from(words.as_flattened()).ok().map(IpAddr::from)
}

/// The inode in `socket:[INODE]`, as a link in `/proc/self/fd` reads.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether one connection could be for both.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    includes(a, b) || includes(b, a)
}

/// `[::]` is taken to include IPv4: ours does, and others' may.
fn includes(wide: SocketAddr, narrow: SocketAddr) -> bool {
    let (ip, other) = (wide.ip().to_canonical(), narrow.ip().to_canonical());
    let all = ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4());
    wide.port() == narrow.port() && (ip == other || all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_when_a_connection_could_be_for_both() {
        let check = |a: &str, b: &str| {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(overlap(a, b), overlap(b, a));
            overlap(a, b)
        };
        for (a, b) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("127.0.0.1:80", "[::]:80"),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
            ("0.0.0.0:80", "[::]:80"),
            ("[::1]:80", "[::]:80"),
        ] {
            assert!(check(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "[::1]:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("0.0.0.0:80", "[::]:81"),
        ] {
            assert!(!check(a, b), "{a} {b}");
        }
    }

    #[test]
    fn listening_sockets_are_found_in_the_kernels_table() {
        for ip in ["127.0.0.1", "::1"] {
            // There need not be IPv6.
            let Ok(socket) = std::net::TcpListener::bind((ip, 0)) else { continue };
            let address = socket.local_addr().unwrap();
            assert_eq!(holder_here(address, false).unwrap(), Holder::Own, "{address}");
            assert_eq!(holder_here(address, true).unwrap(), Holder::Nobody, "{address} of UDP");
            // A process sees what another one has.
            assert_eq!(holder(std::process::id(), address, false).unwrap(), Holder::Own, "{address}");
            assert_eq!(holder(std::os::unix::process::parent_id(), address, false).unwrap(), Holder::Others);
            drop(socket);
            assert_eq!(holder_here(address, false).unwrap(), Holder::Nobody, "{address}");
        }
    }

    #[test]
    fn connections_are_not_read() {
        struct Unread;
        impl Read for Unread {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("read to the end"))
            }
        }
        let line = |number: u8, state: &str| {
            format!("   {number}: 0100007F:1F90 00000000:0000 {state} 0:0 00:0 0  1000  0 471{number} 1 0\n")
        };
        let table = |states: &[&str]| {
            let lines = states.iter().zip(0..).map(|(state, number)| line(number, state));
            format!("  sl  local_address rem_address   st\n{}", lines.collect::<String>())
        };
        let address = "127.0.0.1:8080".parse().unwrap();
        let mut held = HashSet::new();
        let tcp = table(&[LISTEN, OPENING, LISTEN, "06"]);
        note_listening(tcp.as_bytes().chain(Unread), LISTEN, address, &mut held).unwrap();
        assert_eq!(held, HashSet::from([4710, 4712]));
        let udp = table(&["01", UNCONNECTED]);
        held.clear();
        note_listening(udp.as_bytes(), UNCONNECTED, address, &mut held).unwrap();
        assert_eq!(held, HashSet::from([4711]));
    }

    #[test]
    fn lines_that_are_no_listening_socket_are_passed_over() {
        let line =
            "   3: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0";
        assert_eq!(listening(line, LISTEN), Some(("0.0.0.0:8080".parse().unwrap(), 4711)));
        for line in [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "   3: 00000000:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0",
            "   3: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0",
            "   3: 000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0",
        ] {
            assert_eq!(listening(line, LISTEN), None, "{line}");
        }
    }
}
