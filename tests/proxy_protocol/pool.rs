//! Pools that send PROXY headers: what servers learn, and that a connection carries the requests of one client's connection.

use crate::proxy_protocol::receiver::Receiver;
use crate::support::{Authority, Evenkeel, Folder, Origin, TlsClient, cli, eventually, pool};

/// A balancer before one server that wants headers.
fn start(server: &Receiver, listener: &str, keys: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{listener}\n\
         [pool.app]\nbackends = [{{ address = \"{}\", name = \"a\" }}]\n{keys}\n",
        server.address()
    ))
}

#[test]
fn servers_learn_who_the_client_is_in_version_1() {
    let server = Receiver::start();
    let evenkeel = start(&server, "", "proxy_protocol = \"v1\"");
    let mut client = evenkeel.client();
    let from = client.stream().local_addr().unwrap();
    assert_eq!(client.get("/").status, 200);
    let to = evenkeel.address();
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
    assert_eq!(server.headers(), [expected.into_bytes()]);
}

#[test]
fn servers_learn_who_the_client_is_in_version_2() {
    let server = Receiver::start();
    let evenkeel = start(&server, "", "proxy_protocol = \"v2\"");
    let mut client = evenkeel.client();
    let from = client.stream().local_addr().unwrap();
    let response = client.get("/");
    let header = server.headers().remove(0);
    assert_eq!(header[12..14], [0x21, 0x11]);
    assert_eq!(header[16..24], [127, 0, 0, 1, 127, 0, 0, 1]);
    assert_eq!(header[24..26], from.port().to_be_bytes());
    assert_eq!(header[26..28], evenkeel.address().port().to_be_bytes());
    let id = response.header("x-request-id").unwrap();
    assert_eq!(header[28..], [&[5, 0, u8::try_from(id.len()).unwrap()], id.as_bytes()].concat());
}

#[test]
fn relayed_connections_begin_with_a_header_and_pass_a_carried_address_on() {
    let server = Receiver::start();
    let evenkeel = start(&server, "protocol = \"tcp\"", "proxy_protocol = \"v1\"");
    let mut client = evenkeel.client();
    let (from, to) = (client.stream().local_addr().unwrap(), evenkeel.address());
    assert_eq!(client.get("/").status, 200);
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
    assert_eq!(server.headers(), [expected.into_bytes()]);

    let keys = "protocol = \"tcp\"\naccept_proxy_protocol = \"127.0.0.1\"";
    let evenkeel = start(&server, keys, "proxy_protocol = \"v2\"");
    let line = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
    assert_eq!(evenkeel.ask(format!("{line}GET / HTTP/1.1\r\nhost: test\r\n\r\n")).status, 200);
    let header = server.headers().pop().unwrap();
    assert_eq!(header[12..16], [0x21, 0x11, 0, 12]);
    assert_eq!(header[16..], [203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb]);
    assert_eq!(evenkeel.record(|record| record["protocol"] == "tcp")["client"], "203.0.113.7");
}

#[test]
fn a_carried_address_goes_on() {
    let server = Receiver::start();
    let evenkeel = start(&server, "accept_proxy_protocol = \"127.0.0.1\"", "proxy_protocol = \"v1\"");
    let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    for line in [
        "PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n",
        "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n",
    ] {
        assert_eq!(evenkeel.ask(format!("{line}{request}")).status, 200);
        assert_eq!(server.headers().pop().unwrap(), line.as_bytes());
    }
}

#[test]
fn version_2_says_what_the_clients_tls_is() {
    let (folder, authority, server) = (Folder::new(), Authority::new(), Receiver::start());
    let certificate = authority.issue(&["shop.test"]).write(&folder, "shop");
    let ca = authority.write(&folder, "ca.pem");
    let tls = format!(
        "tls.certificates = [{certificate}]\ntls.client_ca = \"{ca}\"\ntls.client_auth = \"optional\""
    );
    let evenkeel = start(&server, &tls, "proxy_protocol = \"v2\"");
    let request = "GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    let client = TlsClient::new(&authority).offering(&["http/1.1"]);
    let mut plain = client.connect(evenkeel.address(), "shop.test").unwrap();
    assert_eq!(plain.ask(request).status, 200);
    let header = server.headers().pop().unwrap();
    let has = |header: &[u8], part: &[u8]| header.windows(part.len()).any(|window| window == part);
    assert!(has(&header, b"\x01\0\x08http/1.1") && has(&header, b"\x02\0\x09shop.test"));
    assert!(has(&header, b"\x21\0\x07TLSv1.3") && has(&header, b"\x23\0\x16TLS_AES_256_GCM_SHA384"));
    let at = header.windows(2).position(|bytes| bytes == [0x20, 0]).unwrap() + 3;
    assert_eq!(header[at..at + 5], [1, 0, 0, 0, 1], "TLS, and no certificate that was verified");
    let issued = authority.issue_with(&["alice.test"], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
    });
    let mut known = client.showing(&issued).connect(evenkeel.address(), "shop.test").unwrap();
    assert_eq!(known.ask(request).status, 200);
    let header = server.headers().pop().unwrap();
    assert!(has(&header, b"\x22\0\x05alice"));
    let at = header.windows(2).position(|bytes| bytes == [0x20, 0]).unwrap() + 3;
    assert_eq!(header[at..at + 5], [7, 0, 0, 0, 0]);
}

