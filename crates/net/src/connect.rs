//! Opening connections to servers.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use evenkeel_types::Address;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::descriptors;
use crate::io::Io;
use crate::options::{Dial, acknowledge_by_data};

impl Dial {
    /// Connects to a server for a request of a client. A name is resolved by the system's resolver, and its addresses are
    /// tried in order.
    ///
    /// # Errors
    /// What the kernel or the resolver says, or `EMFILE` if only the last descriptors are left; there is no timeout here.
    pub async fn connect(&self, address: &Address) -> io::Result<Io> {
        self.connect_to_speak(address, false).await
    }

    /// The same. With `speaks`, bytes are written as soon as there is a connection: they acknowledge what the server says of
    /// it, in place of a packet of their own.
    ///
    /// # Errors
    /// As above.
    pub async fn connect_to_speak(&self, address: &Address, speaks: bool) -> io::Result<Io> {
        open(self, address, How { may: descriptors::for_server, speaks }).await
    }

    /// The same for the process itself, which may have the last descriptors.
    ///
    /// # Errors
    /// What the kernel or the resolver says; there is no timeout here.
    pub async fn connect_from_reserve(&self, address: &Address) -> io::Result<Io> {
        open(self, address, How { may: |_| Ok(()), speaks: false }).await
    }
}

/// How a connection is made.
#[derive(Clone, Copy)]
struct How {
    /// Whether it may have this descriptor.
    may: fn(BorrowedFd<'_>) -> io::Result<()>,
    /// Whether bytes are written as soon as it is there.
    speaks: bool,
}

async fn open(dial: &Dial, address: &Address, how: How) -> io::Result<Io> {
    match address {
        Address::Ip(address) => tcp(dial, *address, how).await,
        Address::Name(host, port) => Box::pin(by_name(dial, (host, *port), how)).await,
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            (how.may)(stream.as_fd())?;
            Ok(Io::unix(stream))
        }
    }
}

async fn by_name(dial: &Dial, name: (&str, u16), how: How) -> io::Result<Io> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host(name).await? {
        match tcp(dial, address, how).await {
            Ok(io) => return Ok(io),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks for its descriptor before it connects: many that wait for a server at a time must not use up the reserve.
async fn tcp(dial: &Dial, address: SocketAddr, how: How) -> io::Result<Io> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    (how.may)(socket.as_fd())?;
    dial.prepare(&socket, address)?;
    // It fails only on a connection that is already dead, which the first read will report.
    let _ = socket.set_tcp_nodelay(true);
    if how.speaks {
        acknowledge_by_data(&socket);
    }
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from_std(socket.into())?;
    poll_fn(|cx| stream.poll_write_ready(cx)).await?;
    // An event tells of an error, so that the kernel need not be asked for it each time.
    if stream.try_io(Interest::ERROR, || Ok(())).is_ok()
        && let Some(error) = stream.take_error()?
    {
        return Err(error);
    }
    Ok(Io::connected(stream))
}
