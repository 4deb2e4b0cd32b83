//! Server names that clients ask for in their TLS hello, and those whose connections pass through untouched.

use std::net::IpAddr;

use evenkeel_types::PoolName;

use crate::declare::{Rules, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::Required;
use crate::keys::syntax::{POOL_NAME, SNI};
use crate::keys::{Kind, key};
use crate::read::Table;
use crate::read::host::HostMatch;

section! {
    /// Names whose connections are passed on as they come: the server terminates TLS.
    #[derive(PartialEq, Eq)]
    pub struct Passthrough "passthrough of tls of [listener.NAME]" {
        /// What the client asks for (SNI). The name is not encrypted by the client; with ECH it is the outer one.
        snis as "sni": Vec<HostMatch> = key(
            Kind::OneOrList(&Kind::Text(&SNI), 10_000),
            Required,
            r#"["raw.example.com", "*.db.example.com"]"#,
        ),
        /// The pool that gets these connections.
        pool: PoolName = key(Kind::Text(&POOL_NAME), Required, r#""raw""#),
    }
}

impl Rules for Passthrough {
    fn finish(&mut self, table: &Table<'_>) {
        refuse_addresses(&self.snis, table);
    }
}

/// Notes a `sni` that is an address, which no client asks for.
pub(super) fn refuse_addresses(snis: &[HostMatch], table: &Table<'_>) {
    let is_address = |name: &str| name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    for sni in snis {
        if let HostMatch::Exact(name) = sni
            && is_address(name)
        {
            table.reader.note(
                Diagnostic::error(format!("`{name}` is an address, which no client asks for by SNI"))
                    .at(table.value_span("sni").unwrap_or_else(|| table.at.clone()))
                    .with_expected("expected a name, or `*.` and a name (RFC 6066, 3)"),
            );
        }
    }
}
