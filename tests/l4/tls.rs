//! TLS on tcp listeners: by server name without terminating it, beside names that are terminated, and on both sides.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::server::{Server, connect_to, is_reset, rest};
use crate::support::tls::Issued;
use crate::support::{Authority, Client, Evenkeel, Folder, Origin, TlsClient, eventually, ms};

/// A server that terminates TLS itself: says its name, and sends back what comes.
fn secure(name: &'static str, issued: &Issued) -> Server {
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ServerConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let builder = builder.unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![issued.der.clone()], key).unwrap();
    // A client that offers this must not be refused on the way.
    config.alpn_protocols = vec![b"imap".to_vec()];
    let config = Arc::new(config);
    Server::start(name, move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let mut buf = [0; 4096];
        if stream.write_all(format!("{name}\n").as_bytes()).is_err() {
            return;
        }
        while let Ok(read @ 1..) = stream.read(&mut buf) {
            if stream.write_all(&buf[..read]).is_err() {
                return;
            }
        }
    })
}

fn backend(server: &Server) -> String {
    format!("{{ address = \"{}\", name = \"{}\" }}", server.address(), server.name)
}

/// What the server that `name` leads to says, once it was spoken with.
fn says(client: &TlsClient, address: SocketAddr, name: &str) -> String {
    let mut client = client.connect(address, name).unwrap();
    echo(&mut client)
}

fn echo(client: &mut Client) -> String {
    let mut said = Vec::new();
    while said.last() != Some(&b'\n') {
        said.extend(client.exactly(1).unwrap());
    }
    client.send(b"hello");
    assert_eq!(client.exactly(5).unwrap(), b"hello");
    String::from_utf8(said).unwrap().trim().to_owned()
}

/// A listener `db` that tells names apart, without a certificate of its own.
fn by_name(servers: &[(&str, &str, &Server)], more: &str) -> String {
    let mut toml = format!("[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n{more}\n");
    for (name, sni, server) in servers {
        toml.push_str(&format!(
            "[[route]]\nname = \"to-{name}\"\nlistener = \"db\"\nsni = [\"{sni}\"]\npool = \"{name}\"\n\
             [pool.{name}]\nbackends = [{}]\n",
            backend(server)
        ));
    }
    toml
}

#[test]
fn names_lead_to_their_servers_which_terminate() {
    let authority = Authority::new();
    let issued = authority.issue(&["imap.example.com", "*.example.com", "a.eu.example.com"]);
    let servers = ["exact", "wild", "longer"].map(|name| secure(name, &issued));
    let [exact, wild, longer] = &servers;
    let evenkeel = Evenkeel::start(&by_name(
        &[
            ("wild", "*.example.com", wild),
            ("exact", "imap.example.com", exact),
            ("longer", "*.eu.example.com", longer),
        ],
        "",
    ));
    let (address, client) = (evenkeel.listener("db"), TlsClient::new(&authority));
    for (name, expected) in
        [("imap.example.com", "exact"), ("a.example.com", "wild"), ("a.eu.example.com", "longer")]
    {
        assert_eq!(says(&client, address, name), expected, "{name}");
        let record = evenkeel.record(|record| record["sni"] == name);
        assert_eq!((&record["pool"], &record["route"]), (&expected.into(), &format!("to-{expected}").into()));
    }
    assert_eq!(says(&client.clone().offering(&["imap"]), address, "imap.example.com"), "exact");
    // No route takes it.
    assert!(client.connect(address, "other.example").is_err());
    let record = evenkeel.record(|record| record["sni"] == "other.example");
    assert_eq!(
        (&record["ended"], &record["reason"]),
        (&"refused".into(), &"no route for this connection".into())
    );
}

/// The hello of a client of these tests for `name`.
fn hello(name: &str) -> Vec<u8> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same message in records of so many bytes.
fn fragments(hello: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for fragment in hello[5..].chunks(length) {
        out.extend_from_slice(&hello[..3]);
        out.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
        out.extend_from_slice(fragment);
    }
    out
}

#[test]
fn a_hello_reaches_the_server_as_it_came_however_it_was_cut() {
    let server = Server::start("raw", |mut stream| {
        let mut buf = [0; 65536];
        while let Ok(read @ 1..) = stream.read(&mut buf) {
            stream.write_all(&buf[..read]).unwrap();
        }
    });
    let evenkeel = Evenkeel::start(&by_name(&[("raw", "*.example.com", &server)], ""));
    let whole = hello("a.example.com");
    for bytes in [whole.clone(), fragments(&whole, 100), fragments(&whole, whole.len() / 50)] {
        let mut client = connect_to(evenkeel.listener("db"));
        client.set_nodelay(true).unwrap();
        // In pieces that each come alone.
        for piece in bytes.chunks(bytes.len() / 7 + 1) {
            client.write_all(piece).unwrap();
            std::thread::sleep(ms(2));
        }
        client.write_all(b"and more").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(rest(&client), [&bytes[..], b"and more"].concat());
    }
}

