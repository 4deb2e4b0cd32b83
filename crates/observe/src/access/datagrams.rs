//! Datagrams to a daemon that may come later, go away and come back: the socket is made anew when it fails.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::patience::Patience;

/// How long a daemon that is away is left alone before it is looked for again.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// Who takes datagrams.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// A socket of this machine.
    Local(PathBuf),
    /// A host and a port.
    Udp(String, u16),
}

#[derive(Debug)]
enum Socket {
    Local(UnixDatagram),
    Udp(UdpSocket),
}

/// A socket to one peer.
#[derive(Debug)]
pub(super) struct Datagrams {
    peer: Peer,
    socket: Option<Socket>,
    /// When the peer was looked for last, in vain, and why.
    away: Option<(Instant, ErrorKind)>,
}

impl Datagrams {
    /// To this peer; it is looked for with the first datagram.
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, socket: None, away: None }
    }

    /// Has the next datagram look for the peer anew.
    pub(super) fn reopen(&mut self) {
        (self.socket, self.away) = (None, None);
    }

    /// Sends one.
    ///
    /// # Errors
    /// It is lost; with `InvalidInput`, because it is too long for the peer.
    pub(super) fn send(&mut self, datagram: &[u8], patience: &mut Patience) -> io::Result<()> {
        let mut is_fresh = self.socket.is_none();
        loop {
            let sent = match self.socket()? {
                Socket::Local(socket) => socket.send(datagram),
                Socket::Udp(socket) => socket.send(datagram),
            };
            match sent {
                Ok(_) => {
                    patience.begin_anew();
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A full queue of the receiver; of UDP only one of our own.
                Err(error) if would_block(&error) && patience.wait() => {}
                Err(error) if would_block(&error) => return Err(error),
                Err(error) if is_too_long(&error) => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidInput,
                        "the line is too long for a datagram",
                    ));
                }
                // By UDP, an error of a datagram before this one; else the daemon has been started anew.
                Err(error) if is_fresh => {
                    self.socket = None;
                    self.away = Some((Instant::now(), error.kind()));
                    return Err(error);
                }
                Err(_) => {
                    self.reopen();
                    is_fresh = true;
                }
            }
        }
    }

    /// The socket of the local peer, for what it takes beside datagrams.
    ///
    /// # Errors
    /// The peer is not there.
    pub(super) fn local(&mut self) -> io::Result<BorrowedFd<'_>> {
        match self.socket()? {
            Socket::Local(socket) => Ok(socket.as_fd()),
            Socket::Udp(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn socket(&mut self) -> io::Result<&Socket> {
        if self.socket.is_none() {
            if let Some((_, kind)) = self.away.filter(|(since, _)| since.elapsed() < RECONNECT_AFTER) {
                return Err(kind.into());
            }
            match connect(&self.peer) {
                Ok(socket) => (self.socket, self.away) = (Some(socket), None),
                Err(error) => {
                    self.away = Some((Instant::now(), error.kind()));
                    return Err(error);
                }
            }
        }
        self.socket.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

fn connect(peer: &Peer) -> io::Result<Socket> {
    match peer {
        Peer::Local(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_nonblocking(true)?;
            Ok(Socket::Local(socket))
        }
        Peer::Udp(host, port) => {
            use std::net::ToSocketAddrs;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let mut addresses = (host, *port).to_socket_addrs()?;
            let address = addresses.next().ok_or(ErrorKind::NotFound)?;
            let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
            socket.connect(address)?;
            socket.set_nonblocking(true)?;
            Ok(Socket::Udp(socket))
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(ENOBUFS)
}

fn is_too_long(error: &io::Error) -> bool {
    const EMSGSIZE: i32 = 90;
    error.raw_os_error() == Some(EMSGSIZE)
}
