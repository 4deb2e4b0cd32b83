//! The certificate that all proxies serve: ECDSA P-256, for `localhost` and 127.0.0.1, made anew for each run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::tls::SERVER_NAME;

/// Where it is.
pub struct Certificate {
    /// PEM.
    pub cert: PathBuf,
    /// PEM, PKCS #8. HAProxy looks for it beside the certificate, under this name.
    pub key: PathBuf,
}

impl Certificate {
    /// Has `openssl` make one in `dir`, signed by itself.
    ///
    /// # Errors
    /// openssl fails or is older than 1.1.1.
    pub fn create(openssl: &Path, dir: &Path) -> anyhow::Result<Self> {
        let certificate = Self { cert: dir.join("server.pem"), key: dir.join("server.pem.key") };
        let mut command = Command::new(openssl);
        command.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        command.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"]);
        command.args(["-subj", &format!("/CN={SERVER_NAME}")]);
        command.args(["-addext", &format!("subjectAltName=DNS:{SERVER_NAME},IP:127.0.0.1")]);
        command.arg("-keyout").arg(&certificate.key).arg("-out").arg(&certificate.cert);
        let output = command.output().context("cannot start openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(certificate)
    }
}
