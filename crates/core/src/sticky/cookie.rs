//! Cookies that name a server without telling anything about it, and cookies as they travel (RFC 6265).

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use evenkeel_types::{BackendId, PoolName};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The cookie values of a pool's servers.
///
/// A value is HMAC-SHA256 (RFC 2104) over pool and server id under a secret, cut to 64 bits and written in 16
/// hexadecimal digits. So it reveals nothing, cannot be made up, is the same on every balancer that holds the same
/// secret, and does not change when other servers come or go.
#[derive(Debug, Clone)]
pub struct Cookie {
    values: Vec<String>,
    servers: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
}

impl Cookie {
    /// The values of the servers `ids` of `pool`, which [`value`](Self::value) knows by their index.
    pub fn new(secret: &[u8], pool: &PoolName, ids: &[BackendId]) -> Self {
        let values: Vec<String> = ids.iter().map(|id| value(secret, pool, id)).collect();
        let servers = values.iter().enumerate().map(|(i, value)| (value.as_bytes().into(), i)).collect();
        Self { values, servers }
    }

    /// The value that names the server at index `server`.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn value(&self, server: usize) -> &str {
        &self.values[server]
    }

    /// The server that a value from a client names; `None` when it is none of ours, or no longer.
    pub fn server(&self, value: &[u8]) -> Option<usize> {
        self.servers.get(value).copied()
    }

    /// The `Set-Cookie` field that names the server at index `server`. Without `ttl` it lives as long as the
    /// browser; a `ttl` is cut to whole seconds. `secure` is for requests that came over TLS.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn set_cookie(&self, name: &str, server: usize, ttl: Option<Duration>, secure: bool) -> String {
        let mut field = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax", self.value(server));
        if let Some(ttl) = ttl {
            // Writing to a string cannot fail.
            let _ = write!(field, "; Max-Age={}", ttl.as_secs().max(1));
        }
        if secure {
            field.push_str("; Secure");
        }
        field
    }
}

/// The value of the first cookie called `name` that has one, in the value of a `Cookie` field. Double quotes around
/// it are left out; an empty value is none.
pub fn cookie<'a>(header_value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    header_value.split(|&byte| byte == b';').find_map(|pair| value_of(pair, name))
}

/// The value that a `Set-Cookie` field gives to the cookie called `name`, read as [`cookie`] reads it.
pub fn set_cookie_value<'a>(header_value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    value_of(header_value.split(|&byte| byte == b';').next()?, name)
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = pair.iter().position(|&byte| byte == b'=')?;
    if pair[..at].trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = pair[at + 1..].trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

fn value(secret: &[u8], pool: &PoolName, id: &BackendId) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(pool.as_str().as_bytes());
    // No name holds a NUL, so no two pairs of names run together into the same text.
    mac.update(&[0]);
    mac.update(id.as_str().as_bytes());
    let mut text = String::with_capacity(16);
    for byte in &mac.finalize().into_bytes()[..8] {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<BackendId> {
        names.iter().map(|&name| BackendId::from(name)).collect()
    }

    fn cookies(names: &[&str]) -> Cookie {
        Cookie::new(b"secret", &PoolName::from("api"), &ids(names))
    }

    #[test]
    fn a_value_is_the_known_hmac_and_leads_back_to_its_server() {
        let cookies = cookies(&["10.0.0.1:3000", "10.0.0.2:3000"]);
        // printf 'api\00010.0.0.1:3000' | openssl dgst -sha256 -hmac secret
        assert_eq!(cookies.value(0), "f6bea580c91a5fe4");
        assert_eq!(cookies.server(cookies.value(0).as_bytes()), Some(0));
        assert_eq!(cookies.server(cookies.value(1).as_bytes()), Some(1));
        for forged in ["", "0", "0000000000000000", "10.0.0.1:3000", &cookies.value(0).to_uppercase()] {
            assert_eq!(cookies.server(forged.as_bytes()), None, "{forged}");
        }
    }

    #[test]
    fn values_stay_when_other_servers_come_and_go_and_differ_by_pool_and_secret() {
        let before = cookies(&["a", "b", "c"]);
        let after = cookies(&["x", "c", "a"]);
        assert_eq!(after.server(before.value(0).as_bytes()), Some(2));
        assert_eq!(after.server(before.value(1).as_bytes()), None);
        assert_eq!(after.server(before.value(2).as_bytes()), Some(1));
        let other_pool = Cookie::new(b"secret", &PoolName::from("web"), &ids(&["a"]));
        let other_secret = Cookie::new(b"Secret", &PoolName::from("api"), &ids(&["a"]));
        assert_ne!(before.value(0), other_pool.value(0));
        assert_ne!(before.value(0), other_secret.value(0));
    }

    #[test]
    fn set_cookie_is_closed_to_scripts_and_other_sites() {
        let cookies = cookies(&["a"]);
        let value = cookies.value(0);
        assert_eq!(
            cookies.set_cookie("EK", 0, None, false),
            format!("EK={value}; Path=/; HttpOnly; SameSite=Lax")
        );
        assert_eq!(
            cookies.set_cookie("EK", 0, Some(Duration::from_secs(3600)), true),
            format!("EK={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure")
        );
        let field = cookies.set_cookie("EK", 0, None, true);
        assert_eq!(set_cookie_value(field.as_bytes(), "EK"), Some(value.as_bytes()));
    }

    #[test]
    fn cookies_are_found_in_a_field() {
        let check = |field: &str, expected: Option<&str>| {
            assert_eq!(cookie(field.as_bytes(), "sid"), expected.map(str::as_bytes), "{field}");
        };
        check("sid=1", Some("1"));
        check("a=b; sid=1; c=d", Some("1"));
        check("a=b;sid=1", Some("1"));
        check("a=b;  sid = 1 ", Some("1"));
        check("sid=a=b==", Some("a=b=="));
        check("sid=\"q\"", Some("q"));
        check("sid=; sid=2", Some("2"));
        check("sid=1; sid=2", Some("1"));
        for none in ["", ";", "=", "sid", "sid=", "sid=\"\"", "SID=1", "xsid=1", "sidx=1", "a=sid=1", "a; b"]
        {
            check(none, None);
        }
        assert_eq!(cookie(b"\xff=\xfe; sid=\xff", "sid"), Some(&b"\xff"[..]));
    }

    #[test]
    fn only_the_cookie_itself_is_read_from_set_cookie() {
        let check = |field: &str, expected: Option<&str>| {
            assert_eq!(set_cookie_value(field.as_bytes(), "sid"), expected.map(str::as_bytes), "{field}");
        };
        check("sid=1; Path=/; HttpOnly", Some("1"));
        check("sid=1", Some("1"));
        check("other=1; sid=2", None);
        check("sid=; Max-Age=0", None);
    }
}
