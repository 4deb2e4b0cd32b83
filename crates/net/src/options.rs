//! Options of TCP sockets: those that clients connect to, and those that connect to servers.

use std::cell::Cell;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Between two probes of a connection that has been silent for too long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Probes without an answer after which the kernel gives a connection up.
const KEEPALIVE_PROBES: u32 = 4;

/// Options of sockets that clients connect to. Connections take them over without a system call each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that the kernel completes before we accept them; `net.core.somaxconn` caps it.
    pub backlog: u32,
    /// For how long a connection may be silent before the kernel asks whether its client is still there.
    pub tcp_keepalive: Option<Duration>,
    /// Connections that may be open before their handshakes are complete (RFC 7413); `None` is without.
    pub fast_open: Option<u32>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 4096, tcp_keepalive: None, fast_open: None }
    }
}

impl ListenOptions {
    /// Makes `socket` listen.
    pub(crate) fn listen(&self, socket: &socket2::Socket, is_tcp: bool) -> io::Result<()> {
        self.prepare(socket, is_tcp)?;
        listen(socket, self.backlog)
    }

    /// Sets the options of a socket that is to listen.
    pub(crate) fn prepare(&self, socket: &socket2::Socket, is_tcp: bool) -> io::Result<()> {
        if is_tcp {
            socket.set_tcp_nodelay(true)?;
            if let Some(idle) = self.tcp_keepalive {
                keep_alive(socket, idle)?;
            }
            if let Some(queue) = self.fast_open {
                set(socket, libc::TCP_FASTOPEN, libc::IPPROTO_TCP, queue)?;
            }
        }
        Ok(())
    }
}

/// Makes `socket` listen, with so many connections in its queue.
pub(crate) fn listen(socket: &socket2::Socket, backlog: u32) -> io::Result<()> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// The largest backlog that the kernel gives, `net.core.somaxconn`; `None` if it does not tell.
pub fn backlog_max() -> Option<u32> {
    fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// Options of connections to servers.
#[derive(Debug, Default)]
pub struct Dial {
    bind_from: Box<[IpAddr]>,
    tcp_keepalive: Option<Duration>,
    /// Whose turn it is among `bind_from`.
    turn: Cell<usize>,
}

impl Dial {
    /// Connections that come from these addresses in turn, or from any if there are none; the kernel asks whether the
    /// server of one that was silent for `tcp_keepalive` is still there.
    pub fn new(bind_from: &[IpAddr], tcp_keepalive: Option<Duration>) -> Self {
        Self { bind_from: bind_from.into(), tcp_keepalive, turn: Cell::new(0) }
    }

    /// True if they are made with these options.
    pub fn is(&self, bind_from: &[IpAddr], tcp_keepalive: Option<Duration>) -> bool {
        *self.bind_from == *bind_from && self.tcp_keepalive == tcp_keepalive
    }

    /// Prepares a socket that is to connect to `address`.
    pub(crate) fn prepare(&self, socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
        if let Some(idle) = self.tcp_keepalive {
            keep_alive(socket, idle)?;
        }
        self.bind_source(socket, address)
    }

    /// Gives a socket that is to connect to `address` the address that it is to come from.
    pub(crate) fn bind_source(&self, socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
        if self.bind_from.is_empty() {
            return Ok(());
        }
        let source = self.source(address.is_ipv4()).ok_or_else(|| {
            let why = format!("`bind_from` has no address of the family of {address}");
            io::Error::new(io::ErrorKind::AddrNotAvailable, why)
        })?;
        // The kernel chooses the port when it knows the destination: one port serves for many of them.
        set(socket, libc::IP_BIND_ADDRESS_NO_PORT, libc::IPPROTO_IP, 1)?;
        SockRef::from(socket).bind(&SocketAddr::new(source, 0).into())
    }

    /// The next address of a family.
    fn source(&self, is_ipv4: bool) -> Option<IpAddr> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let fitting = || self.bind_from.iter().filter(|ip| ip.is_ipv4() == is_ipv4);
        fitting().nth(turn % fitting().count().max(1)).copied()
    }
}

fn keep_alive(socket: &impl AsFd, idle: Duration) -> io::Result<()> {
    let options =
        TcpKeepalive::new().with_time(idle).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    SockRef::from(socket).set_tcp_keepalive(&options)
}

