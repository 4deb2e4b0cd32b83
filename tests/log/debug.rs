//! What the log of the process says at the level `debug`: a line for each decision that matters, and none of them at `info`.

use std::fs;

use crate::support::{Authority, Evenkeel, Folder, Origin, TlsClient, answer, eventually, pool};

const CHECKED: &str = "health = { path = \"/\", interval = \"100ms\", timeout = \"1s\", fall = 1, rise = 1 }\n\
                       discover = { file = \"servers.toml\" }";

/// A port at which nothing listens.
const DEAD: &str = "127.0.0.1:9";

/// Does all that has a line at `debug`; `name` is that of a server that is discovered and answers no check.
fn play(evenkeel: &Evenkeel, authority: &Authority, name: &str) {
    assert_eq!(evenkeel.get("/").text(), "a");
    assert_eq!(evenkeel.get("/close").text(), "bye");
    // One of two begins with the server that is not there.
    (0..2).for_each(|_| assert_eq!(evenkeel.get("/retry").text(), "a"));
    let found = format!("backends = [{{ address = \"{DEAD}\", name = \"{name}\", weight = 0 }}]");
    fs::write(evenkeel.folder().path("servers.toml"), found).unwrap();
    let id = format!("\"id\":\"{name}\"");
    eventually("it is discovered", || evenkeel.admin("GET", "/status", "").text().contains(&id));
    evenkeel.wait_for_state(name, "down");
    let secure = evenkeel.listener("secure");
    assert!(TlsClient::new(authority).connect(secure, "shop.example.com").is_ok());
    assert!(TlsClient::new(&Authority::new()).connect(secure, "other.example.com").is_err());
    assert_eq!(evenkeel.cli(&["reload"]).code, Some(0));
}

#[test]
fn each_decision_has_a_line_at_debug_and_none_at_info() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let entry = authority.issue(&["shop.example.com"]).write(&folder, "shop");
    let a = Origin::answering(|request| match request.target() {
        "/close" => answer(200, "connection: close\r\n", "bye"),
        _ => answer(200, "", "a"),
    });
    folder.write("servers.toml", &format!("backends = [\"{DEAD}\"]"));
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!(
            "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n\
             [listener.secure]\nbind = [\"127.0.0.2:0\"]\ntls.certificates = [{entry}]\npool = \"app\"\n\
             [[route]]\npath = \"/retry\"\npool = \"flaky\"\n\
             [pool.flaky]\nbackends = [\"{DEAD}\", \"{}\"]\n{}",
            a.address(),
            pool(&[&a], CHECKED)
        ),
    );
    evenkeel.wait_for_state(&a.name, "up");
    let is_debug = |line: &str| line.contains("DEBUG");
    play(&evenkeel, &authority, "first");
    assert_eq!(evenkeel.stderr.count(is_debug), 0, "{}", evenkeel.stderr.text());

    assert_eq!(evenkeel.cli(&["log-level", "debug"]).code, Some(0));
    play(&evenkeel, &authority, "second");
    eventually("a connection is found closed", || {
        evenkeel.get("/");
        a.cut();
        evenkeel.get("/");
        evenkeel.stderr.count(|line| is_debug(line) && line.contains("while it was idle")) > 0
    });
    for parts in [
        &["health check passed", "pool=app", "took_ms="][..],
        &["health check failed", "server=second", "why="],
        &["discovery by ", "has an answer", "pool=app", "servers=1", DEAD],
        &["connection to the server opened", "pool=app"],
        &["no connection to the server", "pool=flaky", DEAD],
        &["a try has failed", "pool=flaky", DEAD, "another server is asked"],
        &["connection to the server closed", "the server does not keep it open"],
        &["connection to the server closed", "pool=app", "the server closed it"],
        &["certificate chosen", "sni=\"shop.example.com\"", "shop.pem", "is_for_it=true"],
        &["certificate chosen", "sni=\"other.example.com\"", "is_for_it=false"],
        &["TLS handshake with a client failed", "listener=secure", "peer="],
        &["reload: the file is read and checked", "took_ms="],
        &["reload: routes and pools are built", "took_ms="],
    ] {
        let is_it = |line: &str| is_debug(line) && parts.iter().all(|part| line.contains(part));
        evenkeel.stderr.wait_for(parts[0], is_it);
    }
    // What libraries say is not among it.
    assert_eq!(evenkeel.stderr.count(|line| line.contains("hyper") || line.contains("rustls")), 0);
}
