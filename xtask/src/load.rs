//! A load client with an open loop: requests leave at a constant rate whether or not the earlier ones were answered.
//!
//! Latency counts from the moment a request was due, not from when a connection was free for it. So a server
//! that stalls is charged for every request that had to wait behind the stall ("coordinated omission").

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use serde::{Deserialize, Serialize};

/// How long answers may be outstanding after the last request was due.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes of a response, head and body.
const RESPONSE_MAX: usize = 16 * 1024;

/// What `cargo xtask load` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where to send requests for `/`.
    #[arg(long, value_name = "IP:PORT")]
    pub address: SocketAddr,
    /// Requests a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Keep-alive connections.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: u16,
    /// For how long.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
}

/// What was seen; latencies in microseconds from the moment a request was due.
#[derive(Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Requests answered with a status below 400.
    pub answered: u64,
    /// Requests with another status, on a broken connection, or not answered in time.
    pub failed: u64,
    /// Median.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// The worst.
    pub max_us: u64,
}

/// Sends the load, waits for the answers at most two seconds longer than asked for, and prints the summary as JSON.
///
/// # Errors
/// No connection, or a response that is not HTTP/1.1 with a `Content-Length` and at most 16 KiB.
pub fn run(options: &Options) -> anyhow::Result<()> {
    // By default the kernel may be 50 us late with a timer, which is more than what is measured here.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut client = Client::connect(options)?;
    client.drive(options)?;
    println!("{}", serde_json::to_string(&client.summary())?);
    Ok(())
}

struct Client {
    epoll: OwnedFd,
    address: SocketAddr,
    request: Vec<u8>,
    connections: Vec<Connection>,
    /// Connections without a request in flight.
    free: Vec<usize>,
    /// Requests that are due and wait for a free connection.
    waiting: VecDeque<Instant>,
    latency_ns: Histogram<u64>,
    failed: u64,
}

struct Connection {
    stream: TcpStream,
    due: Option<Instant>,
    buffer: Vec<u8>,
    held: usize,
}

impl Client {
    fn connect(options: &Options) -> anyhow::Result<Self> {
        let mut client = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            address: options.address,
            request: format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", options.address).into_bytes(),
            connections: Vec::new(),
            free: (0..usize::from(options.connections)).collect(),
            waiting: VecDeque::new(),
            latency_ns: Histogram::new_with_bounds(1, 3_600_000_000_000, 3)?,
            failed: 0,
        };
        for index in 0..usize::from(options.connections) {
            let connection = client.open(index)?;
            client.connections.push(connection);
        }
        Ok(client)
    }

    fn open(&self, index: usize) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect_timeout(&self.address, DRAIN)
            .with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        Ok(Connection { stream, due: None, buffer: vec![0; RESPONSE_MAX], held: 0 })
    }

    fn drive(&mut self, options: &Options) -> anyhow::Result<()> {
        let start = Instant::now();
        let total = u64::from(options.rate) * options.seconds;
        let end = start + Duration::from_secs(options.seconds) + DRAIN;
        let due =
            |number: u64| start + Duration::from_nanos(number * 1_000_000_000 / u64::from(options.rate));
        let mut next = 0;
        loop {
            let now = Instant::now();
            while next < total && due(next) <= now {
                self.waiting.push_back(due(next));
                next += 1;
            }
            self.send()?;
            let in_flight = self.connections.len() - self.free.len();
            if now >= end || (next == total && in_flight == 0 && self.waiting.is_empty()) {
                return self.give_up(now);
            }
            self.wait(if next < total { due(next) } else { end })?;
        }
    }

    /// Hands the requests that are due to the connections that are free.
    fn send(&mut self) -> anyhow::Result<()> {
        while !self.waiting.is_empty()
            && let Some(index) = self.free.pop()
        {
            let connection = &mut self.connections[index];
            connection.due = self.waiting.pop_front();
            // A request is far smaller than a socket's buffer, and nothing else is in it.
            if connection.stream.write_all(&self.request).is_err() {
                self.reopen(index)?;
            }
        }
        Ok(())
    }

    /// Waits for answers until `deadline`, and takes in those that are there.
    fn wait(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(self.connections.len());
        let left = deadline.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // poll(2) first: its timeout is in nanoseconds, that of epoll_wait(2) in milliseconds.
            let timeout = Timespec::try_from(left)?;
            match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&at_once))?;
        for event in events {
            self.read(usize::try_from(event.data.u64())?)?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        match connection.stream.read(&mut connection.buffer[connection.held..]) {
            Ok(read) if read > 0 => connection.held += read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            _ => return self.reopen(index),
        }
        let Some((length, status)) = response(&connection.buffer[..connection.held])? else { return Ok(()) };
        ensure!(length == connection.held, "the server sent more than its answer");
        connection.held = 0;
        let due = connection.due.take().context("the server answered without being asked")?;
        self.record(due, Instant::now(), status < 400)?;
        self.free.push(index);
        Ok(())
    }

    /// Replaces a connection that broke; a request that was on it has failed.
    fn reopen(&mut self, index: usize) -> anyhow::Result<()> {
        if let Some(due) = self.connections[index].due.take() {
            self.record(due, Instant::now(), false)?;
            self.free.push(index);
        }
        self.connections[index] = self.open(index)?;
        Ok(())
    }

    /// Whatever is unanswered now counts with the time that it has waited.
    fn give_up(&mut self, now: Instant) -> anyhow::Result<()> {
        let in_flight = self.connections.iter_mut().filter_map(|c| c.due.take());
        let unanswered: Vec<Instant> = in_flight.chain(std::mem::take(&mut self.waiting)).collect();
        unanswered.into_iter().try_for_each(|due| self.record(due, now, false))
    }

    fn record(&mut self, due: Instant, now: Instant, good: bool) -> anyhow::Result<()> {
        let latency = now.saturating_duration_since(due).as_nanos();
        self.latency_ns.record(u64::try_from(latency)?.max(1))?;
        self.failed += u64::from(!good);
        Ok(())
    }

    fn summary(&self) -> Summary {
        let microseconds = |quantile: f64| self.latency_ns.value_at_quantile(quantile) / 1000;
        Summary {
            answered: self.latency_ns.len() - self.failed,
            failed: self.failed,
            p50_us: microseconds(0.5),
            p95_us: microseconds(0.95),
            p99_us: microseconds(0.99),
            max_us: self.latency_ns.max() / 1000,
        }
    }
}

