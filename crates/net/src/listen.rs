//! Listening sockets: one per worker and address, so that the kernel spreads connections and clients of UDP without a shared queue.

mod held;
mod inherited;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::task::{Context, Poll};

use evenkeel_types::Address;
use socket2::{Domain, SockAddr, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::datagram::DatagramSocket;
use crate::descriptors;
use crate::io::{Io, Peer};
use crate::options::{self, ListenOptions};

use held::holder_here;
pub use held::{Holder, covers, holder};
pub use inherited::{Inherited, bind_beside};

/// How often to look for the holder of an address in use, while that does not seem to be this process.
const LOOKS_MAX: u32 = 4;

/// A bound socket that no runtime drives yet; it may go to another thread. It listens, unless it is only reserved.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    unix: bool,
    /// The backlog with which a reserved one is to listen.
    reserved: Option<u32>,
}

/// A listening socket on the runtime of its worker.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A unix stream socket.
    Unix(UnixListener),
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: Address,
    /// What the kernel says.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        match error.kind() {
            io::ErrorKind::AddrInUse => write!(f, "cannot listen on {address}: another process already does"),
            io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "cannot listen on {address}: not permitted (ports below 1024 need CAP_NET_BIND_SERVICE)"
                )
            }
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "cannot listen on {address}: this host has no such address")
            }
            _ => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// `address` is this process's own already, for another purpose.
    pub fn ours(address: Address) -> Self {
        Self { address, error: ours() }
    }
}

fn ours() -> io::Error {
    io::Error::other("this process already does, for another purpose")
}

/// Binds `address` once for each of `workers` (once in all for a unix socket) and names the address that was
/// really bound, which differs for port 0. It may overlap with one that this function bound before, as `0.0.0.0:80`
/// does with `127.0.0.1:80`: the narrower one gets the connections that are for both. Bound twice, an address would
/// get half of its connections each time, and it is the caller who must see to it that none is.
///
/// # Errors
/// The first address that cannot be bound, because another process listens there among other reasons.
pub fn bind(
    address: &Address,
    workers: usize,
    options: &ListenOptions,
) -> Result<(Address, Vec<Socket>), BindError> {
    let (bound, mut sockets) = reserve(address, workers, options)?;
    for socket in &mut sockets {
        socket.listen().map_err(|error| BindError { address: address.clone(), error })?;
    }
    Ok((bound, sockets))
}

/// Binds `address` as [`bind`] does, but the sockets listen only after [`Socket::listen`]: until then the kernel gives them no
/// connection, which would be reset if they are dropped.
///
/// # Errors
/// As [`bind`].
pub fn reserve(
    address: &Address,
    workers: usize,
    options: &ListenOptions,
) -> Result<(Address, Vec<Socket>), BindError> {
    let failed = |error| BindError { address: address.clone(), error };
    match address {
        Address::Ip(ip) => reserve_tcp(*ip, workers, options).map_err(failed),
        Address::Unix(path) => {
            reserve_unix(path, options).map(|socket| (address.clone(), vec![socket])).map_err(failed)
        }
        Address::Name(..) => Err(failed(io::ErrorKind::InvalidInput.into())),
    }
}

/// Binds `address` as [`bind`] does, but one socket for a single thread that takes all connections: nothing that overlaps can be
/// bound before it or after it.
///
/// # Errors
/// As [`bind`].
pub fn bind_alone(address: &Address) -> Result<(Address, Socket), BindError> {
    let failed = |error| BindError { address: address.clone(), error };
    match address {
        Address::Ip(ip) => {
            let (socket, bound) = first_socket(*ip, Type::STREAM, false).map_err(failed)?;
            ListenOptions::default().listen(&socket, true).map_err(failed)?;
            Ok((Address::Ip(bound), Socket { socket, unix: false, reserved: None }))
        }
        Address::Unix(path) => {
            let mut socket = reserve_unix(path, &ListenOptions::default()).map_err(failed)?;
            socket.listen().map_err(failed)?;
            Ok((address.clone(), socket))
        }
        Address::Name(..) => Err(failed(io::ErrorKind::InvalidInput.into())),
    }
}