/// Leaves it to the bytes that `socket` will send first to acknowledge what it has received until then.
pub(crate) fn acknowledge_by_data(socket: &impl AsFd) {
    // A kernel that refuses that sends a packet more.
    let _ = set(socket, libc::TCP_QUICKACK, libc::IPPROTO_TCP, 0);
}

/// Sets an option that is a number, and for which neither socket2 nor rustix has a function.
pub(crate) fn set(socket: &impl AsFd, option: libc::c_int, level: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for as long as it is borrowed, and the kernel reads `length` bytes of `value`.
    let done = unsafe { libc::setsockopt(socket, level, option, (&raw const value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inherited;

    /// An option of a real socket.
    fn get(socket: &impl AsFd, option: libc::c_int) -> libc::c_int {
        let (mut value, mut length) = (0, size_of::<libc::c_int>() as libc::socklen_t);
        let raw = socket.as_fd().as_raw_fd();
        // SAFETY: the kernel writes at most `length` bytes to `value`.
        let got = unsafe {
            libc::getsockopt(raw, libc::IPPROTO_TCP, option, (&raw mut value).cast(), &raw mut length)
        };
        assert_eq!(got, 0, "{}", io::Error::last_os_error());
        value
    }

    fn socket(options: &ListenOptions) -> socket2::Socket {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        options.listen(&socket, true).unwrap();
        socket
    }

    #[test]
    fn accepted_connections_take_keepalive_over() {
        let listening = socket(&ListenOptions {
            tcp_keepalive: Some(Duration::from_secs(77)),
            ..ListenOptions::default()
        });
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        client.connect(&listening.local_addr().unwrap()).unwrap();
        let (accepted, _) = listening.accept().unwrap();
        assert!(accepted.keepalive().unwrap());
        assert_eq!(get(&accepted, libc::TCP_KEEPIDLE), 77);
        assert_eq!(get(&accepted, libc::TCP_KEEPINTVL), 15);
        assert_eq!(get(&accepted, libc::TCP_KEEPCNT), 4);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(!client.keepalive().unwrap());
        Dial::new(&[], Some(Duration::from_secs(33))).prepare(&client, ([127, 0, 0, 1], 1).into()).unwrap();
        assert_eq!((client.keepalive().unwrap(), get(&client, libc::TCP_KEEPIDLE)), (true, 33));
    }

    #[test]
    fn a_socket_that_is_taken_over_gets_the_options_that_it_is_to_have() {
        let options = ListenOptions {
            fast_open: Some(16),
            tcp_keepalive: Some(Duration::from_secs(77)),
            ..ListenOptions::default()
        };
        let listening = socket(&options);
        let take = |options: &ListenOptions| {
            let inherited = Inherited::take(listening.try_clone().unwrap().into()).unwrap();
            inherited.into_socket(options).unwrap();
        };
        take(&options);
        assert_eq!((get(&listening, libc::TCP_FASTOPEN), listening.keepalive().unwrap()), (16, true));
        take(&ListenOptions::default());
        assert_eq!((get(&listening, libc::TCP_FASTOPEN), listening.keepalive().unwrap()), (0, false));
    }

    #[test]
    fn fast_open_and_backlog_are_the_kernels() {
        assert_eq!(get(&socket(&ListenOptions::default()), libc::TCP_FASTOPEN), 0);
        let options = ListenOptions { fast_open: Some(16), backlog: 7, ..ListenOptions::default() };
        let listening = socket(&options);
        assert_eq!(get(&listening, libc::TCP_FASTOPEN), 16);
        // The accept queue takes one more than the backlog; then the kernel completes no further handshake.
        let address = listening.local_addr().unwrap();
        let connected = (0..12).take_while(|_| {
            let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let is_connected = client.connect_timeout(&address, Duration::from_millis(200)).is_ok();
            std::mem::forget(client);
            is_connected
        });
        assert_eq!(connected.count(), 8);
        assert!(backlog_max().is_some_and(|max| max > 0));
    }

    #[test]
    fn sources_take_turns_within_their_family() {
        let ips = ["127.0.0.2", "::1", "127.0.0.3"].map(|ip| ip.parse().unwrap());
        let dial = Dial::new(&ips, None);
        let turns: Vec<_> = (0..4).map(|_| dial.source(true).unwrap().to_string()).collect();
        assert_eq!(turns, ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
        assert_eq!(dial.source(false).unwrap().to_string(), "::1");
        assert!(Dial::new(&ips[..1], None).source(false).is_none());
    }
}
