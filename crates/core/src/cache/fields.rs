//! How the policy reads header fields, and which of them are kept.

/// A head that can be asked for its fields: the proxy's own, or a list in a test.
pub trait Fields {
    /// The values of every field line with this name, in their order, without the whitespace around them. `name` is in
    /// lower case.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The first field line with this name.
    fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// True if a field has this name.
    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }
}

/// Name and value of each field line, as tests and stored heads have them; names in any case.
impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Fields for [(N, V)] {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(other, _)| other.as_ref().eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_ref().trim_ascii())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Fields for Vec<(N, V)> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.as_slice().values(name)
    }
}

/// The members of a list field (RFC 9110, 5.6.1) in one line: split at commas outside of quotes, trimmed, without empty
/// ones. A quote that does not end counts as an ordinary character.
pub(crate) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(line) }.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

struct Members<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            match byte {
                b',' => {
                    self.rest = rest.get(at + 1..);
                    return rest.get(..at);
                }
                b'"' => at = quote_end(rest, at).unwrap_or(at + 1),
                _ => at += 1,
            }
        }
        Some(rest)
    }
}

/// The place behind the quoted string that begins at `start`, if it ends.
fn quote_end(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Fields that concern one connection or one client, and so are not kept (RFC 9111, 3.1; RFC 9110, 7.6.1); and `Age`,
/// which is computed anew.
const NEVER_KEPT: [&str; 12] = [
    "age",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// The fields of one response that are not kept with it.
#[derive(Debug, Default)]
pub struct NotKept {
    listed: Vec<Box<[u8]>>,
    cookies: bool,
}

impl NotKept {
    /// `listed` are names that the response itself excludes, by `Connection`, `no-cache="..."` and `private="..."`; with
    /// `cookies`, `Set-Cookie` is excluded as well.
    pub(crate) fn new(listed: Vec<Box<[u8]>>, cookies: bool) -> Self {
        Self { listed, cookies }
    }

    /// True if the field with this name, in any case, is not kept because it is for the client alone whose request it answers.
    pub fn is_of_one_request(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"x-request-id")
            || self.cookies && name.eq_ignore_ascii_case(b"set-cookie")
            || self.listed.iter().any(|listed| name.eq_ignore_ascii_case(listed))
    }

    /// True if the field with this name, in any case, is not kept.
    pub fn holds(&self, name: &[u8]) -> bool {
        NEVER_KEPT.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()))
            || self.cookies && name.eq_ignore_ascii_case(b"set-cookie")
            || self.listed.iter().any(|listed| name.eq_ignore_ascii_case(listed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        members(line.as_bytes()).map(|member| std::str::from_utf8(member).unwrap_or_default()).collect()
    }

    #[test]
    fn members_end_at_commas_outside_of_quotes() {
        assert_eq!(split(" a , b=\"c,d\" ,, e"), ["a", "b=\"c,d\"", "e"]);
        assert_eq!(split("a=\"b\\\",c\", d"), ["a=\"b\\\",c\"", "d"]);
        assert_eq!(split("a=\"b, c"), ["a=\"b", "c"], "a quote without an end hides nothing");
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn names_are_compared_without_case() {
        let head = vec![("ETag", "\"a\""), ("etag", " \"b\" ")];
        assert_eq!(head.values("etag").collect::<Vec<_>>(), [b"\"a\"", b"\"b\""]);
        let not = NotKept::new(vec![b"x-one".as_slice().into()], false);
        assert!(not.holds(b"Keep-Alive") && not.holds(b"X-One") && !not.holds(b"Set-Cookie"));
    }
}
