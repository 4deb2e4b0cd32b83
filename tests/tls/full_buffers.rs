//! A server over TLS that does not read for a while: what TLS has taken, and the kernel has not, is sent later.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::support::h2::frames::{data, flag, headers, kind};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Gate, Port, eventually, self_signed};

const LENGTH: usize = 60_000;

/// Answers one request after the other, but reads the second one only when the gate opens. Little fits into its socket.
fn server(gate: &Gate) -> Port {
    let (port, gate) = (Port::reserve(), gate.clone());
    let issued = self_signed(&["localhost"]);
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ServerConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let config = builder.unwrap().with_no_client_auth().with_single_cert(vec![issued.der], key).unwrap();
    let listener = port.listen();
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    // The client's send buffer is made for segments of this size.
    SockRef::from(&listener).set_tcp_mss(536).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        answer(&mut stream, 0);
        gate.wait();
        answer(&mut stream, LENGTH);
    });
    port
}

/// Reads a head with a body of so many bytes, and answers.
fn answer(stream: &mut StreamOwned<ServerConnection, TcpStream>, length: usize) {
    let (mut request, mut buf) = (Vec::new(), [0; 4096]);
    let end = |request: &[u8]| request.windows(4).position(|end| end == b"\r\n\r\n");
    while end(&request).is_none_or(|end| request.len() < end + 4 + length) {
        match stream.read(&mut buf) {
            Ok(read @ 1..) => request.extend(&buf[..read]),
            _ => return,
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
}

#[test]
fn a_request_that_the_kernel_does_not_take_at_once_goes_out_when_it_does() {
    let gate = Gate::default();
    let server = server(&gate);
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nbackends = [\"{}\"]\n\
         tls = {{ insecure_skip_verify = true }}\ntimeout = {{ response = \"10s\" }}\n",
        server.address()
    ));
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    let mut blocks = fields::Blocks::new();
    let mut status = |peer: &mut Peer| {
        let head = blocks.read(&peer.frame(kind::HEADERS).unwrap().payload);
        fields::values(&head, ":status").concat()
    };
    assert_eq!(status(&mut peer), "200");
    // In one piece: it goes over the connection that is open, and nothing of it is left to be read.
    let head = headers(3, flag::END_HEADERS, fields::post_with("content-length", "60000"));
    let body = "x".repeat(LENGTH);
    let pieces = body.as_bytes().chunks(15_000).enumerate();
    let pieces =
        pieces.flat_map(|(at, piece)| data(3, if at == 3 { flag::END_STREAM } else { flag::NONE }, piece));
    peer.send([head, pieces.collect()].concat()).unwrap();
    eventually("it is under way", || evenkeel.metric("evenkeel_requests_in_flight", &[]) == 1.0);
    gate.open();
    assert_eq!(status(&mut peer), "200");
}
