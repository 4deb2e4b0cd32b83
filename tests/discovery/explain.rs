//! `evenkeel explain` says how a pool discovers its servers, and asks no name server unless it is asked to.

use crate::support::{Dns, Folder, Neighbours, cli};

const NAME: &str = "api.test";

fn config(resolver: &str, discover: &str) -> String {
    let pool = format!("[pool.app]\ndiscover = {discover}\n");
    format!("{resolver}[listener.web]\nbind = 8080\npool = \"app\"\n{pool}")
}

fn explain(file: &str, more: &[&str]) -> String {
    let arguments = [&["explain", "-c", file, "GET", "http://test/"], more].concat();
    let outcome = cli(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

#[test]
fn names_are_resolved_only_on_demand() {
    let (dns, folder) = (Dns::start(), Folder::new());
    dns.addresses(NAME, &[Neighbours::ip(7)]);
    let text = config(&dns.resolver(""), &format!("{{ dns = \"{NAME}:3000\" }}"));
    let file = folder.write("evenkeel.toml", &text);
    let silent = explain(&file, &[]);
    assert!(silent.contains("dns api.test:3000: not asked here; --resolve asks"), "{silent}");
    assert!(
        silent.contains("the running balancer discovers the servers") && !silent.contains("503"),
        "{silent}"
    );
    assert!(dns.asked(NAME).is_empty());
    let asked = explain(&file, &["--resolve"]);
    assert!(asked.contains("dns api.test:3000: 1 server\n") && asked.contains("127.0.0.7:3000"), "{asked}");
    dns.forget(NAME);
    let none = explain(&file, &["--resolve"]);
    assert!(none.contains("no servers: api.test: the name does not exist"), "{none}");
    assert!(none.contains("503"), "{none}");
}

#[test]
fn files_are_read() {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", &config("", "{ file = \"servers.toml\" }"));
    folder.write("servers.toml", "backends = [{ address = \"127.0.0.1:1\", name = \"one\" }]\n");
    let answer = explain(&file, &[]);
    assert!(answer.contains("servers.toml: 1 server\n") && answer.contains("server    one\n"), "{answer}");
}
