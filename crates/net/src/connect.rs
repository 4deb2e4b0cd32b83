//! Opening connections to servers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use evenkeel_types::Address;
use tokio::net::{TcpSocket, UnixStream, lookup_host};

use crate::descriptors;
use crate::io::Io;
use crate::options::Dial;

/// Whether a connection may have this descriptor.
type May = fn(BorrowedFd<'_>) -> io::Result<()>;

impl Dial {
    /// Connects to a server for a request of a client. A name is resolved by the system's resolver, and its addresses are
    /// tried in order.
    ///
    /// # Errors
    /// What the kernel or the resolver says, or `EMFILE` if only the last descriptors are left; there is no timeout here.
    pub async fn connect(&self, address: &Address) -> io::Result<Io> {
        open(self, address, descriptors::for_server).await
    }

    /// The same for the process itself, which may have the last descriptors.
    ///
    /// # Errors
    /// What the kernel or the resolver says; there is no timeout here.
    pub async fn connect_from_reserve(&self, address: &Address) -> io::Result<Io> {
        open(self, address, |_| Ok(())).await
    }
}

async fn open(dial: &Dial, address: &Address, may: May) -> io::Result<Io> {
    match address {
        Address::Ip(address) => tcp(dial, *address, may).await,
        Address::Name(host, port) => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in lookup_host((host.as_str(), *port)).await? {
                match tcp(dial, address, may).await {
                    Ok(io) => return Ok(io),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            may(stream.as_fd())?;
            Ok(Io::unix(stream))
        }
    }
}

/// Asks for its descriptor before it connects: many that wait for a server at a time must not use up the reserve.
async fn tcp(dial: &Dial, address: SocketAddr, may: May) -> io::Result<Io> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    may(socket.as_fd())?;
    dial.prepare(&socket, address)?;
    socket.connect(address).await.map(Io::tcp)
}
