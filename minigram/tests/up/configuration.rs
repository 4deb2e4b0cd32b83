//! The configuration of Evenkeel that readers learn from is one that Evenkeel takes.

use std::fs;
use std::process::Command;

use minigram::up::balancer::{Addresses, TEMPLATE, configuration};

use crate::world::evenkeel;

fn check(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evenkeel.toml");
    fs::write(folder.path().join("admin.token"), "0123456789abcdef0123456789abcdef").unwrap();
    fs::create_dir_all(folder.path().join("web/assets")).unwrap();
    fs::write(&file, text).unwrap();
    let output = Command::new(evenkeel()).arg("check").arg("-c").arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn evenkeel_takes_the_template_as_it_is() {
    check(TEMPLATE);
}

#[test]
fn evenkeel_takes_the_template_with_the_addresses_of_a_run() {
    let servers: Vec<_> =
        (1..=4).map(|number| (format!("app-{number}"), ([127, 0, 0, 1], 4000 + number).into())).collect();
    let addresses = Addresses {
        listener: "127.0.0.1:4100".parse().unwrap(),
        admin: "127.0.0.1:4101".parse().unwrap(),
        servers: &servers,
        otlp: Some("http://127.0.0.1:4318"),
    };
    check(&configuration(&addresses).unwrap());
}
