//! Listeners that take PROXY headers: the carried address is the client's wherever an address counts.

use std::net::TcpStream;

use crate::support::{Authority, Client, Evenkeel, Folder, Origin, TlsClient, eventually, pool};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

fn line(client: &str) -> String {
    format!("PROXY TCP4 {client} 198.51.100.1 4711 8443\r\n")
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, block].concat()
}

fn start(origin: &Origin, keys: &str, more: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\naccept_proxy_protocol = \"127.0.0.1\"\n{keys}\n{}{more}",
        pool(&[origin], "")
    ))
}

#[test]
fn servers_logs_and_routes_see_the_carried_client() {
    let (origin, known) = (Origin::named("a"), Origin::named("known"));
    let route = format!(
        "[[route]]\nclient = \"203.0.113.0/24\"\npool = \"known\"\n[pool.known]\nbackends = [\"{}\"]\n",
        known.address()
    );
    let evenkeel = start(&origin, "", &route);
    let response = evenkeel.ask(format!("{}{REQUEST}", line("203.0.113.7")));
    assert_eq!(response.text(), "known");
    let request = known.last();
    assert_eq!(request.headers("x-forwarded-for"), ["203.0.113.7"]);
    assert_eq!(request.headers("x-forwarded-port"), ["8443"]);
    eventually("the log names the client", || {
        evenkeel.stdout.count(|line| line.contains("\"203.0.113.7\"") || line.contains("203.0.113.7:4711"))
            > 0
    });
    assert_eq!(evenkeel.ask(format!("{}{REQUEST}", line("192.0.2.9"))).text(), "a");
    assert_eq!(evenkeel.metric("evenkeel_proxy_headers_total", &["result=\"client\""]), 2.0);
}

#[test]
fn headers_of_version_2_count_as_those_of_version_1() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "", "");
    let ipv6 =
        [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[1, 2, 3, 4]].concat();
    let unknown_tlv = [&[203, 0, 113, 8, 198, 51, 100, 1, 1, 2, 3, 4][..], b"\xe5\0\x03abc\x04\0\0"].concat();
    for (header, client) in [
        (v2(0x21, 0x11, &[203, 0, 113, 7, 198, 51, 100, 1, 1, 2, 3, 4]), "203.0.113.7"),
        (v2(0x21, 0x11, &unknown_tlv), "203.0.113.8"),
        (v2(0x21, 0x21, &ipv6), "2001:db8::7"),
        // The sender's own connection, and one of which it knows nothing.
        (v2(0x20, 0x00, b""), "127.0.0.1"),
        (v2(0x20, 0x11, &[203, 0, 113, 7, 198, 51, 100, 1, 1, 2, 3, 4]), "127.0.0.1"),
        (v2(0x21, 0x00, b""), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 1 2\r\n".to_vec(), "2001:db8::9"),
    ] {
        let response = evenkeel.ask([&header[..], REQUEST.as_bytes()].concat());
        assert_eq!(response.status, 200);
        assert_eq!(origin.last().headers("x-forwarded-for"), [client]);
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "", "");
    let mut client = evenkeel.client();
    for byte in format!("{}{REQUEST}", line("203.0.113.7")).bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer("GET").status, 200);
    assert_eq!(origin.last().header("x-forwarded-for"), Some("203.0.113.7"));
    // It counts for every request of the connection.
    assert_eq!(client.get("/").status, 200);
    assert_eq!(origin.last().header("x-forwarded-for"), Some("203.0.113.7"));
}

#[test]
fn a_header_comes_before_tls() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let certificate = authority.issue(&["shop.test"]).write(&folder, "shop");
    let tls = format!("tls.certificates = [{certificate}]");
    let evenkeel = start(&origin, &tls, "");
    let client = TlsClient::new(&authority);
    let mut client = client.connect_behind(&line("203.0.113.7"), evenkeel.address(), "shop.test").unwrap();
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").status, 200);
    let request = origin.last();
    assert_eq!(request.header("x-forwarded-for"), Some("203.0.113.7"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn limits_count_the_carried_client() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "limits = { connections_per_client = 1 }", "");
    let open = |client: &str| {
        let mut connection = evenkeel.client();
        connection.send(format!("{}{REQUEST}", line(client)));
        connection
    };
    let mut first = open("203.0.113.7");
    assert_eq!(first.answer("GET").status, 200);
    let mut other = open("203.0.113.8");
    assert_eq!(other.answer("GET").status, 200);
    open("203.0.113.7").assert_closed();
    drop(first);
    eventually("its place is free again", || {
        let mut connection = open("203.0.113.7");
        connection.response("GET").is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn rates_count_the_carried_client() {
    let origin = Origin::named("a");
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\nrate_limit = { per = \"client-ip\", rate = \"1/h\", burst = 1 }\n";
    let evenkeel = start(&origin, "", route);
    let status = |client: &str| evenkeel.ask(format!("{}{REQUEST}", line(client))).status;
    assert_eq!([status("203.0.113.7"), status("203.0.113.8"), status("203.0.113.7")], [200, 200, 429]);
}

#[test]
fn a_check_of_the_port_is_not_worth_a_message() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "", "");
    drop(TcpStream::connect(evenkeel.address()).unwrap());
    eventually("it is counted", || {
        evenkeel.metric("evenkeel_proxy_headers_total", &["result=\"closed\""]) == 1.0
    });
    assert_eq!(evenkeel.stderr.count(|line| line.contains("accept_proxy_protocol")), 0);
}

#[test]
fn a_reload_changes_who_must_send_it() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "", "");
    let mut kept = evenkeel.client();
    assert_eq!(kept.ask(format!("{}{REQUEST}", line("203.0.113.7"))).status, 200);
    let without =
        format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{}", pool(&[&origin], ""));
    evenkeel.reload(&without);
    assert_eq!(evenkeel.client().get("/").status, 200);
    assert_eq!(kept.get("/").status, 200, "an open connection stays whose it is");
    assert_eq!(origin.last().header("x-forwarded-for"), Some("203.0.113.7"));
}

#[test]
fn other_peers_are_served_without_a_header() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "", "");
    let response = Client::from([127, 0, 0, 9], evenkeel.address()).get("/");
    assert_eq!(response.status, 200);
    assert_eq!(origin.last().header("x-forwarded-for"), Some("127.0.0.9"));
}
