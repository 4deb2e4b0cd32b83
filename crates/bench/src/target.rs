//! The URL: whom to connect to, and what the path is.

use std::net::{SocketAddr, ToSocketAddrs};

use http::Uri;

/// Whom a run asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Over TLS.
    pub tls: bool,
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Host and port as requests name them.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Target {
    /// Reads a URL; without a scheme it is one of `http`.
    ///
    /// # Errors
    /// It is none of `http` or `https`, or names no host.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = url.parse().map_err(|why| format!("`{text}` is no URL: {why}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => {
                let scheme = other.unwrap_or_default();
                return Err(format!("`{text}` has the scheme `{scheme}`: write http:// or https://"));
            }
        };
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(format!("`{text}` names no host: write it as in http://127.0.0.1:8080/path"));
        };
        if authority.as_str().contains('@') {
            return Err(format!("`{text}` has a user name: write -H 'Authorization: ...' instead"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }

    /// Its addresses, the one to try first before the others.
    ///
    /// # Errors
    /// The host has none.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: Vec<_> =
            found.map_err(|why| format!("cannot resolve `{}`: {why}", self.host))?.collect();
        if addresses.is_empty() { Err(format!("`{}` has no address", self.host)) } else { Ok(addresses) }
    }

    /// As the report shows it.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_port_and_path() {
        let cases = [
            ("http://a.example", ("a.example", 80, "/", false)),
            ("https://a.example/x?y=1", ("a.example", 443, "/x?y=1", true)),
            ("localhost:8080/x", ("localhost", 8080, "/x", false)),
            ("http://[::1]:8080", ("::1", 8080, "/", false)),
            ("http://a?b=c", ("a", 80, "/?b=c", false)),
        ];
        for (text, (host, port, path, tls)) in cases {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (&*target.host, target.port, &*target.path, target.tls),
                (host, port, path, tls),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_reason() {
        for (text, expected) in [
            ("ftp://a/", "`ftp://a/` has the scheme `ftp`"),
            ("http:///x", "`http:///x` is no URL"),
            ("http://u:p@a/", "has a user name"),
            ("", "is no URL"),
        ] {
            let why = Target::parse(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
