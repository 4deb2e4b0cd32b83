//! A server of datagrams, which answers each as a test says; and clients of it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::support::{DEADLINE, Evenkeel, ms};

/// What every server does with a datagram: over its socket, the bytes, and where they came from.
pub type Handle = dyn Fn(&UdpSocket, &[u8], SocketAddr) + Send + Sync;

/// A server on a port of its own, until it is stopped.
pub struct Server {
    /// Its id in the configurations that [`config`] writes.
    pub name: String,
    address: SocketAddr,
    seen: Arc<Seen>,
    handle: Arc<Handle>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    stops: AtomicBool,
    count: AtomicUsize,
    peers: Mutex<HashSet<SocketAddr>>,
}

impl Server {
    /// Does this with each datagram.
    pub fn start(name: &str, handle: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + Sync + 'static) -> Self {
        Self::at(name, "127.0.0.1:0".parse().unwrap(), Arc::new(handle))
    }

    fn at(name: &str, address: SocketAddr, handle: Arc<Handle>) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20);
        socket.set_read_timeout(Some(ms(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let (seen, answer) = (Arc::<Seen>::default(), handle.clone());
        let noted = seen.clone();
        let thread = thread::spawn(move || {
            let mut buf = vec![0; 70_000];
            while !noted.stops.load(SeqCst) {
                let Ok((length, peer)) = socket.recv_from(&mut buf) else { continue };
                noted.count.fetch_add(1, SeqCst);
                noted.peers.lock().unwrap().insert(peer);
                answer(&socket, &buf[..length], peer);
            }
        });
        Self { name: name.into(), address, seen, handle, thread: Some(thread) }
    }

    /// Sends each datagram back.
    pub fn echo(name: &str) -> Self {
        Self::start(name, |socket, bytes, peer| drop(socket.send_to(bytes, peer)))
    }

    /// The same at this address.
    pub fn on(name: &str, address: &str) -> Self {
        let echo = |socket: &UdpSocket, bytes: &[u8], peer| drop(socket.send_to(bytes, peer));
        Self::at(name, address.parse().unwrap(), Arc::new(echo))
    }

    /// Answers each datagram with its name.
    pub fn named(name: &str) -> Self {
        let text = name.to_owned();
        Self::start(name, move |socket, _, peer| drop(socket.send_to(text.as_bytes(), peer)))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams that have come.
    pub fn count(&self) -> usize {
        self.seen.count.load(SeqCst)
    }

    /// From how many addresses: of each session another one.
    pub fn sessions(&self) -> usize {
        self.seen.peers.lock().unwrap().len()
    }

    /// Closes its port: what comes there is refused.
    pub fn stop(&mut self) {
        self.seen.stops.store(true, SeqCst);
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
    }

    /// Serves again at the same port.
    pub fn start_again(&mut self) {
        *self = Self::at(&self.name, self.address, self.handle.clone());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A udp listener `dns` with these keys in front of a pool `app` of these servers with those keys.
pub fn config(listener: &str, servers: &[&Server], pool: &str) -> String {
    let bind = if listener.contains("bind") { "" } else { "bind = [\"127.0.0.1:0\"]\n" };
    format!(
        "[listener.dns]\n{bind}protocol = \"udp\"\npool = \"app\"\n{listener}\n{}",
        pool_of(servers, pool)
    )
}

/// A pool `app` of these servers.
pub fn pool_of(servers: &[&Server], keys: &str) -> String {
    let mut backends = String::new();
    for server in servers {
        let _ = write!(backends, "{{ address = \"{}\", name = \"{}\" }}, ", server.address(), server.name);
    }
    format!("[pool.app]\nbackends = [{backends}]\n{keys}\n")
}

/// A client of the listener `dns`, at an address of its own.
pub struct Client(pub UdpSocket);

impl Client {
    pub fn new(evenkeel: &Evenkeel) -> Self {
        Self::from(evenkeel, "127.0.0.1")
    }

    /// From this address of ours.
    pub fn from(evenkeel: &Evenkeel, ip: &str) -> Self {
        Self::to(evenkeel.listener("dns"), ip)
    }

    /// Of that address, from this one of ours.
    pub fn to(address: SocketAddr, ip: &str) -> Self {
        Self::between(SocketAddr::new(ip.parse().unwrap(), 0), address)
    }

    /// From an address of ours with a port to that address.
    pub fn between(from: SocketAddr, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes.as_ref()).unwrap();
    }

    /// The datagram that comes next.
    #[track_caller]
    pub fn receive(&self) -> Vec<u8> {
        let mut buf = vec![0; 70_000];
        let length = self.0.recv(&mut buf).expect("a datagram comes");
        buf.truncate(length);
        buf
    }

    /// Sends a datagram and gets the next one.
    #[track_caller]
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.send(bytes);
        self.receive()
    }

    /// The name of the server that answers.
    #[track_caller]
    pub fn name(&self) -> String {
        String::from_utf8(self.ask("name")).unwrap()
    }

    /// What has come by now.
    pub fn arrived(&self) -> usize {
        let mut count = 0;
        self.0.set_nonblocking(true).unwrap();
        let mut buf = vec![0; 70_000];
        loop {
            match self.0.recv(&mut buf) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        self.0.set_nonblocking(false).unwrap();
        count
    }
}

/// How many datagrams were dropped for a reason.
pub fn dropped(evenkeel: &Evenkeel, reason: &str) -> f64 {
    evenkeel.metric("evenkeel_datagrams_dropped_total", &[&format!("reason=\"{reason}\"")])
}

/// Sessions that are open.
pub fn open(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_stream_connections", &["listener=\"dns\""])
}

/// A port that is free on all addresses, of TCP and UDP, and that the kernel gives to no other socket by itself.
pub fn fixed_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NEXT.fetch_add(1, SeqCst) + std::process::id() as usize * 16;
        let port = 20_000 + (number % 12_000) as u16;
        if UdpSocket::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
