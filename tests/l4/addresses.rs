//! Connections over every kind of address, on both sides, and the options of their sockets.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use super::server::{Server, config, connect, connect_to, end, exchange, line, rest};
use crate::sockets::options::is_kept_alive;
use crate::support::{DEADLINE, Evenkeel, Folder, eventually};

const TOTAL: usize = 3_000_000;

/// All of it through the stream and back, with an end on either side.
fn there_and_back(mut stream: impl Read + Write + Send, end: impl FnOnce()) {
    let sent: Vec<u8> = (0..TOTAL).map(|at| ((at * at) >> 3) as u8).collect();
    let (mut came, mut block) = (Vec::new(), vec![0; 64 * 1024]);
    for piece in sent.chunks(50_000) {
        stream.write_all(piece).unwrap();
        let mut left = piece.len();
        while left > 0 {
            let read = stream.read(&mut block[..left.min(64 * 1024)]).unwrap();
            assert!(read > 0, "it ended early");
            came.extend_from_slice(&block[..read]);
            left -= read;
        }
    }
    assert!(came == sent, "not what was sent");
    end();
    assert_eq!(stream.read(&mut block).unwrap(), 0);
}

#[test]
fn ipv6_on_both_sides() {
    let server = Server::echo_on(TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap(), "a");
    let toml = config("", &[&server], "").replace("127.0.0.1:0", "[::1]:0");
    let evenkeel = Evenkeel::start(&toml);
    assert!(evenkeel.listener("db").is_ipv6());
    let client = connect(&evenkeel);
    assert_eq!(line(&client), "a");
    there_and_back(&client, || end(&client));
    let record = evenkeel.record(|record| record["backend"] == "a");
    assert_eq!((&record["client"], &record["ended"]), (&"::1".into(), &"client_closed".into()));
}

#[test]
fn a_bare_port_takes_connections_of_both_families() {
    let server = Server::echo("a");
    let toml = config("", &[&server], "").replace("bind = [\"127.0.0.1:0\"]", "bind = 0");
    let evenkeel = Evenkeel::start(&toml);
    let port = evenkeel.listener("db").port();
    for client in ["127.0.0.1", "::1"] {
        let stream = connect_to((client.parse::<std::net::IpAddr>().unwrap(), port).into());
        assert_eq!(line(&stream), "a");
        drop(stream);
        evenkeel.record(|record| record["client"] == client);
    }
}

#[test]
fn unix_sockets_on_both_sides_carry_ends_too() {
    let folder = Folder::new();
    let (front, back) = (folder.path("front"), folder.path("back"));
    let listener = UnixListener::bind(&back).unwrap();
    let (told, heard) = channel();
    let told = Mutex::new(told);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut block = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut block) {
                stream.write_all(&block[..read]).unwrap();
            }
            told.lock().unwrap().send(()).unwrap();
        }
    });
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!(
            "[listener.db]\nbind = \"unix:{front}\"\nprotocol = \"tcp\"\npool = \"app\"\n\
             [pool.app]\nbackends = [{{ address = \"unix:{back}\", name = \"a\" }}]\n"
        ),
    );
    let client = UnixStream::connect(&front).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    there_and_back(&client, || client.shutdown(Shutdown::Write).unwrap());
    heard.recv_timeout(DEADLINE).unwrap();
    let record = evenkeel.record(|record| record["backend"] == "a");
    let total = TOTAL as u64;
    assert_eq!(
        (record["bytes_in"].as_u64(), record["bytes_out"].as_u64(), &record["ended"]),
        (Some(total), Some(total), &"client_closed".into())
    );
}

#[test]
fn options_of_sockets_hold_for_connections_that_are_relayed() {
    let (told, heard) = channel();
    let told = Mutex::new(told);
    let server = Server::start("a", move |mut stream: TcpStream| {
        told.lock().unwrap().send(stream.peer_addr().unwrap().ip().to_string()).unwrap();
        stream.write_all(b"a\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let listener = "backlog = 16\ntcp_keepalive = \"30s\"\nfast_open = 16";
    let pool = "bind_from = [\"127.0.0.2\", \"127.0.0.3\"]\ntcp_keepalive = \"30s\"";
    let to_servers = server.address().port();
    let evenkeel = Evenkeel::start(&config(listener, &[&server], pool));
    let first = connect(&evenkeel);
    assert_eq!(line(&first), "a");
    let ours = (evenkeel.listener("db").port(), first.local_addr().unwrap().port());
    eventually("the kernel watches both", || {
        is_kept_alive(Some(ours.0), Some(ours.1)) && is_kept_alive(None, Some(to_servers))
    });
    assert_eq!(line(&connect(&evenkeel)), "a");
    let mut from = [heard.recv_timeout(DEADLINE).unwrap(), heard.recv_timeout(DEADLINE).unwrap()];
    from.sort();
    assert_eq!(from, ["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn several_addresses_of_a_listener_lead_to_one_pool() {
    let server = Server::echo("a");
    let folder = Folder::new();
    let path = folder.path("db");
    let bind = format!("bind = [\"127.0.0.1:0\", \"unix:{path}\"]");
    let toml = config("", &[&server], "").replace("bind = [\"127.0.0.1:0\"]", &bind);
    let evenkeel = Evenkeel::start_in(folder, &toml);
    let over_tcp = connect(&evenkeel);
    assert_eq!(line(&over_tcp), "a");
    assert_eq!(exchange(&over_tcp, b"hello"), b"hello");
    let mut over_unix = UnixStream::connect(&path).unwrap();
    over_unix.set_read_timeout(Some(DEADLINE)).unwrap();
    over_unix.write_all(b"hello").unwrap();
    let mut said = [0; 7];
    over_unix.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"a\nhello");
    end(&over_tcp);
    assert_eq!(rest(&over_tcp), b"");
    assert_eq!(server.count(), 2);
}
