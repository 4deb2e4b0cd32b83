//! HTTP/2, in clear and over TLS, and what certificates are trusted.

use super::run::{number, run};
use crate::support::{Authority, Evenkeel, Folder, Origin, pool};

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
