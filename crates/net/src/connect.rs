//! Opening connections to servers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use evenkeel_types::Address;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};

use crate::io::Io;

/// No descriptor left in the process (errno(3)).
const EMFILE: i32 = 24;

/// Connects to a server. A descriptor that is not below `descriptors` is given back at once, as if there were none: those
/// are for others, and many that connect at a time must not take them even for a moment. A name is resolved by the system's resolver, and its addresses are tried in order.
///
/// # Errors
/// What the kernel or the resolver says; there is no timeout here.
pub async fn connect(address: &Address, descriptors: u64) -> io::Result<Io> {
    match address {
        Address::Ip(address) => connect_tcp(*address, descriptors).await.map(Io::tcp),
        Address::Name(host, port) => {
            let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
            for address in lookup_host((host.as_str(), *port)).await? {
                match connect_tcp(address, descriptors).await {
                    Ok(stream) => return Ok(Io::tcp(stream)),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            within(&stream, descriptors)?;
            Ok(Io::unix(stream))
        }
    }
}

async fn connect_tcp(address: SocketAddr, descriptors: u64) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    within(&socket, descriptors)?;
    socket.connect(address).await
}

fn within(socket: &impl AsRawFd, descriptors: u64) -> io::Result<()> {
    match u64::try_from(socket.as_raw_fd()) {
        Ok(number) if number >= descriptors => Err(io::Error::from_raw_os_error(EMFILE)),
        _ => Ok(()),
    }
}
