//! Opening connections to servers.

use std::io;

use evenkeel_types::Address;
use tokio::net::{TcpStream, UnixStream};

use crate::io::Io;

/// Connects to a server for a request of a client. A name is resolved by the system's resolver, and its addresses are
/// tried in order.
///
/// # Errors
/// What the kernel or the resolver says, or `EMFILE` if only the last descriptors are left; there is no timeout here.
pub async fn connect(address: &Address) -> io::Result<Io> {
    let io = connect_from_reserve(address).await?;
    io.leave_reserve()?;
    Ok(io)
}

/// The same for the process itself, which may have the last descriptors.
///
/// # Errors
/// What the kernel or the resolver says; there is no timeout here.
pub async fn connect_from_reserve(address: &Address) -> io::Result<Io> {
    match address {
        Address::Ip(address) => TcpStream::connect(address).await.map(Io::tcp),
        Address::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await.map(Io::tcp),
        Address::Unix(path) => UnixStream::connect(path).await.map(Io::unix),
    }
}
