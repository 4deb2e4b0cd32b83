//! `tls` of listeners and pools, and the files that it names.

use std::path::PathBuf;

use super::sni::Passthrough;
use crate::declare::{Declared, Field, Rules, keys, section, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means, Required};
use crate::keys::syntax::{FILE, SERVER_NAME, SUBJECT_HEADER};
use crate::keys::{Kind, Section, flat, key};
use crate::read::forms::{REQUEST_HOST, server_name};
use crate::read::text::Read;
use crate::read::{Table, Value};
use crate::settings::{Text, text_settings};
use crate::show::Lines;

section! {
    /// TLS with clients. The files are read again when they change, and open connections are not touched; a file
    /// that is broken leaves what was read before in place.
    #[derive(PartialEq, Eq)]
    pub struct ListenerTls "tls of [listener.NAME]" {
        /// A client gets the certificate for the name that it asks for (SNI): one of exactly that name, else a wildcard
        /// of one label, else the first of the list. Of several for one name, ECDSA comes before RSA if the client
        /// knows both.
        certificates: Vec<CertificateFiles> = key(
            Kind::OneOrList(&Kind::Section(CertificateFiles::SECTION), 10_000),
            Required,
            r#"[{ cert = "certs/shop.pem", key = "certs/shop.key" }]"#,
        ),
        /// `intermediate`: TLS 1.2 and 1.3, with the suites that Mozilla recommends under that name. `modern`: TLS 1.3
        /// alone.
        profile: TlsProfile = key(
            Kind::OneOf(TlsProfile::WORDS),
            Is(TlsProfile::Intermediate.word()),
            r#""intermediate""#,
        ),
        /// Connections for these names are not terminated here, but passed on as they come. Other names are terminated, on
        /// the same port. A client that speaks no TLS, or asks for no name, is served as without this key.
        passthrough: Vec<Passthrough> = key(
            Kind::OneOrList(&Kind::Section(Passthrough::SECTION), 1_000),
            Means("every name is terminated here"),
            r#"[{ sni = ["raw.example.com"], pool = "raw" }]"#,
        ),
        /// Certificates of clients.
        client_auth as "client certificates": Option<ClientAuth> = flat(ClientAuth::SECTION),
    }
}

impl Rules for ListenerTls {
    fn finish(&mut self, table: &Table<'_>) {
        if self.client_auth.is_none() && !table.has("client_ca") {
            // Faults are noted also in keys that have no effect.
            let _ = ClientAuth::read_table(table);
        }
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
    }
}

impl ListenerTls {
    /// True if both terminate TLS in the same way. Names that pass through are no part of that.
    pub fn terminates_as(&self, other: &Self) -> bool {
        (&self.certificates, self.profile, &self.client_auth)
            == (&other.certificates, other.profile, &other.client_auth)
    }
}

