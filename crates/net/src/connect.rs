//! Opening connections to servers.

use std::io;

use evenkeel_types::Address;
use rustix::io::Errno;
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

/// True if a connection could not be opened for lack of something on this side: descriptors, memory, local ports. The
/// server is not to blame for it.
pub fn is_shortage(error: &io::Error) -> bool {
    const SHORTAGES: [Errno; 5] =
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    error.kind() == io::ErrorKind::QuotaExceeded
        || Errno::from_io_error(error).is_some_and(|errno| SHORTAGES.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_ours_is_told_from_a_fault_of_the_server() {
        for ours in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            assert!(is_shortage(&ours.into()), "{ours}");
        }
        assert!(is_shortage(&io::ErrorKind::QuotaExceeded.into()));
        for theirs in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::CONNRESET] {
            assert!(!is_shortage(&theirs.into()), "{theirs}");
        }
    }
}
