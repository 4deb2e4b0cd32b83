//! Replaces passwords, tokens and cookies before a record is kept, or a configuration is shown.

mod config;

/// What stands in place of a value that is not kept.
pub const REDACTED: &str = "(redacted)";

/// A name that holds one of these, without its punctuation and in lower case, names a secret.
const PARTS: [&str; 20] = [
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "subscriptionkey",
    "signature",
    "credential",
    "session",
    "cookie",
    "authorization",
    "authentication",
    "jwt",
    "assertion",
    "csrf",
    "xsrf",
];
/// So does one that is one of these.
const WHOLE: [&str; 10] = ["key", "sig", "code", "sid", "pass", "otp", "pin", "auth", "hmac", "ticket"];
/// A value that begins like this is a credential, whatever its name.
const SCHEMES: [&str; 7] = ["bearer ", "basic ", "digest ", "negotiate ", "ntlm ", "aws4-hmac-", "hawk "];
/// How often a value may be a URL within a URL before it is not looked into any more, and redacted.
const DEPTH_MAX: u32 = 3;

/// Which names and values are redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redactor {
    more: Vec<String>,
}

impl Redactor {
    /// The names that always are, and `more` of them.
    pub fn new(more: &[String]) -> Self {
        Self { more: more.iter().map(|name| plain(name)).collect() }
    }

    /// True if the values of a field or query parameter of that name are not kept.
    pub fn is_sensitive(&self, name: &str) -> bool {
        let name = plain(name);
        PARTS.iter().any(|part| name.contains(part))
            || WHOLE.contains(&name.as_str())
            || self.more.contains(&name)
    }

    /// The value of a field, as it may be kept.
    pub fn field(&self, name: &str, value: &str) -> String {
        let begins = |scheme: &&str| {
            value.trim_start().get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let is_credential = SCHEMES.iter().any(begins) || value.to_ascii_lowercase().contains("bearer");
        if self.is_sensitive(name) || is_credential {
            return REDACTED.into();
        }
        self.url(value)
    }

    /// A request target, or any text that may hold URLs, as it may be kept: values of parameters and user information are
    /// replaced.
    pub fn url(&self, text: &str) -> String {
        self.parameters(&without_user(text), 0)
    }

    /// A query without its `?`, as it may be kept.
    pub fn query(&self, query: &str) -> String {
        self.url(&format!("?{query}")).split_off(1)
    }

    fn parameters(&self, text: &str, depth: u32) -> String {
        let Some(start) = text.find(['?', '#']) else { return text.to_owned() };
        let (mut out, mut rest) = (text[..start].to_owned(), &text[start..]);
        while let Some(mark) = rest.chars().next() {
            out.push(mark);
            rest = &rest[mark.len_utf8()..];
            let part = &rest[..rest.find(ends_parameter).unwrap_or(rest.len())];
            rest = &rest[part.len()..];
            match part.split_once('=') {
                Some((name, value)) => {
                    out.push_str(name);
                    out.push('=');
                    out.push_str(&self.parameter(name, value, depth));
                }
                None => out.push_str(part),
            }
        }
        out
    }

    fn parameter(&self, name: &str, value: &str, depth: u32) -> String {
        if self.is_sensitive(&decoded(name)) && !value.is_empty() {
            return REDACTED.into();
        }
        // A URL within the URL, as of a redirect.
        let inner = decoded(value);
        if inner == value {
            return value.to_owned();
        }
        let is_clean = depth < DEPTH_MAX && {
            let without = without_user(&inner);
            without == inner && self.parameters(&without, depth + 1) == inner
        };
        if is_clean { value.to_owned() } else { REDACTED.into() }
    }
}

/// Lower case, letters and digits alone.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn ends_parameter(c: char) -> bool {
    matches!(c, '?' | '&' | ';' | '#' | '"' | '<' | '>') || c.is_whitespace()
}

