//! `minigram doctor`: what is missing, and the one command that installs it.

use std::process::{Command, Output};

use crate::programs::MINIGRAM;

fn minigram(path: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(MINIGRAM);
    command.args(arguments);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().unwrap()
}

#[test]
fn a_machine_that_has_everything_is_fine() {
    let output = minigram(None, &["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("Nothing is missing"), "{text}");
    for program in ["postgres", "patroni", "etcd", "redis-server", "nats-server", "prometheus"] {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(program));
        assert!(line.is_some_and(|line| line.contains(" ok ")), "{program}: {text}");
    }
}

#[test]
fn what_is_missing_is_named_with_the_command_that_installs_it() {
    let output = minigram(Some("/nonexistent"), &["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let install = text.lines().find(|line| line.contains("apt-get install")).unwrap();
    for package in ["patroni", "etcd-server", "redis-server", "prometheus-alertmanager"] {
        assert!(install.split_whitespace().any(|word| word == package), "{install}");
    }
    // It is found outside of the path, as Debian has it.
    assert!(!install.contains("postgresql"), "{install}");
}

#[test]
fn a_start_without_a_program_says_so_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = ["engines", "--evenkeel", MINIGRAM, "--state", state.to_str().unwrap()];
    let output = minigram(Some("/nonexistent"), &arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("etcd") && text.contains("minigram doctor"), "{text}");
    assert!(!state.join("etcd").exists() && !state.join("engines.json").exists());
}
