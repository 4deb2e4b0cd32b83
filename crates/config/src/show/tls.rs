//! `tls` of listeners and pools as TOML.

use super::{Lines, list, path, quote};
use crate::model::{CertificateFiles, ListenerTls, PoolTls, TlsProfile, Trust};

pub(super) fn listener(out: &mut Lines, tls: &ListenerTls) {
    out.line("tls.certificates", list(&tls.certificates, |files| format!("{{ {} }}", certificate(files))));
    let profile = match tls.profile {
        TlsProfile::Modern => "modern",
        TlsProfile::Intermediate => "intermediate",
    };
    out.line("tls.profile", quote(profile));
    match &tls.client_auth {
        None => out.comment("no tls.client_ca: clients are not asked for a certificate"),
        Some(auth) => {
            out.line("tls.client_ca", path(&auth.ca));
            out.line("tls.client_auth", quote(if auth.required { "required" } else { "optional" }));
            out.line("tls.client_subject_header", quote(&auth.subject_header));
        }
    }
}

pub(super) fn pool(tls: &PoolTls) -> String {
    let mut parts = Vec::new();
    if let Some(name) = &tls.server_name {
        parts.push(format!("server_name = {}", quote(name)));
    }
    if let Trust::Ca(ca) = &tls.trust {
        parts.push(format!("ca = {}", path(ca)));
    }
    if let Some(identity) = &tls.identity {
        parts.push(certificate(identity));
    }
    parts.push(format!("insecure_skip_verify = {}", tls.trust == Trust::Anybody));
    format!("{{ {} }}", parts.join(", "))
}

fn certificate(files: &CertificateFiles) -> String {
    let ocsp = files.ocsp.as_ref().map(|ocsp| format!(", ocsp = {}", path(ocsp))).unwrap_or_default();
    format!("cert = {}, key = {}{ocsp}", path(&files.cert), path(&files.key))
}