/// Without `user:password@` behind any `://`.
fn without_user(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(['/', '?', '#', ' ', '"', '>']).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                out.push_str(REDACTED);
                &after[at..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// Percent-decoded, as far as it can be.
fn decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_known_by_the_names_of_their_fields() {
        let redactor = Redactor::new(&["X-Customer".into()]);
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "apikey",
            "api_key",
            "X-Auth-Token",
            "X-CSRF-Token",
            "X-Amz-Security-Token",
            "X-Access-Token",
            "Client-Secret",
            "X-Hub-Signature-256",
            "X-Goog-IAP-JWT-Assertion",
            "Cf-Access-Jwt-Assertion",
            "X-Session-Id",
            "Ocp-Apim-Subscription-Key",
            "X-Vault-Token",
            "Private-Key",
            "Authentication-Info",
            "x_customer",
            "X-CUSTOMER",
            "key",
            "sig",
            "pass",
        ] {
            assert!(redactor.is_sensitive(name), "{name}");
            assert_eq!(redactor.field(name, "hunter2"), REDACTED, "{name}");
        }
        for name in [
            "Accept",
            "Host",
            "User-Agent",
            "Idempotency-Key",
            "Sec-WebSocket-Key",
            "X-Canary",
            "ETag",
            "X-Forwarded-For",
            "Keep-Alive",
            "Country-Code",
            "Range",
            "Passive",
        ] {
            assert_eq!(redactor.field(name, "value"), "value", "{name}");
        }
    }

    #[test]
    fn a_credential_is_known_by_its_scheme() {
        let redactor = Redactor::default();
        for value in
            ["Bearer abc", "  basic dTpw", "DIGEST x", "AWS4-HMAC-SHA256 Credential=x", "v1.bearer.x"]
        {
            assert_eq!(redactor.field("x-forwarded-proof", value), REDACTED, "{value}");
        }
        assert_eq!(redactor.field("x-note", "basics of tea"), "basics of tea");
    }

    #[test]
    fn secrets_in_targets_and_urls_are_replaced() {
        let redactor = Redactor::new(&["user".into()]);
        for (text, expected) in [
            ("/a?b=1", "/a?b=1"),
            ("/a?access_token=x&b=1", "/a?access_token=(redacted)&b=1"),
            ("/a?b=1&token=x", "/a?b=1&token=(redacted)"),
            ("/a?key=x;sig=y", "/a?key=(redacted);sig=(redacted)"),
            ("/a?PassWord=x=y", "/a?PassWord=(redacted)"),
            ("/a?t%6Fken=x", "/a?t%6Fken=(redacted)"),
            ("/a?user=me&users=2", "/a?user=(redacted)&users=2"),
            ("/a?token=", "/a?token="),
            ("/a?token", "/a?token"),
            ("/a?b=1?token=x", "/a?b=1?token=(redacted)"),
            ("/a#access_token=x&state=1", "/a#access_token=(redacted)&state=1"),
            ("http://me:pw@h/p?q=1", "http://(redacted)@h/p?q=1"),
            ("http://me:p@w@h", "http://(redacted)@h"),
            ("/r?to=https%3A%2F%2Fh%2F%3Ftoken%3Dx&c=1", "/r?to=(redacted)&c=1"),
            ("/r?to=https%3A%2F%2Fh%2F%3Fpage%3D2", "/r?to=https%3A%2F%2Fh%2F%3Fpage%3D2"),
            ("/r?to=https%3A%2F%2Fme:pw%40h%2F", "/r?to=(redacted)"),
            ("<https://h/?code=1>; rel=\"next\"", "<https://h/?code=(redacted)>; rel=\"next\""),
            ("", ""),
            ("/?", "/?"),
        ] {
            assert_eq!(redactor.url(text), expected, "{text}");
            if let (Some((_, query)), Some((_, expected))) = (text.split_once('?'), expected.split_once('?'))
            {
                assert_eq!(redactor.query(query), expected, "{text}");
            }
        }
    }

    proptest! {
        /// Wherever a secret stands behind a name that is known, it is not kept, and all else of the text stays.
        #[test]
        fn no_secret_gets_through(
            before in "(/[a-z]{0,5}){1,3}",
            others in prop::collection::vec("[a-b]{1,3}=[0-9]{0,3}", 0..4),
            name in prop::sample::select(vec![
                "access_token", "token", "id_token", "key", "password", "sig", "X-Amz-Signature", "client_secret",
                "sessionid", "api-key", "code",
            ]),
            at in 0usize..4,
            mark in prop::sample::select(vec!['&', ';']),
        ) {
            let secret = "S3CR3T";
            let mut parameters = others.clone();
            parameters.insert(at.min(others.len()), format!("{name}={secret}"));
            let text = format!("{before}?{}", parameters.join(&mark.to_string()));
            let kept = Redactor::default().url(&text);
            prop_assert!(!kept.contains(secret), "{kept}");
            prop_assert_eq!(kept, text.replace(secret, REDACTED));
        }

        #[test]
        fn whatever_comes_is_taken(text in ".{0,200}") {
            let redactor = Redactor::default();
            let once = redactor.url(&text);
            prop_assert_eq!(redactor.url(&once), once.clone());
        }
    }
}