/// Binds `address` as [`bind`] does, for datagrams of UDP: the kernel keeps the datagrams of one client at one worker.
///
/// # Errors
/// As [`bind`].
pub fn bind_datagrams(address: &Address, workers: usize) -> Result<(Address, Vec<Socket>), BindError> {
    let failed = |error| BindError { address: address.clone(), error };
    let Address::Ip(ip) = address else { return Err(failed(io::ErrorKind::InvalidInput.into())) };
    let bind = || {
        let (first, address) = first_socket(*ip, Type::DGRAM, true)?;
        first.set_reuse_port(true)?;
        let mut sockets = vec![Socket { socket: first, unix: false, reserved: None }];
        for _ in 1..workers {
            let socket = bound_socket(address, Type::DGRAM, true)?;
            sockets.push(Socket { socket, unix: false, reserved: None });
        }
        Ok((Address::Ip(address), sockets))
    };
    bind().map_err(failed)
}

fn reserve_tcp(
    address: SocketAddr,
    workers: usize,
    options: &ListenOptions,
) -> io::Result<(Address, Vec<Socket>)> {
    let (first, address) = first_socket(address, Type::STREAM, true)?;
    // Shared among our own workers only now that no other process is there.
    first.set_reuse_port(true)?;
    let mut sockets = vec![Socket::reserved(first, false, options)?];
    for _ in 1..workers {
        let socket = bound_socket(address, Type::STREAM, true)?;
        sockets.push(Socket::reserved(socket, false, options)?);
    }
    Ok((Address::Ip(address), sockets))
}

/// The first socket of an address, and the address that was really bound. That it could be bound proves that no
/// other socket listens there, or on an address that overlaps; with `beside_ours`, none of another process.
fn first_socket(
    mut address: SocketAddr,
    kind: Type,
    beside_ours: bool,
) -> io::Result<(socket2::Socket, SocketAddr)> {
    let socket = match lone_socket(address, kind, beside_ours) {
        // A kernel without IPv6 still serves "all addresses".
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6() => {
            address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            lone_socket(address, kind, beside_ours)?
        }
        other => other?,
    };
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, bound))
}

/// The kernel lets the sockets of one user overlap if all have `SO_REUSEPORT`, whichever process they are of; so the
/// option is set only once those in the way are known to be ours. Not seen is a process that binds with it at the same moment:
/// another Evenkeel of the same user, in the middle of the same change.
fn lone_socket(address: SocketAddr, kind: Type, beside_ours: bool) -> io::Result<socket2::Socket> {
    let in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let mut looks = 0;
    loop {
        let error = match bound_socket(address, kind, false) {
            Err(error) if in_use(&error) => error,
            other => return other,
        };
        looks += 1;
        match held_by(address, kind)? {
            Holder::Own if !beside_ours => return Err(ours()),
            // Only a socket that was bound alone can still be in the way.
            Holder::Own => {
                let beside = bound_socket(address, kind, true);
                return beside.map_err(|error| if in_use(&error) { ours() } else { error });
            }
            // One of ours was just closed, or the table of all sockets changed while it was read.
            Holder::Nobody | Holder::Others if looks < LOOKS_MAX => {}
            Holder::Nobody | Holder::Others => return Err(error),
        }
    }
}

fn held_by(address: SocketAddr, kind: Type) -> io::Result<Holder> {
    holder_here(address, kind == Type::DGRAM).map_err(|error| {
        io::Error::other(format!("it is in use, and /proc does not tell whether by others: {error}"))
    })
}

fn bound_socket(address: SocketAddr, kind: Type, reuse_port: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    if kind == Type::DGRAM {
        DatagramSocket::prepare(&socket, address)?;
    } else {
        // Of UDP it would let others share the address.
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn has_ipv6() -> bool {
    socket2::Socket::new(Domain::IPV6, Type::STREAM, None).is_ok() && Path::new("/proc/net/if_inet6").exists()
}

fn reserve_unix(path: &Path, options: &ListenOptions) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    if path.metadata().is_ok_and(|m| m.file_type().is_socket()) {
        // Left over from a process that died only if no process is there at all: a busy one does not refuse.
        let refused = socket.connect(&address).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        if !refused {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
        return reserve_unix(path, options);
    }
    socket.bind(&address)?;
    Socket::reserved(socket, true, options)
}

impl Socket {
    fn reserved(socket: socket2::Socket, unix: bool, options: &ListenOptions) -> io::Result<Self> {
        options.prepare(&socket, !unix)?;
        Ok(Self { socket, unix, reserved: Some(options.backlog) })
    }

    /// Lets a socket of [`reserve`] listen. Without effect on others.
    ///
    /// # Errors
    /// What the kernel says, for example that another process has listened on the address meanwhile.
    pub fn listen(&mut self) -> io::Result<()> {
        match self.reserved.take() {
            Some(backlog) => options::listen(&self.socket, backlog),
            None => Ok(()),
        }
    }

    /// Hands a socket of [`bind_datagrams`] to the runtime of the calling thread.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn register_datagrams(self) -> io::Result<DatagramSocket> {
        DatagramSocket::register(self.socket)
    }

    /// Hands the socket to the runtime of the calling thread.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn register(self) -> io::Result<Listening> {
        if self.unix {
            UnixListener::from_std(self.socket.into()).map(Listening::Unix)
        } else {
            TcpListener::from_std(self.socket.into()).map(Listening::Tcp)
        }
    }
}