/// Length and status of the response in `bytes`, once it is complete.
fn response(bytes: &[u8]) -> anyhow::Result<Option<(usize, u16)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_length) = head.parse(bytes)? else {
        ensure!(bytes.len() < RESPONSE_MAX, "the response's head is longer than {RESPONSE_MAX} bytes");
        return Ok(None);
    };
    let field = head.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
    let Some(field) = field else { bail!("the response has no Content-Length") };
    let length = head_length + std::str::from_utf8(field.value)?.trim().parse::<usize>()?;
    ensure!(length <= RESPONSE_MAX, "the response is longer than {RESPONSE_MAX} bytes");
    Ok((bytes.len() >= length).then_some((length, head.code.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    /// Serves one connection; the answer to request number `stall_at` comes 200 ms late.
    fn server(stall_at: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            for number in 0.. {
                if stream.read(&mut buffer).unwrap_or(0) == 0 {
                    return;
                }
                if number == stall_at {
                    std::thread::sleep(Duration::from_millis(200));
                }
                let status = if number == 5 { "503 Service Unavailable" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn a_stall_is_charged_to_every_request_that_waited_behind_it() {
        let options = Options { address: server(100), rate: 1000, connections: 1, seconds: 1 };
        let mut client = Client::connect(&options).unwrap();
        client.drive(&options).unwrap();
        let summary = client.summary();
        assert_eq!(summary.answered + summary.failed, 1000);
        assert_eq!(summary.failed, 1, "the one 503");
        assert!(summary.max_us >= 199_000, "{summary:?}");
        // A closed loop would have seen one slow answer; in truth those due within the stall were slow.
        let slow = client.latency_ns.count_between(100_000_000, u64::MAX);
        assert!(slow >= 90, "{slow} requests of 100 ms and more");
    }

    #[test]
    fn a_response_is_complete_with_its_last_byte() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(response(text).unwrap(), Some((text.len(), 200)));
        assert_eq!(response(&text[..text.len() - 1]).unwrap(), None);
        assert_eq!(response(&text[..10]).unwrap(), None);
        assert!(response(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
