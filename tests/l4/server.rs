//! A server of bytes, which does with each connection what a test says; and clients of it.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::support::{DEADLINE, Evenkeel};

/// A server on a port of its own. Its threads end with their connections.
pub struct Server {
    /// Its id in the configurations that [`config`] writes.
    pub name: String,
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    /// Does this with each connection.
    pub fn start(name: &str, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), name, handle)
    }

    /// The same on this listener.
    pub fn start_on(
        listener: TcpListener,
        name: &str,
        handle: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (accepted, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, opened, handle) = (accepted.clone(), open.clone(), Arc::new(handle));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (open, handle) = (opened.clone(), handle.clone());
                open.fetch_add(1, SeqCst);
                counted.fetch_add(1, SeqCst);
                thread::spawn(move || {
                    handle(stream);
                    open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { name: name.into(), address, accepted, open }
    }

    /// Sends its name, and then everything back until the client has ended its side.
    pub fn echo(name: &str) -> Self {
        Self::echo_on(TcpListener::bind("127.0.0.1:0").unwrap(), name)
    }

    /// The same on this listener.
    pub fn echo_on(listener: TcpListener, name: &str) -> Self {
        let greeting = format!("{name}\n");
        Self::start_on(listener, name, move |mut stream| {
            let _ = stream.write_all(greeting.as_bytes());
            let mut buf = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buf) {
                if stream.write_all(&buf[..read]).is_err() {
                    return;
                }
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that it has had.
    pub fn count(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// Connections that it has now.
    pub fn open(&self) -> usize {
        self.open.load(SeqCst)
    }
}

/// A tcp listener `db` with these keys in front of a pool `app` of these servers with those keys.
pub fn config(listener: &str, servers: &[&Server], pool: &str) -> String {
    let mut backends = String::new();
    for server in servers {
        let _ = write!(backends, "{{ address = \"{}\", name = \"{}\" }}, ", server.address(), server.name);
    }
    format!(
        "[listener.db]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"app\"\n{listener}\n\
         [pool.app]\nbackends = [{backends}]\n{pool}\n"
    )
}

/// A connection to the listener `db`.
pub fn connect(evenkeel: &Evenkeel) -> TcpStream {
    connect_to(evenkeel.listener("db"))
}

/// A connection whose reads and writes fail rather than wait for ever.
pub fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The line that comes next; what follows it stays to be read.
pub fn line(mut stream: &TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Sends these bytes and reads as many.
pub fn exchange(mut stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    back
}

/// All that comes until the other side ends.
pub fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// True if the connection ends with a reset.
pub fn is_reset(mut stream: &TcpStream) -> bool {
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// True if a new connection to the listener `db` is reset at once, be it that connecting sees that already.
pub fn is_refused(evenkeel: &Evenkeel) -> bool {
    match TcpStream::connect_timeout(&evenkeel.listener("db"), DEADLINE) {
        Ok(stream) => is_reset(&stream),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Makes the close that follows a reset.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// Ends the sending side.
pub fn end(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}
