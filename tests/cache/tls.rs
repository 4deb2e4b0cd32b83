//! The cache behind a listener with TLS, for clients of HTTP/1.1 and of HTTP/2.

use crate::support::cache::{fresh, is_hit};
use crate::support::h2::Peer;
use crate::support::h2::fields::{self, Blocks};
use crate::support::h2::frames::{flag, headers, kind, window_update};
use crate::support::{Authority, Evenkeel, Folder, Origin, TlsClient, pool};

const NAME: &str = "shop.example.com";
/// More than a record of TLS, and more than the first window of a stream of HTTP/2.
const LONG: usize = 100_000;

fn start(origin: &Origin, authority: &Authority) -> Evenkeel {
    let folder = Folder::new();
    let certificate = authority.issue(&[NAME]).write(&folder, "shop");
    Evenkeel::start_in(
        folder,
        &format!(
            "[listener.web]\nbind = \"127.0.0.1:0\"\nhttp = [\"1.1\", \"2\"]\n[listener.web.tls]\n\
             certificates = [{certificate}]\n\
             [[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n{}",
            pool(&[origin], "")
        ),
    )
}

fn origin() -> Origin {
    Origin::answering(|request| {
        let body = if request.target() == "/long" { "x".repeat(LONG) } else { "hello".into() };
        fresh("etag: \"one\"\r\n", &body)
    })
}

#[test]
fn clients_of_http1_are_answered_from_the_cache() {
    let (authority, origin) = (Authority::new(), origin());
    let evenkeel = start(&origin, &authority);
    let tls = TlsClient::new(&authority).offering(&["http/1.1"]);
    let mut client = tls.connect(evenkeel.address(), NAME).unwrap();
    let mut ask =
        |target: &str, more: &str| client.ask(format!("GET {target} HTTP/1.1\r\nhost: {NAME}\r\n{more}\r\n"));
    for (target, length) in [("/short", 5), ("/long", LONG)] {
        assert!(!is_hit(&ask(target, "")));
        for _ in 0..3 {
            let hit = ask(target, "");
            assert_eq!((hit.status, hit.text().len(), is_hit(&hit)), (200, length, true), "{target}");
        }
    }
    let part = ask("/long", "range: bytes=50000-50999\r\n");
    assert_eq!((part.status, part.text().len()), (206, 1_000));
    assert_eq!(ask("/short", "if-none-match: \"one\"\r\n").status, 304);
    assert_eq!(origin.count(), 2);
}

#[test]
fn clients_of_http2_are_answered_from_the_cache() {
    let (authority, origin) = (Authority::new(), origin());
    let evenkeel = start(&origin, &authority);
    let tls = TlsClient::new(&authority).offering(&["h2"]);
    let mut peer = Peer::greeted(tls.connect(evenkeel.address(), NAME).unwrap());
    let mut blocks = Blocks::new();
    for (at, (path, length)) in
        [("/short", 5), ("/short", 5), ("/long", LONG), ("/long", LONG)].into_iter().enumerate()
    {
        let stream = 2 * at as u32 + 1;
        let asked = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", NAME)];
        peer.send(headers(stream, flag::WHOLE, fields::block(&asked))).unwrap();
        let (mut said, mut bytes) = (String::new(), 0);
        loop {
            let wanted = [kind::HEADERS, kind::DATA, kind::RST_STREAM];
            let frame = peer.first(|frame| wanted.contains(&frame.kind) && frame.stream == stream).unwrap();
            match frame.kind {
                kind::HEADERS => {
                    let block = blocks.read(&frame.payload);
                    assert_eq!(fields::values(&block, ":status"), ["200"]);
                    said = fields::values(&block, "cache-status").concat();
                }
                kind::DATA => {
                    bytes += frame.payload.len();
                    let more = frame.payload.len() as u32;
                    if more > 0 && !frame.has(flag::END_STREAM) {
                        peer.send(window_update(0, more)).unwrap();
                        peer.send(window_update(stream, more)).unwrap();
                    }
                }
                _ => panic!("the stream was reset"),
            }
            if frame.has(flag::END_STREAM) {
                break;
            }
        }
        assert_eq!(bytes, length, "{path}");
        assert_eq!(said.contains("hit"), at % 2 == 1, "{said}");
    }
    assert_eq!(origin.count(), 2);
}
