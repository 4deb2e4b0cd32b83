//! A scriptable server: a closure answers each request, everything received is on record.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::message::{Body, Fault, Request};
use super::{Gate, Port, Wire, eventually};

type Handler = dyn Fn(&Request, &mut Wire) + Send + Sync;

/// A server on a port of its own; it ends with the test.
pub struct Origin {
    /// Its id in the configurations that [`super::pool`] writes.
    pub name: String,
    port: Port,
    shared: Arc<Shared>,
    running: Mutex<Option<Arc<AtomicBool>>>,
}

struct Shared {
    handler: Box<Handler>,
    whole: bool,
    connections: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Origin {
    /// Calls `handler` for each request once it was read to its end.
    pub fn start(handler: impl Fn(&Request, &mut Wire) + Send + Sync + 'static) -> Self {
        Self::build(handler, true)
    }

    /// Answers each request with what `answer` returns.
    pub fn answering(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |request, wire| {
            wire.send(answer(request));
        })
    }

    /// Calls `handler` for each request as soon as its head is there; the body is left on the wire.
    pub fn on_head(handler: impl Fn(&Request, &mut Wire) + Send + Sync + 'static) -> Self {
        Self::build(handler, false)
    }

    /// Answers each request with 200 and `name` as the body.
    pub fn named(name: &str) -> Self {
        let text = ok(name);
        let mut origin = Self::answering(move |_| text.clone());
        origin.name = name.to_owned();
        origin
    }

    /// Answers each request with 200 and `name` as the body, once the gate is open.
    pub fn held(name: &str, gate: &Gate) -> Self {
        let (gate, text) = (gate.clone(), ok(name));
        let origin = Self::start(move |_, wire| {
            gate.wait();
            wire.send(&text);
        });
        origin.called(name)
    }

    /// Answers each request with these bytes, and keeps the connection.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self::start(move |_, wire| {
            wire.send(&bytes);
        })
    }

    /// Answers each request with these bytes, and closes the connection.
    pub fn bytes_then_close(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self::start(move |_, wire| {
            wire.send(&bytes);
            wire.close();
        })
    }

    /// The same with another name.
    pub fn called(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// A server that refuses connections until [`Origin::resume`].
    pub fn refusing(name: &str) -> Self {
        let origin = Self::named(name);
        origin.stop();
        origin
    }

    /// As [`Origin::named`], at this address.
    pub fn named_at(name: &str, address: SocketAddr) -> Self {
        let text = ok(name);
        let handler = move |_: &Request, wire: &mut Wire| {
            wire.send(&text);
        };
        Self::build_at(Port::at(address), handler, true).called(name)
    }

    /// As [`Origin::start`], at this address.
    pub fn start_at(
        address: SocketAddr,
        handler: impl Fn(&Request, &mut Wire) + Send + Sync + 'static,
    ) -> Self {
        Self::build_at(Port::at(address), handler, true)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The requests so far, in the order of their ends.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests it got.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// The latest request; waits for the first one.
    pub fn last(&self) -> Request {
        eventually("the server got a request", || self.count() > 0);
        self.requests().pop().unwrap()
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Dies: connections are cut, new ones refused.
    pub fn stop(&self) {
        let Some(stop) = self.running.lock().unwrap().take() else { return };
        stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address()));
        eventually("the server refuses connections", || TcpStream::connect(self.address()).is_err());
        self.cut();
    }

    /// Cuts the open connections and goes on.
    pub fn cut(&self) {
        for (_, stream) in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Comes back on the same port.
    pub fn resume(&self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (listener, shared, ours) = (self.port.listen(), self.shared.clone(), stop.clone());
        thread::spawn(move || accept(&listener, &shared, &ours));
        *self.running.lock().unwrap() = Some(stop);
    }

    fn build(handler: impl Fn(&Request, &mut Wire) + Send + Sync + 'static, whole: bool) -> Self {
        Self::build_at(Port::reserve(), handler, whole)
    }

    fn build_at(
        port: Port,
        handler: impl Fn(&Request, &mut Wire) + Send + Sync + 'static,
        whole: bool,
    ) -> Self {
        let shared = Shared {
            handler: Box::new(handler),
            whole,
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
            open: Mutex::default(),
        };
        let name = format!("origin-{}", port.address().port());
        let origin = Self { name, port, shared: Arc::new(shared), running: Mutex::default() };
        origin.resume();
        origin
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(stop) = self.running.lock().unwrap().take() {
            stop.store(true, Ordering::SeqCst);
            drop(TcpStream::connect(self.address()));
        }
        self.cut();
    }
}

/// A whole response with a Content-Length.
pub fn answer(status: u16, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

/// A 200 with `body`.
pub fn ok(body: &str) -> String {
    answer(200, "", body)
}

/// A 200 in chunks, with trailers (each line with its CRLF).
pub fn chunked(chunks: &[&str], trailers: &str) -> String {
    let chunks: String = chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect();
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n{trailers}\r\n")
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, stop: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.lock().unwrap().push((connection, stream.try_clone().unwrap()));
        let shared = shared.clone();
        thread::spawn(move || serve(Wire::recording(stream), &shared, connection));
    }
}

fn serve(mut wire: Wire, shared: &Shared, connection: usize) {
    while let Ok(request) = receive(&mut wire, shared, connection) {
        shared.requests.lock().unwrap().push(request.clone());
        (shared.handler)(&request, &mut wire);
        if wire.ended() {
            break;
        }
    }
    // The copy must go first: only the last handle's end closes (or resets) the connection.
    shared.open.lock().unwrap().retain(|(open, _)| *open != connection);
}

fn receive(wire: &mut Wire, shared: &Shared, connection: usize) -> Result<Request, Fault> {
    let whole = |wire: &mut Wire| {
        let head = wire.head()?;
        let body = if shared.whole { wire.body(&head, false)? } else { Body::default() };
        Ok((head, body))
    };
    let read = whole(wire);
    let raw = wire.take_seen();
    let (head, body) = read?;
    Ok(Request { head, body, connection, raw })
}
