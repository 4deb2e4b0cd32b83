//! Datagrams between real sockets: in batches, joined, taken apart, and with the addresses that they were sent to.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::name::{Beside, Control, Name};
use super::{Inbox, Message, Outbox};
use crate::options::Dial;

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn message(pieces: std::ops::Range<usize>, segment: usize) -> Message {
    Message { to: None, from: None, pieces, segment }
}

#[test]
fn addresses_are_read_as_they_were_written() {
    for (text, is_ipv6) in
        [("10.1.2.3:53", false), ("10.1.2.3:53", true), ("[2001:db8::1]:9", true), ("[fe80::1%3]:9", true)]
    {
        let address: SocketAddr = text.parse().unwrap();
        let (name, length) = Name::of(address, is_ipv6);
        assert_eq!((name.read(), length), (Some(address), if is_ipv6 { 28 } else { 16 }));
    }
    assert_eq!(Name::EMPTY.read(), None);
}

#[test]
fn what_is_said_beside_a_datagram_is_read_as_it_was_written() {
    for (from, is_ipv6) in [("::1", true), ("10.1.2.3", true)] {
        let mut control = Control::EMPTY;
        let from = from.parse().unwrap();
        let length = control.write(Some(from), None, is_ipv6, 0);
        assert_eq!(control.read(length), Beside { local: Some(from), segment: 0 });
        assert_eq!(control.read(30), Beside::default());
        assert_eq!(control.read(3), Beside::default());
    }
    assert_eq!(Control::EMPTY.read(Control::SIZE), Beside::default());
}

#[test]
fn a_batch_comes_with_one_call_and_in_order() {
    let (server, mut inbox) = (socket("127.0.0.1:0"), Inbox::default());
    assert_eq!(inbox.receive(&server, 10, 0).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let client = Dial::default().connect_datagrams(server.local_addr().unwrap()).unwrap();
    let large = vec![7; 65_507];
    for bytes in [&b"one"[..], b"", &large] {
        client.send(bytes).unwrap();
    }
    assert_eq!(inbox.receive(&server, 2, 4).unwrap(), 2);
    assert_eq!(inbox.receive(&server, 2, 5).unwrap(), 1);
    let come: Vec<_> =
        inbox.received().iter().map(|it| (inbox.bytes(it), it.peer, it.count(), it.tag)).collect();
    let peer = Some(client.local());
    assert_eq!(come, [(&b"one"[..], peer, 1, 4), (b"", peer, 1, 4), (&large, peer, 1, 5)]);
    assert_eq!(client.send(&vec![7; 65_508]).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn datagrams_of_one_length_go_as_one_and_come_apart() {
    let server = socket("127.0.0.1:0");
    let client = Dial::default().connect_datagrams(server.local_addr().unwrap()).unwrap();
    let pieces = [&b"head"[..], b"aaaaaa", b"head", b"bbbbbb", b"head", b"c"].map(IoSlice::new);
    Outbox::default().send(&client, false, (&[message(0..6, 10)], &pieces), |_, error| panic!("{error}"));
    let mut buf = [0; 100];
    for expected in [&b"headaaaaaa"[..], b"headbbbbbb", b"headc"] {
        let length = server.recv(&mut buf).unwrap();
        assert_eq!(&buf[..length], expected);
    }
}

#[test]
fn datagrams_that_the_kernel_does_not_take_apart_go_one_by_one() {
    let server = socket("127.0.0.1:0");
    let client = Dial::default().connect_datagrams(server.local_addr().unwrap()).unwrap();
    // More than one message may hold.
    let bytes = vec![1; 40_000];
    let pieces = [IoSlice::new(&bytes), IoSlice::new(&bytes)];
    Outbox::default().send(&client, false, (&[message(0..2, 40_000)], &pieces), |_, error| panic!("{error}"));
    let mut buf = vec![0; 70_000];
    assert_eq!((server.recv(&mut buf).unwrap(), server.recv(&mut buf).unwrap()), (40_000, 40_000));
}

#[test]
fn a_refusal_is_reported_once_and_the_other_messages_go() {
    let server = socket("127.0.0.1:0");
    let address = server.local_addr().unwrap();
    let client = Dial::default().connect_datagrams(address).unwrap();
    drop(server);
    client.send(b"x").unwrap();
    let mut inbox = Inbox::default();
    let refused = loop {
        match inbox.receive(&client, 1, 0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let server = socket(&address.to_string());
    let long = vec![0; 65_508];
    let pieces = [IoSlice::new(b"a"), IoSlice::new(&long), IoSlice::new(b"b")];
    let mut failed = Vec::new();
    Outbox::default().send(
        &client,
        false,
        (&[message(0..1, 0), message(1..2, 0), message(2..3, 0)], &pieces),
        |at, error| failed.push((at, error.raw_os_error())),
    );
    assert_eq!(failed, [(1, Some(libc::EMSGSIZE))]);
    let mut buf = [0; 10];
    for expected in [b"a", b"b"] {
        let length = server.recv(&mut buf).unwrap();
        assert_eq!(&buf[..length], expected);
    }
}
