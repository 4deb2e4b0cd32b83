//! Reads `tls` of a listener and of a pool.

use super::edits;
use super::table::{Table, clip};
use super::text::{self, Read, Refused};
use super::value::Value;
use crate::diagnostic::Diagnostic;
use crate::model::{
    CertificateFiles, ClientAuth, FileOwner, HostMatch, ListenerTls, PoolTls, TlsProfile, Trust,
};

/// `tls` of the listener that `owner` names.
pub(super) fn listener(owner: &FileOwner, table: &Table<'_>) -> ListenerTls {
    let certificates = table.list("certificates", |value| {
        let table = value.table()?;
        let [cert, key, ocsp] = ["cert", "key", "ocsp"].map(|key| table.file(owner, key));
        Some(CertificateFiles { cert: cert?, key: key?, ocsp })
    });
    let profile = match table.word("profile") {
        "modern" => TlsProfile::Modern,
        _ => TlsProfile::Intermediate,
    };
    ListenerTls { certificates, profile, client_auth: client_auth(owner, table) }
}

fn client_auth(owner: &FileOwner, table: &Table<'_>) -> Option<ClientAuth> {
    for key in ["client_auth", "client_subject_header"] {
        if let Some(span) = table.key_span(key).filter(|_| !table.has("client_ca")) {
            table.reader.note(
                Diagnostic::error(format!("`{key}` has no effect without `client_ca`"))
                    .at(span)
                    .with_expected("clients are not asked for a certificate")
                    .with_help(
                        "add `client_ca`: a file with the certificates of those who sign clients' ones",
                    ),
            );
        }
    }
    let required = table.word("client_auth") == "required";
    let subject_header = match table.value("client_subject_header") {
        Some(value) => value.read(subject_header),
        None => Some(table.default("client_subject_header").to_owned()),
    };
    Some(ClientAuth { ca: table.file(owner, "client_ca")?, required, subject_header: subject_header? })
}

/// A field that the balancer may write over.
fn subject_header(text: &str) -> Read<String> {
    let name = text::header_name(text)?;
    match edits::untouchable(edits::Side::Request, "set", &name) {
        None if name != "host" => Ok(name),
        _ => Err(Refused(
            format!("`{}` cannot carry the subject of a certificate", clip(text)),
            "write a name that nothing else uses, such as `x-client-cert-subject`".into(),
        )),
    }
}

/// `tls` of the pool that `owner` names.
pub(super) fn pool(owner: &FileOwner, value: Value<'_>) -> Option<PoolTls> {
    if !value.is_table() {
        let on = value.either(false).boolean()?;
        return on.then_some(PoolTls { server_name: None, trust: Trust::System, identity: None });
    }
    let table = value.either(true).table()?;
    Some(PoolTls {
        server_name: table.value("server_name").and_then(|value| value.read(server_name)),
        trust: trust(owner, &table),
        identity: identity(owner, &table),
    })
}

fn trust(owner: &FileOwner, table: &Table<'_>) -> Trust {
    let ca = table.file(owner, "ca");
    if !table.boolean("insecure_skip_verify") {
        return ca.map_or(Trust::System, Trust::Ca);
    }
    let warn = |key: &str, message: String, expected: &str| {
        if let Some(span) = table.key_span(key) {
            table.reader.note(Diagnostic::warning(message).at(span).with_expected(expected));
        }
    };
    warn(
        "insecure_skip_verify",
        "the servers' certificates are not verified".into(),
        "whoever gets between may pose as a server",
    );
    warn("ca", "`ca` has no effect with `insecure_skip_verify`".into(), "nobody is asked who signed");
    Trust::Anybody
}

fn identity(owner: &FileOwner, table: &Table<'_>) -> Option<CertificateFiles> {
    let [cert, key] = ["cert", "key"].map(|key| table.file(owner, key));
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if let Some(span) = table.key_span(one).filter(|_| !table.has(other)) {
            table.reader.note(
                Diagnostic::error(format!("`{one}` has no effect without `{other}`"))
                    .at(span)
                    .with_expected(format!("expected `{other}` beside it")),
            );
        }
    }
    Some(CertificateFiles { cert: cert?, key: key?, ocsp: None })
}

fn server_name(text: &str) -> Read<String> {
    match text::host(text)? {
        HostMatch::Exact(host) => Ok(host),
        HostMatch::Wildcard(_) => {
            Err(Refused("a server has one name, without `*`".into(), "write it in full".into()))
        }
    }
}