#[test]
fn a_header_comes_before_tls_to_the_server() {
    let (folder, authority, server) = (Folder::new(), Authority::new(), Receiver::start());
    let ca = authority.write(&folder, "ca.pem");
    let keys = format!("proxy_protocol = \"v1\"\ntls = {{ ca = \"{ca}\", server_name = \"shop.test\" }}");
    let evenkeel = start(&server, "", &keys);
    // The server answers no handshake; it is the order of the bytes that counts.
    assert_eq!(evenkeel.get("/").status, 502);
    assert!(server.headers()[0].starts_with(b"PROXY TCP4 127.0.0.1 "));
    eventually("a handshake follows", || server.rest().first() == Some(&0x16));
}

#[test]
fn a_connection_carries_the_requests_of_one_clients_connection() {
    let server = Receiver::start();
    let evenkeel = start(&server, "", "proxy_protocol = \"v1\"");
    let (mut one, mut other) = (evenkeel.client(), evenkeel.client());
    for _ in 0..3 {
        assert_eq!(one.get("/").status, 200);
        assert_eq!(other.get("/").status, 200);
    }
    let headers = server.headers();
    assert_eq!(headers.len(), 2, "one connection for each client");
    assert_ne!(headers[0], headers[1]);
    let idle = || evenkeel.metric("evenkeel_backend_connections_idle", &["pool=\"app\""]);
    eventually("both are kept", || idle() == 2.0);
    assert_eq!(evenkeel.metric("evenkeel_backend_connections_reused_total", &["pool=\"app\""]), 4.0);
    // It ends with the client's.
    drop(one);
    eventually("the first is closed", || server.open() == 1 && idle() == 1.0);
    assert_eq!(other.get("/").status, 200);
    assert_eq!(server.headers().len(), 2);
    drop(other);
    eventually("the second is closed", || server.open() == 0 && idle() == 0.0);
}

#[test]
fn a_client_with_the_same_address_gets_a_connection_of_its_own() {
    let server = Receiver::start();
    let evenkeel = start(&server, "accept_proxy_protocol = \"127.0.0.1\"", "proxy_protocol = \"v1\"");
    let line = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nhost: test\r\n\r\n";
    let (mut one, mut other) = (evenkeel.client(), evenkeel.client());
    assert_eq!((one.ask(line).status, other.ask(line).status), (200, 200));
    assert_eq!(server.headers().len(), 2);
}

#[test]
fn idle_connections_are_closed_in_time_and_by_a_reload() {
    let server = Receiver::start();
    let evenkeel = start(&server, "", "proxy_protocol = \"v1\"\ntimeout = { idle = \"100ms\" }");
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").status, 200);
    eventually("it has been idle for too long", || server.open() == 0);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(server.headers().len(), 2);
    let without = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n[pool.app]\nbackends = [\"{}\"]\n",
        Origin::named("b").address()
    );
    evenkeel.reload(&without);
    eventually("the server is gone", || server.open() == 0);
}

#[test]
fn keepalive_of_zero_keeps_none() {
    let server = Receiver::start();
    let evenkeel = start(&server, "", "proxy_protocol = \"v1\"\nkeepalive = 0");
    let mut client = evenkeel.client();
    assert_eq!((client.get("/").status, client.get("/").status), (200, 200));
    assert_eq!(server.headers().len(), 2);
}

#[test]
fn checks_say_that_they_are_the_balancers_own() {
    for (version, expected) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
    {
        for check in
            ["{ path = \"/health\", interval = \"50ms\" }", "{ kind = \"tcp\", interval = \"50ms\" }"]
        {
            let server = Receiver::start();
            let evenkeel = start(&server, "", &format!("proxy_protocol = \"{version}\"\nhealth = {check}"));
            evenkeel.wait_for_state("a", "up");
            eventually("a check has come", || server.headers().iter().any(|header| header == expected));
        }
    }
}

#[test]
fn copies_name_the_client_too() {
    let (server, origin) = (Receiver::start(), Origin::named("a"));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\nmirror = {{ pool = \"shadow\", percent = 100 }}\n\
         [pool.shadow]\nbackends = [\"{}\"]\nproxy_protocol = \"v1\"\n{}",
        server.address(),
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    let from = client.stream().local_addr().unwrap().port();
    assert_eq!(client.get("/").status, 200);
    eventually("the copy has come", || server.headers().len() == 1);
    let header = String::from_utf8(server.headers().remove(0)).unwrap();
    assert_eq!(header, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {}\r\n", evenkeel.address().port()));
}

#[test]
fn http2_to_servers_is_refused_by_check() {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 80\npool = \"app\"\n\
         [pool.app]\nbackends = [1]\nprotocol = \"http2\"\nproxy_protocol = \"v2\"\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("share the connections of HTTP/2"), "{}", outcome.stderr);
}
