//! A TCP port that is ours whether or not a server listens on it, so that a server can die and come back.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use super::{eventually, ms};

/// A bound port: connections to it are refused until [`Port::listen`].
pub struct Port {
    _reservation: Socket,
    address: SocketAddr,
}

impl Port {
    /// Reserves a free port of 127.0.0.1.
    pub fn reserve() -> Self {
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { _reservation: socket, address }
    }

    /// Reserves a port that is free on all addresses; [`Port::address`] is still that of 127.0.0.1.
    pub fn reserve_everywhere() -> Self {
        let socket = bound(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let number = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self { _reservation: socket, address: SocketAddr::from((Ipv4Addr::LOCALHOST, number)) }
    }

    /// This address, which is free.
    pub fn at(address: SocketAddr) -> Self {
        Self { _reservation: bound(address), address }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on it.
    pub fn listen(&self) -> TcpListener {
        let socket = bound(self.address);
        socket.listen(1024).unwrap();
        socket.into()
    }

    /// Listens without ever accepting and fills the queue, so that connecting to it hangs.
    pub fn hang(&self) -> Hang {
        let socket = bound(self.address);
        socket.listen(0).unwrap();
        let mut fillers = Vec::new();
        eventually("the accept queue is full", || match TcpStream::connect_timeout(&self.address, ms(150)) {
            Ok(stream) => {
                fillers.push(stream);
                false
            }
            Err(_) => true,
        });
        Hang { _listener: socket, _fillers: fillers }
    }
}

/// Keeps a port hanging until it is dropped.
pub struct Hang {
    _listener: Socket,
    _fillers: Vec<TcpStream>,
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    // Two sockets may share a port with SO_REUSEADDR as long as only one of them listens.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}
