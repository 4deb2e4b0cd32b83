//! The keys of `[listener.NAME]`.

use super::Absent::{Is, Means, Required};
use super::limit::LISTENER_LIMITS;
use super::syntax::{FILE, HEADER_NAME, LISTENER_ADDRESS, NETWORK, POOL_NAME};
use super::{DURATION, Kind, Section, key};

pub(crate) static LISTENER: Section = Section {
    title: "[listener.NAME]",
    doc: "Where clients connect. There must be at least one.",
    keys: &[
        key(
            "bind",
            Kind::OneOrList(&Kind::Address(&LISTENER_ADDRESS), 64),
            Required,
            "One or more addresses; a bare port means all addresses of this machine. Of two that overlap, the \
             narrower one gets the connections that are for both. Port 0 lets the kernel choose.",
            r#"[":80"]"#,
        ),
        key("protocol", Kind::OneOf(&["http"]), Is("http"), "What clients speak.", r#""http""#),
        key(
            "pool",
            Kind::Text(&POOL_NAME),
            Means("404 when no route takes a request"),
            "Where requests go that no route takes.",
            r#""app""#,
        ),
        key(
            "trusted_proxies",
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("nobody is trusted"),
            "Peers whose `X-Forwarded-*` and `X-Request-Id` are believed.",
            r#"["10.0.0.0/8"]"#,
        ),
        key(
            "http",
            Kind::OneOrList(&Kind::OneOf(&["1.1", "2"]), 2),
            Means("both"),
            "Versions of HTTP that clients may speak. With `tls` a client chooses by ALPN; without, `2` means that it \
             begins with HTTP/2 at once (prior knowledge).",
            r#"["1.1", "2"]"#,
        ),
        key(
            "tls",
            Kind::Section(&TLS),
            Means("cleartext"),
            "Clients speak TLS.",
            r#"{ certificates = [{ cert = "certs/shop.pem", key = "certs/shop.key" }] }"#,
        ),
        key(
            "redirect_to_https",
            Kind::Boolean,
            Is("false"),
            "Answers every request with 308 and its `https://` URL, at the port of the first listener with `tls` if the request \
             named a port. Only without `tls`.",
            "true",
        ),
        key(
            "timeout",
            Kind::Section(&TIMEOUT),
            Means("the defaults"),
            "What waits for a client.",
            r#"{ head = "10s", idle = "75s" }"#,
        ),
        key(
            "limits",
            Kind::Section(&LISTENER_LIMITS),
            Means("no limits"),
            "What one client may take.",
            r#"{ connections_per_client = 100, requests_per_connection = "100/s" }"#,
        ),
    ],
    groups: &[],
};

static TLS: Section = Section {
    title: "tls of [listener.NAME]",
    doc: "TLS with clients. The files are read again when they change, and open connections are not touched; a file \
          that is broken leaves what was read before in place.",
    keys: &[
        key(
            "certificates",
            Kind::OneOrList(&Kind::Section(&CERTIFICATE), 10_000),
            Required,
            "A client gets the certificate for the name that it asks for (SNI): one of exactly that name, else a \
             wildcard of one label, else the first of the list. Of several for one name, ECDSA comes before RSA if the \
             client knows both.",
            r#"[{ cert = "certs/shop.pem", key = "certs/shop.key" }]"#,
        ),
        key(
            "profile",
            Kind::OneOf(&["modern", "intermediate"]),
            Is("intermediate"),
            "`intermediate`: TLS 1.2 and 1.3, with the suites that Mozilla recommends under that name. `modern`: TLS 1.3 \
             alone.",
            r#""intermediate""#,
        ),
        key(
            "client_ca",
            Kind::Text(&FILE),
            Means("clients are not asked for a certificate"),
            "Certificates, in PEM, of those who may have signed a client's.",
            r#""certs/clients.pem""#,
        ),
        key(
            "client_auth",
            Kind::OneOf(&["required", "optional"]),
            Is("required"),
            "Whether a client without a certificate is let in. One with a bad certificate never is. Only with \
             `client_ca`.",
            r#""required""#,
        ),
        key(
            "client_subject_header",
            Kind::Text(&HEADER_NAME),
            Is("x-client-cert-subject"),
            "The header field in which servers get the subject of a client's certificate (RFC 4514: `CN=alice,O=Shop`). \
             What a client itself sends under that name is removed, whether it has `-` or `_` in it. Only with `client_ca`.",
            r#""x-client-cert-subject""#,
        ),
    ],
    groups: &[],
};

static CERTIFICATE: Section = Section {
    title: "certificates of tls of [listener.NAME]",
    doc: "A certificate and its key.",
    keys: &[
        key(
            "cert",
            Kind::Text(&FILE),
            Required,
            "The certificate and those that lead to its root, in PEM, its own first.",
            r#""certs/shop.pem""#,
        ),
        key(
            "key",
            Kind::Text(&FILE),
            Required,
            "Its private key, in PEM, not encrypted: PKCS #8, PKCS #1 or SEC 1.",
            r#""certs/shop.key""#,
        ),
        key(
            "ocsp",
            Kind::Text(&FILE),
            Means("nothing is stapled"),
            "An OCSP response in DER, which is sent along for as long as it is valid.",
            r#""certs/shop.ocsp""#,
        ),
    ],
    groups: &[],
};

static TIMEOUT: Section = Section {
    title: "timeout of [listener.NAME]",
    doc: "What waits for a client.",
    keys: &[
        key(
            "head",
            DURATION,
            Is("10s"),
            "From the first byte of a request's head to its last; for the first one, from the accept.",
            r#""10s""#,
        ),
        key("body", DURATION, Is("30s"), "Between two reads of a request body.", r#""30s""#),
        key("idle", DURATION, Is("75s"), "A keep-alive connection without a request.", r#""75s""#),
        key("write", DURATION, Is("30s"), "A client that takes none of what is written to it.", r#""30s""#),
    ],
    groups: &[],
};
