//! An authoritative name server that a test scripts, over UDP and TCP (RFC 1035), and servers at neighbouring addresses.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::{Gate, Origin, Port};

const A: u16 = 1;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// Bytes of an answer over UDP; a longer one is truncated.
const UDP_MAX: usize = 1232;

/// What it does with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Answers.
    Well,
    /// Answers SERVFAIL.
    Failing,
    /// Answers nothing at all.
    Silent,
    /// Answers nothing when it is asked for IPv6 addresses.
    SilentOnIpv6,
}

/// A name server; it ends with the process.
pub struct Dns {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    /// By name and type; a name with none of any type exists without records.
    records: HashMap<String, HashMap<u16, Vec<Vec<u8>>>>,
    ttl_s: u32,
    asked: Vec<Asked>,
}

/// A question that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub name: String,
    pub over_tcp: bool,
}

impl Dns {
    /// A name server that knows no names.
    pub fn start() -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let state = State { mood: Mood::Well, records: HashMap::new(), ttl_s: 0, asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let (of_udp, of_tcp) = (state.clone(), state.clone());
        thread::spawn(move || serve_udp(&udp, &of_udp));
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let state = of_tcp.clone();
                thread::spawn(move || serve_tcp(stream.unwrap(), &state));
            }
        });
        Self { address, state }
    }

    /// A `[resolver]` that asks it often, and is done with it quickly; with `keys` more.
    pub fn resolver(&self, keys: &str) -> String {
        let min = if keys.contains("ttl_min") { "" } else { "ttl_min = \"100ms\"\n" };
        let timeout = if keys.contains("timeout") { "" } else { "timeout = \"250ms\"\n" };
        let (address, max) = (self.address, if keys.contains("ttl_max") { "" } else { "ttl_max = \"1s\"\n" });
        format!("[resolver]\nservers = [\"{address}\"]\nattempts = 1\n{min}{max}{timeout}{keys}\n")
    }

    /// The TTL of all records from now on.
    pub fn ttl(&self, seconds: u32) {
        self.lock().ttl_s = seconds;
    }

    /// From now on it is in this mood.
    pub fn is(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// From now on the name has these addresses, and no others; with none it exists all the same.
    pub fn addresses(&self, name: &str, addresses: &[IpAddr]) {
        let mut of_type: HashMap<u16, Vec<Vec<u8>>> = HashMap::new();
        for address in addresses {
            match address {
                IpAddr::V4(ip) => of_type.entry(A).or_default().push(ip.octets().to_vec()),
                IpAddr::V6(ip) => of_type.entry(AAAA).or_default().push(ip.octets().to_vec()),
            }
        }
        self.lock().records.insert(name.into(), of_type);
    }

    /// From now on the service is at these places: priority, weight, port and host.
    pub fn services(&self, name: &str, services: &[(u16, u16, u16, &str)]) {
        let record = |&(priority, weight, port, host): &(u16, u16, u16, &str)| {
            let mut bytes = [priority, weight, port].map(u16::to_be_bytes).concat();
            bytes.extend(encoded(host));
            bytes
        };
        let records = services.iter().map(record).collect();
        self.lock().records.insert(name.into(), [(SRV, records)].into());
    }

    /// From now on there is no such name.
    pub fn forget(&self, name: &str) {
        self.lock().records.remove(name);
    }

    /// The questions about a name so far.
    pub fn asked(&self, name: &str) -> Vec<Asked> {
        self.lock().asked.iter().filter(|asked| asked.name == name).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn serve_udp(socket: &UdpSocket, state: &Mutex<State>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = state.lock().unwrap().answer(&buffer[..length], false) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn serve_tcp(mut stream: TcpStream, state: &Mutex<State>) {
    loop {
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        let Some(answer) = state.lock().unwrap().answer(&question, true) else { continue };
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

impl State {
    /// The answer to a message with one question.
    fn answer(&mut self, message: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let end = 12 + message[12..].iter().position(|byte| *byte == 0)? + 1;
        let (name, kind) = (decoded(&message[12..end]), u16::from_be_bytes([message[end], message[end + 1]]));
        self.asked.push(Asked { name: name.clone(), over_tcp });
        let is_silent = match self.mood {
            Mood::Silent => true,
            Mood::SilentOnIpv6 => kind == AAAA,
            Mood::Well | Mood::Failing => false,
        };
        if is_silent {
            return None;
        }
        let known = self.records.get(&name);
        let records = known.and_then(|of_type| of_type.get(&kind)).map_or(&[][..], Vec::as_slice);
        let code: u8 = match (self.mood, known) {
            (Mood::Failing, _) => 2,
            (_, None) => 3,
            (_, Some(_)) => 0,
        };
        let records = if code == 0 { records } else { &[] };
        let question = &message[12..end + 4];
        let mut answer = head(message, 0x84, code, (records.len(), usize::from(records.is_empty())));
        answer.extend(question);
        for data in records {
            answer.extend(record(kind, self.ttl_s, data));
        }
        if records.is_empty() {
            let numbers = [1, 60, 60, 60, 1].map(u32::to_be_bytes).concat();
            answer.extend(record(SOA, 1, &[encoded("ns.test"), encoded("root.test"), numbers].concat()));
        }
        if !over_tcp && answer.len() > UDP_MAX {
            answer = head(message, 0x86, code, (0, 0));
            answer.extend(question);
        }
        Some(answer)
    }
}

/// The first 12 bytes: identity, flags, and how many questions, answers and authorities follow.
fn head(message: &[u8], flags: u8, code: u8, (answers, authorities): (usize, usize)) -> Vec<u8> {
    let mut head = vec![message[0], message[1], flags | (message[2] & 1), 0x80 | code, 0, 1];
    for count in [answers, authorities, 0] {
        head.extend(u16::try_from(count).unwrap().to_be_bytes());
    }
    head
}

/// A record of the name in the question.
fn record(kind: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl_s.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn decoded(mut bytes: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((length, rest)) = bytes.split_first().filter(|(length, _)| **length > 0) {
        let (label, next) = rest.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        bytes = next;
    }
    labels.join(".")
}

/// Loopback addresses with one port that is free on all of them.
pub struct Neighbours(Port);

impl Neighbours {
    /// Finds the port.
    pub fn new() -> Self {
        Self(Port::reserve_everywhere())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.address().port()
    }

    /// 127.0.0.`host`
    pub fn ip(host: u8) -> IpAddr {
        [127, 0, 0, host].into()
    }

    /// The id of the server at 127.0.0.`host`.
    pub fn id(&self, host: u8) -> String {
        self.at(host).to_string()
    }

    /// 127.0.0.`host` and the port.
    pub fn at(&self, host: u8) -> SocketAddr {
        SocketAddr::new(Self::ip(host), self.port())
    }

    /// A server at 127.0.0.`host` that answers with its name.
    pub fn origin(&self, name: &str, host: u8) -> Origin {
        Origin::named_at(name, self.at(host))
    }

    /// The same, once the gate is open for requests to `/held`.
    pub fn holding(&self, name: &'static str, host: u8, gate: &Gate) -> Origin {
        let gate = gate.clone();
        let handler = move |request: &super::message::Request, wire: &mut super::Wire| {
            if request.target() == "/held" {
                gate.wait();
            }
            wire.send(super::ok(name));
        };
        Origin::start_at(self.at(host), handler).called(name)
    }
}
