//! Dictionaries of structured fields (RFC 9651), as far as `CDN-Cache-Control` needs them: strict, because a malformed one
//! is ignored as a whole.

/// The value of a member. Parameters are read over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    True,
    False,
    /// The digits of a number that is not negative.
    Integer(Vec<u8>),
    /// What is between the quotes.
    String(Vec<u8>),
    /// A value of any other type.
    Other,
}

/// Members at most; a longer dictionary counts as malformed.
const MEMBERS_MAX: usize = 64;

/// Reads the members; of several with one key the last one holds. `None` if the field is malformed.
pub(crate) fn dictionary<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<(Vec<u8>, Item)>> {
    let joined: Vec<u8> = lines.collect::<Vec<_>>().join(&b", "[..]);
    let mut text = Text { rest: joined.trim_ascii() };
    let mut out: Vec<(Vec<u8>, Item)> = Vec::new();
    while !text.rest.is_empty() {
        let key = text.key()?.to_vec();
        let item = if text.eat(b'=') { text.value()? } else { Item::True };
        text.parameters()?;
        out.retain(|(other, _)| *other != key);
        out.push((key, item));
        text.skip_whitespace();
        if text.rest.is_empty() {
            break;
        }
        let comma = text.eat(b',');
        text.skip_whitespace();
        // No comma, one at the end, or too many members.
        if !comma || text.rest.is_empty() || out.len() > MEMBERS_MAX {
            return None;
        }
    }
    Some(out)
}

struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(is_there)..];
        is_there
    }

    fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.rest.iter().position(|&byte| !is_part(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        self.rest.first().filter(|first| first.is_ascii_lowercase() || **first == b'*')?;
        Some(
            self.take_while(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
            }),
        )
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.rest = self.rest.trim_ascii_start();
            self.key()?;
            if self.eat(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn value(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.bare();
        }
        loop {
            self.skip_whitespace();
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.rest.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn bare(&mut self) -> Option<Item> {
        match *self.rest.first()? {
            b'?' => {
                self.eat(b'?');
                let is_true = self.eat(b'1');
                (is_true || self.eat(b'0')).then_some(if is_true { Item::True } else { Item::False })
            }
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'@' => {
                self.eat(b'@');
                self.number().map(|_| Item::Other)
            }
            b':' => {
                self.eat(b':');
                self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.eat(b':').then_some(Item::Other)
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                self.take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.eat(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        let fraction =
            if self.eat(b'.') { Some(self.take_while(|byte| byte.is_ascii_digit())) } else { None };
        match fraction {
            _ if whole.is_empty() || whole.len() > 15 => None,
            Some(fraction) => (matches!(fraction.len(), 1..=3) && whole.len() <= 12).then_some(Item::Other),
            None if negative => Some(Item::Other),
            None => Some(Item::Integer(whole.to_vec())),
        }
    }

    fn string(&mut self) -> Option<Item> {
        self.eat(b'"');
        let mut out = Vec::new();
        loop {
            let (&first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'"' => return Some(Item::String(out)),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    out.push(Some(escaped).filter(|byte| b"\"\\".contains(byte))?);
                }
                b' '..=b'~' => out.push(first),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, Item)>> {
        let members = dictionary(std::iter::once(text.as_bytes()))?;
        Some(
            members
                .into_iter()
                .map(|(key, item)| (String::from_utf8_lossy(&key).into_owned(), item))
                .collect(),
        )
    }

    #[test]
    fn members_of_every_type_are_read() {
        let seen = read("a, b=?0, c=12;x=y, d=\"q\\\"\", e=tok, f=(1 2);z, g=1.5, h=:AA==:, i=-3, a=7");
        let integer = |digits: &str| Item::Integer(digits.into());
        let expected = [
            ("b", Item::False),
            ("c", integer("12")),
            ("d", Item::String(b"q\"".to_vec())),
            ("e", Item::Other),
            ("f", Item::Other),
            ("g", Item::Other),
            ("h", Item::Other),
            ("i", Item::Other),
            ("a", integer("7")),
        ];
        let expected: Vec<_> = expected.map(|(key, item)| (key.to_owned(), item)).into();
        assert_eq!(seen, Some(expected));
        assert_eq!(read(""), Some(Vec::new()));
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        for text in [
            "a,",
            "A=1",
            "a=",
            "a b",
            "a=\"b",
            "a=(1",
            "a=1.",
            "a=1234567890123456",
            "=1",
            "a;",
            "a,,b",
            "a=?2",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