#[test]
fn what_is_no_hello_goes_to_the_pool_of_the_listener_or_is_closed() {
    let (server, fallback) = (Server::echo("raw"), Server::echo("fallback"));
    let toml =
        by_name(&[("raw", "*.example.com", &server)], "pool = \"fallback\"\ntimeout = { head = \"700ms\" }")
            + &format!("[pool.fallback]\nbackends = [{}]\n", backend(&fallback));
    let evenkeel = Evenkeel::start(&toml);
    let address = evenkeel.listener("db");
    let send = |bytes: &[u8]| {
        let mut client = connect_to(address);
        client.write_all(bytes).unwrap();
        client
    };
    // Other protocols, and clients that ask for another name or for none.
    for bytes in [b"SSH-2.0-x\r\n".to_vec(), hello("other.example"), hello("127.0.0.1")] {
        let mut client = send(&bytes);
        let mut said = [0; 9];
        client.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"fallback\n");
    }
    // Too long, not well-formed, cut.
    let closed = |why: &str, client: TcpStream| {
        is_reset(&client);
        let record = evenkeel.record(|record| record["reason"].as_str().is_some_and(|it| it.contains(why)));
        assert_eq!(record["ended"], "hello_failed", "{record}");
    };
    closed("longer than", send(b"\x16\x03\x01\x40\x00\x01\x01\x00\x00"));
    closed("malformed", send(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"));
    closed("no TLS hello within timeout.head", send(&hello("a.example.com")[..50]));
    let begun = Instant::now();
    closed("no TLS hello within timeout.head", connect_to(address));
    assert!(begun.elapsed() < ms(5_000));
    let cut = send(&hello("a.example.com")[..50]);
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    closed("left within", cut);
    drop(connect_to(address));
    evenkeel.record(|record| record["ended"] == "client_left");
    assert_eq!((server.count(), fallback.count()), (0, 3));
}

#[test]
fn names_pass_through_beside_names_that_are_terminated() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let own = authority.issue(&["shop.example.com"]).write(&folder, "shop");
    let raw = secure("raw", &authority.issue(&["raw.example.com", "a.db.example.com"]));
    let (plain, web) = (Server::echo("plain"), Origin::named("web"));
    let tls = format!(
        "tls.certificates = [{own}]\n\
         tls.passthrough = [{{ sni = [\"raw.example.com\", \"*.db.example.com\"], pool = \"raw\" }}]\n"
    );
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!(
            "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n{tls}\
             [listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"plain\"\n{tls}\
             [pool.app]\nbackends = [\"{}\"]\n[pool.raw]\nbackends = [{}]\n[pool.plain]\nbackends = [{}]\n",
            web.address(),
            backend(&raw),
            backend(&plain)
        ),
    );
    let client = TlsClient::new(&authority);
    for listener in ["web", "db"] {
        for name in ["raw.example.com", "a.db.example.com"] {
            assert_eq!(says(&client, evenkeel.listener(listener), name), "raw");
        }
        let record = evenkeel.record(|record| record["listener"] == listener && record["pool"] == "raw");
        assert_eq!(record["route"], format!("passthrough:{listener}"));
    }
    // The same port, other names: HTTP, and the stream within.
    let mut shop = client.connect(evenkeel.address(), "shop.example.com").unwrap();
    let answer = shop.ask("GET / HTTP/1.1\r\nhost: shop.example.com\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "web"));
    assert_eq!(says(&client, evenkeel.listener("db"), "shop.example.com"), "plain");
    let record = evenkeel.record(|record| record["pool"] == "plain");
    assert_eq!((&record["sni"], &record["bytes_in"]), (&"shop.example.com".into(), &5.into()));
    // What speaks no TLS gets none of it.
    let mut clear = connect_to(evenkeel.listener("web"));
    clear.write_all(b"GET / HTTP/1.1\r\nhost: raw.example.com\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[test]
fn tls_ends_at_the_listener_and_begins_anew_towards_the_servers() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let own = authority.issue(&["mqtt.example.com"]).write(&folder, "mqtt");
    let ca = authority.write(&folder, "ca.pem");
    let inner = secure("inner", &authority.issue(&["mqtt.internal"]));
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!(
            "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\ntls.certificates = [{own}]\n\
             [pool.app]\nbackends = [{}]\ntls = {{ server_name = \"mqtt.internal\", ca = \"{ca}\" }}\n",
            backend(&inner)
        ),
    );
    let client = TlsClient::new(&authority).offering(&["mqtt"]);
    assert_eq!(says(&client, evenkeel.listener("db"), "mqtt.example.com"), "inner");
    let record = evenkeel.record(|record| record["backend"] == "inner");
    assert_eq!((&record["sni"], &record["bytes_out"]), (&"mqtt.example.com".into(), &11.into()));
    // One that speaks no TLS, and one that does not believe us.
    let mut clear = connect_to(evenkeel.listener("db"));
    clear.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    is_reset(&clear);
    let record = evenkeel.record(|record| record["ended"] == "hello_failed");
    assert!(record["reason"].as_str().unwrap().starts_with("TLS handshake failed"), "{record}");
    assert_eq!(inner.count(), 1);
    eventually("handshakes are counted", || {
        evenkeel.metric("evenkeel_tls_handshakes_total", &["result=\"failed\""]) == 1.0
    });
}

#[test]
fn a_large_transfer_over_tls_arrives_whole() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let own = authority.issue(&["db.example.com"]).write(&folder, "db");
    let server = Server::start("a", |mut stream| {
        let mut buf = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buf) {
            stream.write_all(&buf[..read]).unwrap();
        }
    });
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!(
            "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\ntls.certificates = [{own}]\n\
             [pool.app]\nbackends = [{}]\n",
            backend(&server)
        ),
    );
    let mut client = TlsClient::new(&authority).connect(evenkeel.listener("db"), "db.example.com").unwrap();
    for round in 0..16_u8 {
        let block: Vec<u8> = (0..100_000_u32).map(|at| (at as u8).wrapping_mul(31) ^ round).collect();
        client.send(&block);
        assert_eq!(client.exactly(block.len()).unwrap(), block);
    }
}
