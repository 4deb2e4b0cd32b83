//! Opening connections to servers.

use std::io;

use evenkeel_types::Address;
use tokio::net::{TcpStream, UnixStream};

use crate::io::Io;

/// Connects to a server. A name is resolved by the system's resolver, and its addresses are tried in order.
///
/// # Errors
/// What the kernel or the resolver says; there is no timeout here.
pub async fn connect(address: &Address) -> io::Result<Io> {
    match address {
        Address::Ip(address) => TcpStream::connect(address).await.map(Io::tcp),
        Address::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await.map(Io::tcp),
        Address::Unix(path) => UnixStream::connect(path).await.map(Io::unix),
    }
}
