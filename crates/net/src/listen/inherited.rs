//! Sockets that another process has bound: the one in whose place this one comes, or systemd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use evenkeel_types::Address;
use socket2::Type;

use super::{Socket, bound_socket};
use crate::datagram::DatagramSocket;
use crate::options::{ListenOptions, set};

/// A socket that another process has bound, with its queue.
#[derive(Debug)]
pub struct Inherited {
    socket: Socket,
    /// The address that it is bound to.
    pub address: Address,
    /// Whether it takes datagrams, not connections.
    pub is_datagram: bool,
}

impl Inherited {
    /// Takes over a descriptor.
    ///
    /// # Errors
    /// It is neither a listening stream socket of TCP or unix nor a bound socket of UDP.
    pub fn take(descriptor: OwnedFd) -> io::Result<Self> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let socket = socket2::Socket::from(descriptor);
        let local = socket.local_addr().map_err(|_| wrong("it is no socket"))?;
        let address = match (local.as_socket(), local.as_pathname()) {
            (Some(ip), _) => Address::Ip(ip),
            (None, Some(path)) => Address::Unix(path.into()),
            (None, None) => return Err(wrong("its address is neither an IP address nor a path")),
        };
        let (kind, is_unix) = (socket.r#type()?, matches!(address, Address::Unix(_)));
        let is_datagram = kind == Type::DGRAM && !is_unix;
        if !is_datagram && (kind != Type::STREAM || !socket.is_listener()?) {
            return Err(wrong("it is neither a listening stream socket nor a socket of UDP"));
        }
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        if let (true, Address::Ip(ip)) = (is_datagram, &address) {
            DatagramSocket::prepare(&socket, *ip)?;
        }
        Ok(Self { socket: Socket { socket, unix: is_unix, reserved: None }, address, is_datagram })
    }

    /// The number by which the kernel knows the socket, in whichever process.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inode(&self) -> io::Result<u64> {
        inode(self.socket.socket.as_fd())
    }

    /// The socket, to be listened on with these options.
    ///
    /// # Errors
    /// An option is refused.
    pub fn into_socket(self, options: &ListenOptions) -> io::Result<Socket> {
        if !self.is_datagram {
            if !self.socket.unix && options.tcp_keepalive.is_none() {
                self.socket.socket.set_keepalive(false)?;
            }
            if !self.socket.unix && options.fast_open.is_none() {
                // A kernel without it refuses, and has none to end.
                let _ = set(&self.socket.socket, libc::TCP_FASTOPEN, libc::IPPROTO_TCP, 0);
            }
            options.listen(&self.socket.socket, !self.socket.unix)?;
        }
        Ok(self.socket)
    }
}

impl Socket {
    /// The number by which the kernel knows the socket, in whichever process.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inode(&self) -> io::Result<u64> {
        inode(self.socket.as_fd())
    }

    /// A duplicate of it.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

/// One more socket of TCP at an address where others listen, for one more worker; `None` if the kernel refuses that, because they are
/// bound alone or by another user, or if the address is none of IP.
pub fn bind_beside(address: &Address, options: &ListenOptions) -> Option<Socket> {
    let Address::Ip(ip) = address else { return None };
    let socket = bound_socket(*ip, Type::STREAM, true).ok()?;
    options.listen(&socket, true).ok()?;
    Some(Socket { socket, unix: false, reserved: None })
}

fn inode(descriptor: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(descriptor)?.st_ino)
}
