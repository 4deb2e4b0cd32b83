//! The access log says `https` of each request that came over TLS, also of those that were refused early.

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, fields};
use crate::support::{Authority, Evenkeel, Folder, Origin, TlsClient, pool};

const NAME: &str = "shop.example.com";

fn start(folder: &Folder, authority: &Authority, origin: &Origin) -> Evenkeel {
    let entry = authority.issue(&[NAME]).write(folder, "own");
    Evenkeel::start(&format!(
        "[server]\nworkers = 1\n[limits]\nrequest_body = \"1KiB\"\n\
         [listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
         timeout = {{ head = \"1s\", body = \"1s\" }}\n[listener.web.tls]\ncertificates = [{entry}]\n\
         [[route]]\npath = \"/limited\"\nrate_limit = {{ rate = \"1/h\" }}\nrespond = {{}}\n\
         [[route]]\npath = \"/closed\"\npool = \"closed\"\n{}[pool.closed]\nbackends = [\"127.0.0.1:1\"]\n",
        pool(&[origin], "")
    ))
}

#[test]
fn refused_requests_of_http1_over_tls_are_logged_as_https() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let evenkeel = start(&folder, &authority, &origin);
    let client = TlsClient::new(&authority);
    let host = format!("host: {NAME}\r\n");
    let long = "x".repeat(40_000);
    let cases: [(u16, String); 11] = [
        (400, "nonsense\r\n\r\n".to_owned()),
        (414, format!("GET /{long} HTTP/1.1\r\n{host}\r\n")),
        (431, format!("GET / HTTP/1.1\r\n{host}x: {long}\r\n\r\n")),
        (421, "GET / HTTP/1.1\r\nhost: other.example\r\n\r\n".to_owned()),
        (413, format!("POST / HTTP/1.1\r\n{host}content-length: 5000\r\n\r\n")),
        (417, format!("GET / HTTP/1.1\r\n{host}expect: the-unexpected\r\n\r\n")),
        (505, format!("GET / HTTP/2.0\r\n{host}\r\n")),
        (501, format!("CONNECT {NAME}:443 HTTP/1.1\r\n{host}\r\n")),
        (502, format!("GET /closed HTTP/1.1\r\n{host}\r\n")),
        (429, format!("GET /limited HTTP/1.1\r\n{host}\r\n")),
        (408, "GET / HTTP/1.1\r\nhost".to_owned()),
    ];
    for (number, (status, request)) in cases.iter().enumerate() {
        let mut connection = client.connect(evenkeel.address(), NAME).unwrap();
        if *status == 429 {
            assert_eq!(connection.ask(request).status, 200);
        }
        connection.send(request);
        let seen = connection.answer("GET").status;
        // Which of two 4xx a wrong start line gets is not what this is about.
        assert!(
            seen == *status || matches!((seen, *status), (400 | 405 | 501, 501 | 505)),
            "{number}: {seen}"
        );
        evenkeel.record(|record| record["status"] == seen);
    }
    let records = evenkeel.stdout.lines();
    let clear: Vec<_> = records.iter().filter(|line| !line.contains("\"scheme\":\"https\"")).collect();
    assert!(clear.is_empty(), "{clear:#?}");
}

#[test]
fn refused_requests_of_http2_over_tls_are_logged_as_https() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let evenkeel = start(&folder, &authority, &origin);
    let client = TlsClient::new(&authority).offering(&["h2"]);
    let get = |authority| {
        fields::block(&[fields::GET[0], (":scheme", "https"), fields::GET[2], (":authority", authority)])
    };
    let cases = [(421, get("other.example")), (431, [get(NAME), fields::short(120)].concat())];
    for (status, block) in &cases {
        let mut peer = Peer::greeted(client.connect(evenkeel.address(), NAME).unwrap());
        peer.send(headers(1, flag::WHOLE, block)).unwrap();
        let record = evenkeel.record(|record| record["status"] == *status);
        assert_eq!(record["version"], "HTTP/2.0", "{record}");
    }
    let text = evenkeel.stdout.text();
    assert!(!text.contains("\"scheme\":\"http\""), "{text}");
}
