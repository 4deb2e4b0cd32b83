//! Ends of connections whose TLS ends here: those that are declared, and those that an attacker could have made.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use rustls::client::{EchConfig, EchMode};
use rustls::crypto::aws_lc_rs::{default_provider, hpke::ALL_SUPPORTED_SUITES};
use rustls::pki_types::{EchConfigListBytes, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::server::{Server, config, connect_to, is_reset};
use crate::support::{Authority, DEADLINE, Evenkeel, Folder, TlsClient};

const NAME: &str = "db.example.com";

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Something that a server saw, for the test to look at.
fn channel_of<T: Send + 'static>() -> (impl Fn(T) + Send + Sync + 'static, impl Fn() -> T) {
    let (told, heard) = channel();
    let told = Mutex::new(told);
    (move |seen| told.lock().unwrap().send(seen).unwrap(), move || heard.recv_timeout(DEADLINE).unwrap())
}

/// A listener `db` that terminates TLS before this server, and a client of it.
fn start(server: &Server) -> (Evenkeel, Secure) {
    let (authority, folder) = (Authority::new(), Folder::new());
    let own = authority.issue(&[NAME]).write(&folder, "db");
    let evenkeel = Evenkeel::start_in(folder, &config(&format!("tls.certificates = [{own}]"), &[server], ""));
    let client = TlsClient::new(&authority).stream(connect_to(evenkeel.listener("db")), NAME);
    (evenkeel, client)
}

#[test]
fn an_end_that_the_client_declares_is_one_and_the_answer_still_comes() {
    let server = Server::start("a", |mut stream| {
        let mut asked = String::new();
        stream.read_to_string(&mut asked).unwrap();
        stream.write_all(format!("you said {asked}").as_bytes()).unwrap();
    });
    let (evenkeel, mut client) = start(&server);
    client.write_all(b"this").unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "you said this");
    evenkeel.record(|record| record["ended"] == "client_closed" && record["bytes_out"] == 13);
}

#[test]
fn an_end_of_the_server_is_declared_to_the_client_who_may_go_on() {
    let (tell, heard) = channel_of();
    let server = Server::start("a", move |mut stream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut last = String::new();
        stream.read_to_string(&mut last).unwrap();
        tell(last);
    });
    let (evenkeel, mut client) = start(&server);
    let mut said = String::new();
    // Without a declared end rustls would call it an error.
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "bye");
    client.write_all(b"last words").unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(heard(), "last words");
    evenkeel.record(|record| record["ended"] == "server_closed" && record["bytes_in"] == 10);
}

#[test]
fn an_end_that_the_client_does_not_declare_reaches_the_server_as_a_reset() {
    let (tell, heard) = channel_of();
    let server = Server::start("a", move |mut stream: TcpStream| {
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        tell(is_reset(&stream));
    });
    let (evenkeel, mut client) = start(&server);
    client.write_all(b"this").unwrap();
    client.flush().unwrap();
    // As an attacker on the way would.
    client.sock.shutdown(Shutdown::Write).unwrap();
    assert!(heard(), "the server takes what was cut for the whole");
    evenkeel.record(|record| record["ended"] == "client_reset");
}

#[test]
fn a_reset_of_the_server_is_no_declared_end() {
    let server = Server::start("a", |mut stream| {
        stream.write_all(b"half").unwrap();
        let _ = stream.read(&mut [0]);
        super::server::reset(stream);
    });
    let (evenkeel, mut client) = start(&server);
    let mut said = [0; 4];
    client.read_exact(&mut said).unwrap();
    client.write_all(b"x").unwrap();
    assert!(client.read(&mut said).is_err(), "the client takes what was cut for the whole");
    evenkeel.record(|record| record["ended"] == "server_reset");
}

#[test]
fn a_client_that_does_not_shake_hands_is_closed_in_time() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let own = authority.issue(&[NAME]).write(&folder, "db");
    let server = Server::echo("a");
    let keys = format!("tls.certificates = [{own}]\ntimeout = {{ head = \"300ms\" }}");
    let evenkeel = Evenkeel::start_in(folder, &config(&keys, &[&server], ""));
    let silent = connect_to(evenkeel.listener("db"));
    is_reset(&silent);
    let record = evenkeel.record(|record| record["ended"] == "hello_failed");
    assert_eq!(record["reason"], "no TLS handshake within timeout.head");
    assert_eq!(server.count(), 0);
}

/// What a server with ECH publishes in the DNS: the name that is asked for in clear, and a key (RFC 9849, section 4).
fn ech_config(cover: &str) -> EchConfig {
    let suite = ALL_SUPPORTED_SUITES[0].suite();
    let (key, _) = ALL_SUPPORTED_SUITES[0].generate_key_pair().unwrap();
    let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let mut contents = vec![1];
    contents.extend(u16::from(suite.kem).to_be_bytes());
    contents.extend(length(key.0.len()));
    contents.extend(&key.0);
    contents.extend(length(4));
    contents.extend(u16::from(suite.sym.kdf_id).to_be_bytes());
    contents.extend(u16::from(suite.sym.aead_id).to_be_bytes());
    contents.extend([0, u8::try_from(cover.len()).unwrap()]);
    contents.extend(cover.as_bytes());
    contents.extend([0, 0]);
    let config = [&0xfe0d_u16.to_be_bytes()[..], &length(contents.len()), &contents].concat();
    let list = [&length(config.len())[..], &config].concat();
    EchConfig::new(EchConfigListBytes::from(list), ALL_SUPPORTED_SUITES).unwrap()
}

/// Sends the hello of a client that hides `name` behind `cover`, and returns it.
fn hidden_hello(address: SocketAddr, name: &'static str, cover: &str) -> (TcpStream, Vec<u8>) {
    let builder = ClientConfig::builder_with_provider(default_provider().into());
    let builder = builder.with_ech(EchMode::Enable(ech_config(cover))).unwrap();
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let mut stream = connect_to(address);
    stream.write_all(&hello).unwrap();
    (stream, hello)
}

#[test]
fn a_client_that_hides_its_name_is_routed_by_the_cover_and_its_hello_is_left_as_it_is() {
    let (tell, heard) = channel_of();
    let server = Server::start("cover", move |mut stream: TcpStream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        tell(bytes);
    });
    let evenkeel = Evenkeel::start(&format!(
        "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n\
         [[route]]\nlistener = \"db\"\nsni = [\"hidden.example.com\"]\npool = \"wrong\"\n\
         [[route]]\nlistener = \"db\"\nsni = [\"cover.example.com\"]\npool = \"app\"\n\
         [pool.wrong]\nbackends = [1]\n[pool.app]\nbackends = [\"{}\"]\n",
        server.address()
    ));
    let (stream, hello) = hidden_hello(evenkeel.listener("db"), "hidden.example.com", "cover.example.com");
    let shows = |name: &str| hello.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(shows("cover.example.com") && !shows("hidden.example.com"));
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(heard(), hello);
    let record = evenkeel.record(|record| record["pool"] == "app");
    assert_eq!(record["sni"], "cover.example.com");
}