impl From<Socket> for std::net::TcpListener {
    fn from(socket: Socket) -> Self {
        socket.socket.into()
    }
}

impl From<Socket> for std::os::unix::net::UnixListener {
    fn from(socket: Socket) -> Self {
        socket.socket.into()
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Listening {
    /// The next connection.
    ///
    /// # Errors
    /// What the kernel says: of one connection (`ECONNABORTED`), or of the process (`EMFILE`). The latter also when the
    /// connection, which is closed then, has one of the last descriptors.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Accepted, Peer)>> {
        match self {
            Self::Tcp(l) => l.poll_accept(cx).map(|accepted| {
                let (stream, address) = accepted?;
                descriptors::for_client(&stream)?;
                Ok((Accepted::Tcp(stream), Peer::Ip(canonical(address))))
            }),
            Self::Unix(l) => l.poll_accept(cx).map(|accepted| {
                let (stream, _) = accepted?;
                descriptors::for_client(&stream)?;
                Ok((Accepted::Unix(stream), Peer::Unix))
            }),
        }
    }
}

/// A connection fresh from its listener: served where it is, or handed to another worker.
#[derive(Debug)]
pub enum Accepted {
    /// TCP.
    Tcp(tokio::net::TcpStream),
    /// A unix stream socket.
    Unix(tokio::net::UnixStream),
}

/// An accepted connection on its way to another worker's runtime.
#[derive(Debug)]
pub enum Detached {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A unix stream socket.
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Serves it on this worker.
    pub fn into_io(self) -> Io {
        match self {
            // As its listening socket was.
            Self::Tcp(s) => Io::connected(s),
            Self::Unix(s) => Io::unix(s),
        }
    }

    /// Takes it off this worker's runtime.
    ///
    /// # Errors
    /// When the runtime cannot let go of it.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(s) => s.into_std().map(Detached::Tcp),
            Self::Unix(s) => s.into_std().map(Detached::Unix),
        }
    }
}

impl Detached {
    /// Takes it up on the runtime of the calling thread.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn attach(self) -> io::Result<Io> {
        match self {
            Self::Tcp(s) => tokio::net::TcpStream::from_std(s).map(Io::connected),
            Self::Unix(s) => tokio::net::UnixStream::from_std(s).map(Io::unix),
        }
    }
}

/// IPv4 clients of a dual-stack socket come as `::ffff:a.b.c.d`; everything else wants to see `a.b.c.d`.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_address_takes_no_connection_until_it_listens() {
        let options = ListenOptions::default();
        let (wide, mut sockets) = bind(&Address::Ip(([0, 0, 0, 0], 0).into()), 1, &options).unwrap();
        let Address::Ip(wide) = wide else { panic!("{wide}") };
        let narrow = SocketAddr::from(([127, 0, 0, 1], wide.port()));
        let served = TcpListener::from(sockets.remove(0));
        let reserve = || reserve(&Address::Ip(narrow), 2, &options).unwrap().1;
        let accepts = |listener: &TcpListener| listener.accept().is_ok();

        let reserved = reserve();
        TcpStream::connect(narrow).unwrap();
        assert!(accepts(&served), "the one that listens takes it");
        drop(reserved);
        let mut listening = reserve();
        listening.iter_mut().for_each(|socket| socket.listen().unwrap());
        TcpStream::connect(narrow).unwrap();
        assert!(!accepts(&served), "the kernel prefers the narrower one");
        let listening = listening.into_iter().map(TcpListener::from);
        assert_eq!(listening.filter(accepts).count(), 1);
    }
}
