//! The sockets: one that clients send to, and one for each session, which is connected to its server so that refusals are heard and
//! answers told apart.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::inbox::Inbox;
use super::name::UDP_GRO;
use crate::descriptors;
use crate::options::{Dial, set};

/// What the kernel is asked to keep for a worker that is busy; `net.core.rmem_max` caps it.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that clients send to, on the runtime of its worker.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    bound: SocketAddr,
}

impl DatagramSocket {
    /// Watches a bound socket on the runtime of the calling thread.
    pub(crate) fn register(socket: socket2::Socket) -> io::Result<Self> {
        let bound = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, bound })
    }

    /// Sets what a socket reports beside datagrams, before it is bound.
    pub(crate) fn prepare(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
        if address.ip().is_unspecified() {
            match address {
                SocketAddr::V4(_) => set(socket, libc::IP_PKTINFO, libc::IPPROTO_IP, 1)?,
                SocketAddr::V6(_) => set(socket, libc::IPV6_RECVPKTINFO, libc::IPPROTO_IPV6, 1)?,
            }
        }
        // Without either it works as well, only less well.
        let _ = set(socket, UDP_GRO, libc::SOL_UDP, 1);
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        Ok(())
    }

    /// The number by which the kernel knows it, in whichever process.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.socket)?.st_ino)
    }

    /// The address that it is bound to.
    pub fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// True if addresses are written as those of IPv6 there.
    pub fn is_ipv6(&self) -> bool {
        self.bound.is_ipv6()
    }

    /// Receives into `inbox` what has come; ready once that is something.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn poll_receive(&self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            let mut come = 0;
            let tried = self.socket.try_io(Interest::READABLE, || {
                let room = inbox.room();
                come = inbox.receive(&self.socket, room, 0)?;
                // That was all: the kernel tells, by an event, when there is more.
                if come < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match tried {
                _ if come > 0 => return Poll::Ready(Ok(come)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other.map(|()| 0)),
            }
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that is connected to the server of one session.
#[derive(Debug)]
pub struct SessionSocket {
    socket: socket2::Socket,
    local: SocketAddr,
}

impl SessionSocket {
    /// Takes over a descriptor from another process.
    ///
    /// # Errors
    /// It is no socket of IP.
    pub fn take(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(descriptor);
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        Ok(Self { socket, local })
    }

    /// Where it sends from.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Has the kernel join datagrams that come in a row, for a session in which there are many.
    pub fn join_datagrams(&self) {
        let _ = set(&self.socket, UDP_GRO, libc::SOL_UDP, 1);
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// What the kernel says, also of datagrams sent before (`ECONNREFUSED`): this one was not sent then.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match rustix::net::send(&self.socket, bytes, rustix::net::SendFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for SessionSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Dial {
    /// Connects a socket of UDP to a server, which the server does not see.
    ///
    /// # Errors
    /// No way leads to the server; or `EMFILE`, if only descriptors are left that sessions leave to connections.
    pub fn connect_datagrams(&self, address: SocketAddr) -> io::Result<SessionSocket> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), None)?;
        descriptors::for_session(&socket)?;
        self.bind_source(&socket, address)?;
        socket.connect(&address.into()).map_err(|error| match error.kind() {
            // What the kernel says when no port is left, which is no fault of the server.
            io::ErrorKind::WouldBlock => rustix::io::Errno::ADDRNOTAVAIL.into(),
            _ => error,
        })?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        Ok(SessionSocket { socket, local })
    }
}

/// True if `ip` is an address of this machine.
pub fn is_own_address(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}
