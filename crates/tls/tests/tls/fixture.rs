//! Files in a folder of their own, and an authority that signs certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evenkeel_config::{CertificateFiles, HttpVersions, ListenerTls, TlsProfile};
use evenkeel_tls::{Change, ServerTls};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use rustls::RootCertStore;

pub const BOTH: HttpVersions = HttpVersions { http1: true, http2: true };

/// A folder that is removed at the end of the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        // Written in place within one tick of the clock, a file of the same size would look like the one before.
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Signs certificates.
pub struct Authority {
    pub certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// A certificate for `names`, and its key; `change` may alter what it says.
    pub fn issue_with(
        &self,
        names: &[&str],
        is_rsa: bool,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Certificate, KeyPair) {
        let kind = if is_rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(kind).unwrap();
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes an ECDSA certificate for `names` to `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Folder, name: &str, names: &[&str]) -> CertificateFiles {
        write(folder, name, &self.issue_with(names, false, |_| {}))
    }

    /// As [`Self::write`], with an RSA key.
    pub fn write_rsa(&self, folder: &Folder, name: &str, names: &[&str]) -> CertificateFiles {
        write(folder, name, &self.issue_with(names, true, |_| {}))
    }
}

/// One of its own authority, as `openssl req -x509` makes them.
pub fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    (params.self_signed(&key).unwrap(), key)
}

pub fn write(folder: &Folder, name: &str, (certificate, key): &(Certificate, KeyPair)) -> CertificateFiles {
    let key = folder.write(&format!("{name}.key"), key.serialize_pem());
    let cert = folder.write(&format!("{name}.pem"), certificate.pem());
    CertificateFiles { cert, key, ocsp: None }
}

pub fn settings(certificates: Vec<CertificateFiles>) -> ListenerTls {
    ListenerTls {
        certificates,
        profile: TlsProfile::Intermediate,
        passthrough: Vec::new(),
        client_auth: None,
    }
}

pub fn server(certificates: Vec<CertificateFiles>) -> ServerTls {
    ServerTls::load(&settings(certificates), BOTH).unwrap()
}

/// Refreshes as the control thread does, until there is something to report.
pub fn refreshed(mut refresh: impl FnMut() -> Vec<Change>) -> Vec<Change> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let changes = refresh();
        if !changes.is_empty() {
            return changes;
        }
        assert!(Instant::now() < deadline, "nothing was told of");
        std::thread::sleep(Duration::from_millis(5));
    }
}
