//! A server that speaks S3: moto's, out of memory.
//!
//! It comes from PyPI, because Debian has none. `MINIGRAM_MOTO` names the program `moto_server`; without it the one in
//! `target/moto` is used, which `install-moto` installs there first if need be.

use std::path::{Path, PathBuf};
use std::process::Command;

use minigram::real::s3::S3Settings;

use super::process::{Server, exchange};

pub struct S3(Server);

impl S3 {
    pub fn start() -> Self {
        let server = Server::start(
            moto(),
            |_, port| ["-H", "127.0.0.1", "-p", &port.number.to_string()].map(str::to_owned).to_vec(),
            |address| {
                exchange(address, "GET /moto-api/ HTTP/1.0\r\n\r\n")
                    .is_some_and(|line| line.contains(" 200 "))
            },
        );
        Self(server)
    }

    /// Settings for a new bucket.
    pub fn bucket(&self, name: &str) -> S3Settings {
        let address = self.0.address();
        let request = format!("PUT /{name} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        let answer = exchange(address, &request).unwrap_or_default();
        assert!(answer.contains(" 200 "), "the bucket was not made: {answer}");
        S3Settings {
            endpoint: Some(format!("http://{address}")),
            region: "us-east-1".to_owned(),
            bucket: name.to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
        }
    }
}

fn moto() -> PathBuf {
    if let Some(file) = std::env::var_os("MINIGRAM_MOTO") {
        return file.into();
    }
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/install-moto");
    let status = Command::new(&installer).status();
    let status = status.unwrap_or_else(|error| panic!("{}: {error}", installer.display()));
    assert!(status.success(), "{}: {status}", installer.display());
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/moto/bin/moto_server")
}
