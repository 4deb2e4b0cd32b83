//! HTTP/2, in clear and over TLS, and what certificates are trusted.

use std::net::{TcpListener, TcpStream};
use std::thread;

use super::run::{number, run};
use crate::support::h2::frames::{Code, flag, goaway_after, headers, kind};
use crate::support::h2::{Serving, fields};
use crate::support::{Authority, Evenkeel, Fault, Folder, Origin, Wire, pool};

/// A proxy with TLS, as TOML, for a host.
fn tls(folder: &Folder, authority: &Authority, origin: &Origin, host: &str) -> String {
    let certificate = authority.issue(&[host]).write(folder, "own");
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\ntls.certificates = [{certificate}]\n{}",
        pool(&[origin], "")
    )
}

#[test]
fn streams_share_connections_in_clear() {
    let evenkeel = Evenkeel::start("[[route]]\nrespond = { body = \"ok\" }\n");
    let target = format!("http://{}/x", evenkeel.address());
    let run = run(&[&target, "--http2", "-n", "80", "-c", "2", "-p", "8", "-t", "1"]);
    assert_eq!(run.code, 0, "{}", run.json);
    assert_eq!(number(&run.json, "/totals/statuses/200"), 80.0);
    assert_eq!(number(&run.json, "/connections_opened"), 2.0);
    assert_eq!(run.json["options"]["http"], "2");
    evenkeel.stdout.wait_for("a line of HTTP/2", |line| line.contains("HTTP/2"));
}

#[test]
fn both_versions_speak_tls_and_verify_the_server() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let evenkeel = Evenkeel::start(&tls(&folder, &authority, &origin, "localhost"));
    let ca = authority.write(&folder, "ca.pem");
    let target = format!("https://localhost:{}/", evenkeel.address().port());
    for version in [&["--http2"][..], &[]] {
        let trusting = run(&[&[&*target, "--ca", &ca, "-n", "10", "-c", "2"], version].concat());
        assert_eq!(
            (trusting.code, number(&trusting.json, "/totals/statuses/200")),
            (0, 10.0),
            "{}",
            trusting.json
        );
        let insecure = run(&[&[&*target, "--insecure", "-n", "10", "-c", "2"], version].concat());
        assert_eq!((insecure.code, number(&insecure.json, "/totals/statuses/200")), (0, 10.0));
        let other = Authority::new().write(&folder, "other.pem");
        let strict = run(&[&[&*target, "--ca", &other, "-n", "2", "-c", "1"], version].concat());
        assert_eq!(
            (strict.code, number(&strict.json, "/totals/errors_by_kind/tls")),
            (1, 2.0),
            "{}",
            strict.json
        );
    }
}

#[test]
fn a_server_without_http2_is_an_error_of_the_protocol() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let toml = tls(&folder, &authority, &origin, "localhost").replacen("pool =", "http = \"1.1\"\npool =", 1);
    let evenkeel = Evenkeel::start(&toml);
    let target = format!("https://localhost:{}/", evenkeel.address().port());
    let run = run(&[&target, "--insecure", "--http2", "-n", "2", "-c", "1"]);
    let failed = number(&run.json, "/totals/errors_by_kind/tls")
        + number(&run.json, "/totals/errors_by_kind/protocol");
    assert_eq!((run.code, failed), (1, 2.0), "{}", run.json);
}

/// Answers five requests of a connection, and ends it at the sixth one without beginning with it.
fn serve_five(stream: TcpStream) -> Result<(), Fault> {
    let mut wire = Wire::new(stream);
    let mut server = Serving::greet(&mut wire)?;
    let (mut answered, mut last) = (0, 0);
    loop {
        let frame = server.next()?;
        if frame.kind == kind::HEADERS && answered == 5 {
            server.send(goaway_after(last, Code::NO_ERROR, &[]));
        } else if frame.kind == kind::HEADERS {
            (answered, last) = (answered + 1, frame.stream);
            server.send(headers(frame.stream, flag::WHOLE, fields::literal(":status", "200")));
        }
    }
}

#[test]
fn a_connection_that_the_server_ends_before_it_begins_with_a_request_is_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    // How a connection ends is the client's affair.
    thread::spawn(move || listener.incoming().for_each(|stream| drop(serve_five(stream.unwrap()))));
    let run = run(&[&target, "--http2", "-n", "20", "-c", "1", "-t", "1"]);
    assert_eq!(number(&run.json, "/totals/statuses/200"), 20.0, "{}", run.json);
    assert_eq!(number(&run.json, "/totals/errors"), 0.0, "{}", run.json);
    assert_eq!(number(&run.json, "/connections_opened"), 4.0, "{}", run.json);
}
