//! A load client of small exchanges: a message of 128 bytes, and one in answer, time and again on each of some sockets.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::bench::generator::Report;
use crate::origin::{MESSAGE, MESSAGE_BYTES};

/// How long an answer may take; a datagram without one is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long is waited for events before the client looks which answers are late.
const LOOKS: Duration = Duration::from_millis(100);

/// What the messages go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// TCP connections that stay open.
    Messages,
    /// A TCP connection for each exchange, which the client closes.
    Connections,
    /// UDP, always from the same ports.
    Datagrams,
}

/// What `cargo xtask exchanges` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// What the messages go over.
    #[arg(long)]
    kind: Kind,
    /// Where to send them.
    #[arg(long, value_name = "IP:PORT")]
    address: SocketAddr,
    /// Sockets at a time, each with one message under way.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// For how long.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// No more than so many exchanges.
    #[arg(long, value_name = "N", default_value_t = u64::MAX)]
    requests: u64,
}

/// Sends the load and prints a [`Report`] as JSON; the first error goes to stderr.
///
/// # Errors
/// The address takes no connection at the start.
pub fn run(options: &Options) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&drive(options)?)?);
    Ok(())
}

fn drive(options: &Options) -> anyhow::Result<Report> {
    let start = Instant::now();
    let mut client = Client {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        options,
        end: start + Duration::from_secs(options.seconds),
        begun: 0,
        sockets: Vec::new(),
        report: Report::default(),
    };
    for index in 0..usize::from(options.connections) {
        let fd = client.open(index).with_context(|| format!("cannot connect to {}", options.address))?;
        client.sockets.push(Socket { fd, asked: None, answered: 0 });
    }
    (0..client.sockets.len()).for_each(|index| client.ask(index));
    client.exchange()?;
    client.report.duration_us = u64::try_from(start.elapsed().as_micros())?;
    Ok(client.report)
}

struct Client<'o> {
    epoll: OwnedFd,
    options: &'o Options,
    end: Instant,
    /// Exchanges that were begun.
    begun: u64,
    sockets: Vec<Socket>,
    report: Report,
}

struct Socket {
    fd: OwnedFd,
    /// When the message left that is not wholly answered.
    asked: Option<Instant>,
    /// Bytes of the answer so far.
    answered: usize,
}

impl Client<'_> {
    fn open(&self, index: usize) -> std::io::Result<OwnedFd> {
        let address = self.options.address;
        let fd: OwnedFd = if self.options.kind == Kind::Datagrams {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(address)?;
            socket.set_nonblocking(true)?;
            socket.into()
        } else {
            // Over loopback that does not wait, unless the server's backlog is full.
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            stream.into()
        };
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &fd, data, epoll::EventFlags::IN)?;
        Ok(fd)
    }

    /// Takes in answers, and sends a message for each, until the time is over and nothing is under way.
    fn exchange(&mut self) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(self.sockets.len());
        let mut looked = Instant::now();
        while self.sockets.iter().any(|socket| socket.asked.is_some()) {
            events.clear();
            let limit = Timespec::try_from(LOOKS)?;
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&limit)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.take(usize::try_from(event.data.u64())?);
            }
            if looked.elapsed() > LOOKS {
                looked = Instant::now();
                for index in 0..self.sockets.len() {
                    if self.sockets[index].asked.is_some_and(|asked| looked - asked > PATIENCE) {
                        self.fail(index, "no answer");
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends the next message, if there is to be one.
    fn ask(&mut self, index: usize) {
        let now = Instant::now();
        if now >= self.end || self.begun >= self.options.requests {
            return;
        }
        self.begun += 1;
        let socket = &mut self.sockets[index];
        (socket.asked, socket.answered) = (Some(now), 0);
        match rustix::net::send(&socket.fd, MESSAGE, SendFlags::NOSIGNAL) {
            // Nothing else is in the socket's buffer, which holds many of them.
            Ok(MESSAGE_BYTES) => {}
            Ok(sent) => self.fail(index, format!("{sent} bytes were sent")),
            Err(error) => self.fail(index, error),
        }
    }

    /// Takes in what has come of an answer.
    fn take(&mut self, index: usize) {
        let socket = &mut self.sockets[index];
        let mut buffer = [0; 4 * MESSAGE_BYTES];
        match rustix::net::recv(&socket.fd, &mut buffer, RecvFlags::empty()) {
            Ok((length @ 1.., _)) => socket.answered += length,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(_) => return self.fail(index, "the server closed the connection"),
            Err(error) => return self.fail(index, error),
        }
        let length = socket.answered;
        if length < MESSAGE_BYTES && self.options.kind != Kind::Datagrams {
            return;
        }
        if length != MESSAGE_BYTES || socket.asked.take().is_none() {
            return self.fail(index, format!("an answer of {length} bytes"));
        }
        self.report.requests += 1;
        self.report.bytes += length as u64;
        if self.options.kind == Kind::Connections {
            return self.renew(index);
        }
        self.ask(index);
    }

    /// Counts an exchange that failed, and goes on with a new socket.
    fn fail(&mut self, index: usize, why: impl Display) {
        if self.report.errors == 0 {
            eprintln!("{why}");
        }
        self.report.errors += 1;
        self.renew(index);
    }

    fn renew(&mut self, index: usize) {
        self.sockets[index].asked = None;
        if Instant::now() >= self.end || self.begun >= self.options.requests {
            return;
        }
        match self.open(index) {
            Ok(fd) => {
                self.sockets[index].fd = fd;
                self.ask(index);
            }
            // It would most likely fail for ever.
            Err(error) => {
                eprintln!("cannot connect: {error}");
                self.report.errors += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    fn driven(kind: Kind, address: SocketAddr) -> Report {
        drive(&Options { kind, address, connections: 4, seconds: 10, requests: 100 }).unwrap()
    }

    /// A server that answers each message with `answer` bytes; and how many connections it has had.
    fn tcp(answer: usize) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Relaxed);
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut message = [0; MESSAGE_BYTES];
                    while stream.read_exact(&mut message).is_ok() {
                        stream.write_all(&vec![b'x'; answer]).unwrap();
                    }
                });
            }
        });
        (address, accepted)
    }

    #[test]
    fn connections_stay_open_or_serve_one_exchange() {
        let (address, accepted) = tcp(MESSAGE_BYTES);
        let report = driven(Kind::Messages, address);
        assert_eq!((report.requests, report.errors, accepted.swap(0, Relaxed)), (100, 0, 4));
        assert_eq!(report.bytes, 100 * MESSAGE_BYTES as u64);
        let report = driven(Kind::Connections, address);
        assert_eq!((report.requests, report.errors, accepted.load(Relaxed)), (100, 0, 100));
    }

    #[test]
    fn a_longer_answer_is_an_error() {
        let report = driven(Kind::Messages, tcp(MESSAGE_BYTES + 1).0);
        assert_eq!((report.requests, report.errors), (0, 100));
    }

    #[test]
    fn a_lost_datagram_is_an_error_and_the_next_one_follows() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut message = [0; 2 * MESSAGE_BYTES];
            for number in 0.. {
                let (length, peer) = socket.recv_from(&mut message).unwrap();
                if number != 7 {
                    socket.send_to(&message[..length], peer).unwrap();
                }
            }
        });
        let report = driven(Kind::Datagrams, address);
        assert_eq!((report.requests, report.errors), (99, 1));
    }
}
