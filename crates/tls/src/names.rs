//! The names that a certificate is for: which clients get it, and which hosts may be asked for over its connections.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::certificate::Certificate;

/// The names of one certificate, sorted, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    exact: Vec<Box<str>>,
    /// Without their `*.`.
    wildcard: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// The names themselves, as a certificate writes them.
    #[cfg(test)]
    pub(crate) fn from_list(list: &[&str]) -> Self {
        let mut names = Self::default();
        list.iter().for_each(|name| match name.parse() {
            Ok(address) => names.addresses.push(address),
            Err(_) => names.add(name),
        });
        names.sort();
        names
    }

    /// Those in the subject's alternative names; a certificate without any is for its common name, as it was before
    /// RFC 2818.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        let extension = certificate.subject_alternative_name().ok().flatten();
        for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.add(name),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        if extension.is_none()
            && let Some(Ok(name)) = certificate.subject().iter_common_name().next().map(|name| name.as_str())
        {
            match name.parse() {
                Ok(address) => names.addresses.push(address),
                Err(_) => names.add(name),
            }
        }
        names.sort();
        names
    }

    fn sort(&mut self) {
        for list in [&mut self.exact, &mut self.wildcard] {
            list.sort();
            list.dedup();
        }
    }

    fn add(&mut self, name: &str) {
        let lower = name.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        match name.strip_prefix("*.") {
            // A wildcard is a whole label, and the first (RFC 9525, 6.3).
            Some(rest) if !rest.is_empty() && !rest.contains('*') => self.wildcard.push(rest.into()),
            None if !name.is_empty() && !name.contains('*') => self.exact.push(name.into()),
            _ => {}
        }
    }

    /// True when it is for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.addresses.is_empty()
    }

    /// Its names without wildcards.
    pub(crate) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|name| &**name)
    }

    /// What follows the `*.` of its wildcards.
    pub(crate) fn wildcard(&self) -> impl Iterator<Item = &str> {
        self.wildcard.iter().map(|name| &**name)
    }

    /// Each as it is written: names, wildcards, addresses.
    pub(crate) fn shown(&self) -> Vec<String> {
        let exact = self.exact().map(str::to_owned);
        let wildcard = self.wildcard().map(|rest| format!("*.{rest}"));
        exact.chain(wildcard).chain(self.addresses.iter().map(IpAddr::to_string)).collect()
    }

    /// Whether the certificate is for `host`: a name in lower case without a dot at its end, or an address.
    pub(crate) fn covers(&self, host: &str) -> bool {
        let in_list = |list: &[Box<str>], name: &str| list.binary_search_by(|it| (**it).cmp(name)).is_ok();
        in_list(&self.exact, host)
            || host
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && in_list(&self.wildcard, rest))
            || host_address(host).is_some_and(|address| self.addresses.contains(&address))
    }
}

/// What a connection's certificate is for. Where a name has several certificates, of which the client's abilities
/// chose one, only the hosts that all of them are for.
#[derive(Debug, Clone)]
pub struct Coverage(pub(crate) Arc<[Arc<Certificate>]>);

impl Coverage {
    /// Whether a request for `host` belongs on the connection: a name or an IP address (with or without brackets),
    /// without a port. If not, the answer is 421 (RFC 9110, 15.5.20). A few comparisons, no allocation for a host in
    /// lower case.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        self.0.iter().all(|certificate| certificate.names.covers(&host))
    }
}

fn host_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_compared_with_names_and_addresses() {
        let names =
            Names::from_list(&["Shop.Example.com", "*.example.org", "a.b.", "f*.x", "*", "10.0.0.1", "::1"]);
        let check = |host: &str, covered| assert_eq!(names.covers(host), covered, "{host}");
        check("shop.example.com", true);
        check("www.shop.example.com", false);
        check("example.com", false);
        check("a.example.org", true);
        check("a.b.example.org", false);
        check("example.org", false);
        check(".example.org", false);
        check("a.b", true);
        check("fo.x", false);
        check("localhost", false);
        check("10.0.0.1", true);
        check("10.0.0.2", false);
        check("[::1]", true);
        check("::1", true);
        check("[10.0.0.1]", false);
        check("", false);
        assert_eq!(
            names.shown(),
            ["a.b", "shop.example.com", "*.example.org", "10.0.0.1", "::1"].map(str::to_owned)
        );
    }

    /// Whether one name of a certificate is for a host, as RFC 9525, 6.3 says it: label by label.
    fn matches(name: &str, host: &str) -> bool {
        let [name, host] = [name, host].map(|text| text.to_ascii_lowercase());
        let [name, host]: [Vec<&str>; 2] = [&name, &host].map(|text| text.split('.').collect());
        let first = name[0] == host[0] || (name[0] == "*" && !host[0].is_empty());
        name.len() == host.len() && first && name[1..] == host[1..]
    }

    fn host() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(&["a", "b", "B", "cc"][..]), 1..4)
            .prop_map(|labels| labels.join("."))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_host_is_covered_as_the_rfc_says(
            exact in prop::collection::vec(host(), 0..4),
            wildcard in prop::collection::vec(host(), 0..3),
            host in host(),
        ) {
            let wildcard = wildcard.into_iter().map(|rest| format!("*.{rest}"));
            let list: Vec<String> = exact.into_iter().chain(wildcard).collect();
            let names = Names::from_list(&list.iter().map(String::as_str).collect::<Vec<_>>());
            let expected = list.iter().any(|name| matches(name, &host));
            prop_assert_eq!(names.covers(&host.to_ascii_lowercase()), expected, "{:?} {}", list, host);
        }
    }
}
