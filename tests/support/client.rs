//! A raw HTTP/1.1 client over one connection, from any loopback address.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use socket2::{Domain, Socket, Type};

use super::message::{Fault, Response};
use super::{DEADLINE, Wire};

/// One connection to the balancer.
pub struct Client(Wire);

impl Client {
    /// Connects from 127.0.0.1.
    pub fn connect(address: SocketAddr) -> Self {
        Self(Wire::new(TcpStream::connect_timeout(&address, DEADLINE).unwrap()))
    }

    /// Connects from `source`, any address of 127.0.0.0/8.
    pub fn from(source: [u8; 4], address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect_timeout(&address.into(), DEADLINE).unwrap();
        Self(Wire::new(socket.into()))
    }

    /// Connects with a small receive buffer, for clients that are slow to read.
    pub fn slow_reader(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.connect_timeout(&address.into(), DEADLINE).unwrap();
        Self(Wire::new(socket.into()))
    }

    /// Takes over a connection that is set up already.
    pub fn over(wire: Wire) -> Self {
        Self(wire)
    }

    /// Sends a request and reads its response.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(&request);
        let line = String::from_utf8_lossy(request.as_ref()).into_owned();
        self.answer(line.split(' ').next().unwrap_or_default())
    }

    /// GET of `target` with `Host: test` and more fields (each line with its CRLF).
    pub fn get_with(&mut self, target: &str, fields: &str) -> Response {
        self.ask(format!("GET {target} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"))
    }

    /// GET of `target` with `Host: test`.
    pub fn get(&mut self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// The next response, which must be whole; `method` is that of its request.
    pub fn answer(&mut self, method: &str) -> Response {
        match self.response(method) {
            Ok(response) => response,
            Err(fault) => panic!("no whole response to {method}: {fault:?}"),
        }
    }

    /// Asserts that the balancer closes (or resets) the connection without another byte.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        match self.some() {
            Err(Fault::Closed | Fault::Reset) => {}
            other => panic!(
                "the connection should have been closed: {:?}",
                other.map(|b| super::message::latin1(&b))
            ),
        }
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.0
    }
}