section! {
    /// A certificate and its key.
    #[derive(PartialEq, Eq)]
    pub struct CertificateFiles "certificates of tls of [listener.NAME]" {
        /// The certificate and those that lead to its root, in PEM, its own first.
        cert: PathBuf = key(Kind::Text(&FILE), Required, r#""certs/shop.pem""#),
        /// Its private key, in PEM, not encrypted: PKCS #8, PKCS #1 or SEC 1.
        key: PathBuf = key(Kind::Text(&FILE), Required, r#""certs/shop.key""#),
        /// An OCSP response in DER, which is sent along for as long as it is valid.
        ocsp: Option<PathBuf> = key(Kind::Text(&FILE), Means("nothing is stapled"), r#""certs/shop.ocsp""#),
    }
}

impl Rules for CertificateFiles {
    fn is_given(table: &Table<'_>) -> bool {
        table.has("cert") && table.has("key")
    }
}

words! {
    /// Which versions and suites of TLS are taken.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TlsProfile {
        /// TLS 1.3 alone.
        Modern = "modern",
        /// TLS 1.2 and 1.3, with Mozilla's intermediate suites.
        Intermediate = "intermediate",
    }
}

word_settings!(TlsProfile);

section! {
    /// Certificates of clients.
    #[derive(PartialEq, Eq)]
    pub struct ClientAuth "client_ca of tls of [listener.NAME]" {
        /// Certificates, in PEM, of the authorities that sign clients' certificates.
        ca as "client_ca": PathBuf = key(
            Kind::Text(&FILE),
            Means("clients are not asked for a certificate"),
            r#""certs/clients.pem""#,
        ),
        /// Whether a client without a certificate is let in. One with a bad certificate never is. Only with
        /// `client_ca`.
        required as "client_auth": bool = key(
            Kind::TrueOrFalse("required", "optional"),
            Is("required"),
            r#""required""#,
        ),
        /// The header field in which servers get the subject of a client's certificate (RFC 4514: `CN=alice,O=Shop`).
        /// What a client itself sends under that name is removed, whether it has `-` or `_` in it. Only with
        /// `client_ca`.
        subject_header as "client_subject_header": String = key(
            Kind::Text(&SUBJECT_HEADER),
            Is("x-client-cert-subject"),
            r#""x-client-cert-subject""#,
        ),
    }
}

impl Rules for ClientAuth {
    fn is_given(table: &Table<'_>) -> bool {
        table.has("client_ca")
    }
}

section! {
    /// TLS with servers. The files are read again when they change.
    #[derive(PartialEq, Eq)]
    pub struct PoolTls "tls of [pool.NAME]" {
        /// The name that a server's certificate must be for, and that it is asked for (SNI). `{host}` is the host of
        /// each request as the client sent it, in lower case and without its port: for servers that choose a
        /// certificate by the host, such as another Evenkeel, which answers 421 to a host that the certificate is not
        /// for. Each host then has connections of its own. `keepalive` limits the idle connections of all hosts
        /// together, and with HTTP/2 the hosts that have connections, of which there are at most 256; the one that has
        /// not been used for longest makes room. If the host is an IP address, the certificate must be for that
        /// address, and no SNI is sent. If the host is empty or no DNS name, the host of the server's address is used.
        /// A health check uses its own `host`, or that of the server's address. A request for a host that the server has
        /// no valid certificate for gets 502, which counts neither in passive checks nor in circuit breakers, because
        /// clients choose the host; name the `host`s in the routes to such a pool.
        server_name: Option<ServerIdentity> = key(
            Kind::Text(&SERVER_NAME),
            Means("the host of each server's address"),
            r#""api.internal""#,
        ),
        /// Which certificates to trust.
        trust: Trust = flat(&TRUST),
        /// `cert` and `key`: the balancer's own certificate, without `ocsp`.
        identity: Option<CertificateFiles> = flat(&IDENTITY),
    }
}

impl Rules for PoolTls {
    fn finish(&mut self, table: &Table<'_>) {
        for (one, other) in [("cert", "key"), ("key", "cert")] {
            if let Some(span) = table.key_span(one).filter(|_| !table.has(other)) {
                table.reader.note(
                    Diagnostic::error(format!("`{one}` has no effect without `{other}`"))
                        .at(span)
                        .with_expected(format!("expected `{other}` beside it")),
                );
            }
        }
        if self.trust == Trust::Anything {
            table.warn_of(
                "insecure_skip_verify",
                "the servers' certificates are not verified",
                "an attacker on the way can pose as a server",
            );
            let message = "`ca` has no effect with `insecure_skip_verify`";
            table.warn_of("ca", message, "no signature is checked");
        }
    }

    fn short(value: &Value<'_>) -> Option<Self> {
        if value.boolean()? { crate::declare::declared() } else { None }
    }
}

keys! {
    static IDENTITY "cert and key of tls of [pool.NAME]" {
        /// The balancer's own certificate, in PEM, for servers that ask for one. Only with `key`.
        cert = key(Kind::Text(&FILE), Means("none is shown"), r#""certs/balancer.pem""#),
        /// The private key of `cert`, in PEM, not encrypted.
        key = key(Kind::Text(&FILE), Means("-"), r#""certs/balancer.key""#),
    }
}

/// `server_name` of a pool: whose certificate its servers must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerIdentity {
    /// `"{host}"`: that of the request's host.
    Host,
    /// That of this host, in lower case.
    Fixed(String),
}

text_settings!(ServerIdentity);

impl Text for ServerIdentity {
    fn form(text: &str) -> Read<Self> {
        if text == REQUEST_HOST { Ok(Self::Host) } else { server_name(text).map(Self::Fixed) }
    }

    fn written(&self) -> String {
        match self {
            Self::Host => REQUEST_HOST.into(),
            Self::Fixed(name) => name.clone(),
        }
    }
}

/// Which authorities a server's certificate may be signed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts. The default.
    System,
    /// `ca`: those in this PEM file.
    Ca(PathBuf),
    /// `insecure_skip_verify`: any certificate.
    Anything,
}

keys! {
    static TRUST "ca of tls of [pool.NAME]" {
        /// Certificates, in PEM, of the authorities that sign servers' certificates, or a server's own.
        ca = key(Kind::Text(&FILE), Means("those that the system trusts"), r#""certs/ca.pem""#),
        /// Takes whatever certificate a server shows. An attacker on the way can then read and change everything.
        insecure_skip_verify = key(Kind::Boolean, Is("false"), "false"),
    }
}

impl Field for Trust {
    fn read(table: &Table<'_>, _: &'static str) -> Option<Self> {
        let ca: Option<PathBuf> = Field::read(table, "ca")?;
        let skips: bool = Field::read(table, "insecure_skip_verify")?;
        Some(if skips { Self::Anything } else { ca.map_or(Self::System, Self::Ca) })
    }

    fn show(&self, section: &'static Section, _: &'static str, out: &mut Lines) {
        if let Self::Ca(ca) = self {
            Field::show(ca, section, "ca", out);
        }
        Field::show(&(*self == Self::Anything), section, "insecure_skip_verify", out);
    }
}
