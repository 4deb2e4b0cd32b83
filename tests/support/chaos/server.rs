//! The server that follows a script, and counts what it was asked.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wire::{GARBAGE, until, whole};
use super::{How, Point, Script, streams};
use crate::support::message::{Fault, Head};
use crate::support::port::Hang;
use crate::support::{Gate, Port, Wire};

/// How much of a request's body is read before [`Point::RequestBody`].
const SOME: usize = 1000;

/// A server that follows a [`Script`]; it ends with the test.
pub struct Chaos {
    port: Port,
    shared: Arc<Shared>,
    _hang: Option<Hang>,
}

pub struct Shared {
    script: Script,
    connections: AtomicUsize,
    /// How many heads came with each `x-case`.
    cases: Mutex<BTreeMap<String, usize>>,
    ending: AtomicBool,
    /// Opens when the server ends, for the connections that hang.
    pub end: Gate,
}

impl Shared {
    /// Counts a request with `x-case: case`.
    pub fn came(&self, case: String) {
        *self.cases.lock().unwrap().entry(case).or_default() += 1;
    }
}

impl Chaos {
    /// Starts it on a port of its own.
    pub fn start(script: Script) -> Self {
        let port = Port::reserve();
        let shared = Arc::new(Shared {
            script,
            connections: AtomicUsize::new(0),
            cases: Mutex::default(),
            ending: AtomicBool::new(false),
            end: Gate::default(),
        });
        let hang = (script == Script::Unaccepting).then(|| port.hang());
        if !matches!(script, Script::Refuse | Script::Unaccepting) {
            let (listener, shared) = (port.listen(), shared.clone());
            thread::spawn(move || accept(&listener, &shared));
        }
        Self { port, shared, _hang: hang }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it does.
    pub fn script(&self) -> Script {
        self.shared.script
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many times it read a head with `x-case: case`.
    pub fn count(&self, case: &str) -> usize {
        self.shared.cases.lock().unwrap().get(case).copied().unwrap_or_default()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.end.open();
        drop(TcpStream::connect_timeout(&self.address(), crate::support::ms(100)));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.ending.load(Ordering::SeqCst) {
            return;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        // How the connection ends is the script's affair.
        thread::spawn(move || drop(serve(&mut Wire::new(stream), &shared)));
    }
}

fn serve(wire: &mut Wire, shared: &Shared) -> Result<(), Fault> {
    match shared.script {
        Script::Refuse | Script::Unaccepting => Ok(()),
        Script::FailStream(at, how) => streams::serve(wire, shared, (at, how), false),
        Script::FailKeptStream(at, how) => streams::serve(wire, shared, (at, how), true),
        Script::Fail(at, how) => fail(wire, shared, at, how),
        Script::FailKept(at, how) => {
            let head = request(wire, shared)?;
            wire.send(whole(at, method(&head)));
            fail(wire, shared, at, how)
        }
        Script::Trickle(point) => loop {
            let head = request(wire, shared)?;
            for byte in whole(point, method(&head)) {
                wire.send([byte]);
                thread::yield_now();
            }
        },
        Script::Surplus(point) => loop {
            let head = request(wire, shared)?;
            let evil = b"HTTP/1.1 200 OK\r\nx-kind: evil\r\ncontent-length: 4\r\n\r\nevil";
            wire.send([&whole(point, method(&head)), &evil[..]].concat());
        },
        Script::Interim(count) => loop {
            let head = request(wire, shared)?;
            let flood = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(count);
            wire.send([flood.as_bytes(), &whole(Point::SizedBody, method(&head))].concat());
        },
        Script::Early => loop {
            let head = request_head(wire, shared)?;
            wire.send(whole(Point::SizedBody, method(&head)));
            wire.body(&head, false)?;
        },
    }
}

/// Takes a request as far as `at`, answers it as far as `at`, and fails.
fn fail(wire: &mut Wire, shared: &Shared, at: Point, how: How) -> Result<(), Fault> {
    if at != Point::Accepted {
        let head = request_head(wire, shared)?;
        match at {
            Point::RequestHead => {}
            // A request without one may come over a connection that one with a body had left.
            Point::RequestBody if method(&head) != "GET" => drop(wire.exactly(SOME)?),
            _ => drop(wire.body(&head, false)?),
        }
        wire.send(until(at, method(&head)));
    }
    match how {
        How::Close => wire.close(),
        How::Reset => wire.reset(),
        How::HalfClose => {
            wire.finish();
            wire.hold();
        }
        How::Hang => shared.end.wait(),
        How::Garbage => {
            wire.send(GARBAGE);
            wire.close();
        }
    }
    Ok(())
}

fn request(wire: &mut Wire, shared: &Shared) -> Result<Head, Fault> {
    let head = request_head(wire, shared)?;
    wire.body(&head, false)?;
    Ok(head)
}

fn request_head(wire: &mut Wire, shared: &Shared) -> Result<Head, Fault> {
    let head = wire.head()?;
    shared.came(head.header("x-case").unwrap_or_default().to_owned());
    Ok(head)
}

fn method(head: &Head) -> &str {
    head.start.split(' ').next().unwrap_or_default()
}
