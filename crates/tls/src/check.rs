//! Reads every certificate and key that a configuration names, and says what is wrong with them.

use std::collections::BTreeSet;
use std::path::Path;

use evenkeel_config::{
    CertificateFiles, Config, FileFault, FileOwner, ListenerTls, Pool, PoolTls, ServerIdentity, Severity,
    Trust,
};
use evenkeel_types::{Expiry, in_words};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::Certificate;
use crate::error::TlsError;
use crate::names::Names;
use crate::server::{client_verifier, now_s};
use crate::{client, file, trust};

const DAY_S: i64 = 86_400;

/// Everything that is wrong with the files of `tls`. Errors are what [`crate::ServerTls::load`] and
/// [`crate::ClientTls::load`] would refuse.
pub fn check(config: &Config) -> Vec<FileFault> {
    let mut faults = Vec::new();
    let now_s = now_s();
    for listener in &config.listeners {
        if let Some(tls) = &listener.tls {
            let owner = FileOwner::Listener(listener.name.clone());
            check_listener(&mut Findings { owner, faults: &mut faults }, tls, now_s);
        }
    }
    for pool in &config.pools {
        if let Some(tls) = &pool.tls {
            let owner = FileOwner::Pool(pool.name.clone());
            check_pool(&mut Findings { owner, faults: &mut faults }, pool, tls, now_s);
        }
    }
    faults
}

/// A key of `tls`, and the path that it names.
type Named<'a> = (&'static str, &'a Path);

/// What is wrong with the files of one owner.
struct Findings<'a> {
    owner: FileOwner,
    faults: &'a mut Vec<FileFault>,
}

impl Findings<'_> {
    /// Notes a fault of one of the files that are `named`.
    fn error(&mut self, error: &TlsError, named: &[Named<'_>]) {
        let fault = self.of(error, named);
        self.faults.push(FileFault { severity: Severity::Error, ..fault });
    }

    /// A fault of one of the files that are `named`, as a warning.
    fn of(&self, error: &TlsError, named: &[Named<'_>]) -> FileFault {
        let mut fault = self.fault(("", Path::new("")), format!("{}: {error}", self.owner));
        if let TlsError::File { path, reason } = error {
            fault.key = named.iter().find(|(_, it)| it == path).map_or("", |(key, _)| *key);
            fault.path = path.clone();
            fault.message = error.to_string();
            fault.expected = reason.expected().into();
            fault.help = reason.help().into();
        }
        fault
    }

    fn warning(&mut self, named: Named<'_>, message: &str, expected: &str) {
        let mut fault = self.fault(named, format!("{}: {message}", named.1.display()));
        fault.expected = expected.into();
        self.faults.push(fault);
    }

    fn fault(&self, (key, path): Named<'_>, message: String) -> FileFault {
        FileFault {
            owner: self.owner.clone(),
            key,
            path: path.to_owned(),
            severity: Severity::Warning,
            message,
            expected: String::new(),
            help: String::new(),
        }
    }
}

fn check_listener(findings: &mut Findings<'_>, tls: &ListenerTls, now_s: i64) {
    for files in &tls.certificates {
        if let Some(certificate) = check_certificate(findings, files, now_s)
            && certificate.names.is_empty()
        {
            let message = "the certificate is for no name";
            findings.warning(("cert", &files.cert), message, "no client takes it for any host");
        }
    }
    if let Some(auth) = &tls.client_auth
        && let Err(error) = client_verifier(auth)
    {
        findings.error(&error, &[("client_ca", &auth.ca)]);
    }
}

fn check_pool(findings: &mut Findings<'_>, pool: &Pool, tls: &PoolTls, now_s: i64) {
    let faulty = match &tls.trust {
        Trust::Ca(path) => trust::roots(path).err(),
        Trust::System => trust::system_roots().err(),
        Trust::Anything => None,
    };
    let ca = if let Trust::Ca(path) = &tls.trust { path } else { Path::new("") };
    let unnameable = pool.backends.iter().find_map(|it| client::server_name(tls, &it.address).err());
    for error in faulty.iter().chain(&unnameable) {
        findings.error(error, &[("ca", ca)]);
    }
    // Which hosts requests will be for is not known here.
    if !ca.as_os_str().is_empty() && tls.server_name != Some(ServerIdentity::Host) {
        check_listed(findings, pool, tls, ca, now_s);
    }
    if let Some(files) = &tls.identity {
        check_certificate(findings, files, now_s);
    }
}

/// Warns of servers that are refused although the `ca` file holds their own, self-signed certificates: those are for
/// other hosts, or out of date. A file that holds an authority says nothing of this.
fn check_listed(findings: &mut Findings<'_>, pool: &Pool, tls: &PoolTls, ca: &Path, now_s: i64) {
    let Ok(listed) = file::certificates(ca) else { return };
    let parsed = listed.iter().map(|der| X509Certificate::from_der(der).map(|(_, parsed)| parsed));
    let Ok(parsed) = parsed.collect::<Result<Vec<_>, _>>() else { return };
    // An authority has no alternative names, which are hosts.
    let is_own = |it: &X509Certificate<'_>| {
        it.subject() == it.issuer() && matches!(it.subject_alternative_name(), Ok(Some(_)))
    };
    if !parsed.iter().all(is_own) {
        return;
    }
    let hosts = pool.backends.iter().filter_map(|it| client::server_name(tls, &it.address).ok());
    let hosts: BTreeSet<String> = hosts.map(|name| name.to_str().into_owned()).collect();
    for host in hosts {
        let for_host: Vec<_> = parsed.iter().filter(|it| Names::of(it).covers(&host)).collect();
        let is_valid = |it: &&X509Certificate<'_>| it.validity().not_after.timestamp() >= now_s;
        if for_host.is_empty() {
            let names: Vec<String> = parsed.iter().flat_map(|it| Names::of(it).shown()).collect();
            let message = format!("no certificate in it is for `{host}`, only for {}", names.join(", "));
            findings.warning(("ca", ca), &message, "servers of this pool are refused: set `server_name`");
        } else if !for_host.iter().any(is_valid) {
            let message = format!("the certificate for `{host}` has expired");
            findings.warning(("ca", ca), &message, "servers of this pool are refused: renew it");
        }
    }
}

/// The certificate, if it can be used at all.
fn check_certificate(
    findings: &mut Findings<'_>,
    files: &CertificateFiles,
    now_s: i64,
) -> Option<Certificate> {
    let (cert, key): (Named<'_>, Named<'_>) = (("cert", &files.cert), ("key", &files.key));
    let ocsp: Named<'_> = ("ocsp", files.ocsp.as_deref().unwrap_or(Path::new("")));
    let certificate = match Certificate::load(files, now_s) {
        Ok(certificate) => certificate,
        Err(error) => {
            findings.error(&error, &[cert, key]);
            return None;
        }
    };
    let expiry = Expiry(certificate.not_after_s);
    if expiry.seconds_left(now_s) < 0 {
        let message = format!("the certificate has expired {} ago", in_words(expiry.days_left(now_s)));
        findings.warning(cert, &message, "clients that verify it refuse it");
    } else if let Some(message) = expiry.warning(now_s) {
        findings.warning(cert, &message, "renew it");
    }
    if now_s < certificate.not_before_s {
        let days = (certificate.not_before_s - now_s) / DAY_S;
        let message = format!("the certificate is valid only in {}", in_words(days));
        findings.warning(cert, &message, "clients that verify it refuse it until then");
    }
    if let Some(error) = &certificate.staple_fault {
        findings.faults.push(findings.of(error, &[ocsp]));
    }
    Some(certificate)
}
