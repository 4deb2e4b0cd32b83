//! Texts that users type: checked once, where they come in.

use std::fmt;
use std::str::FromStr;

/// A text that is not what its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Malformed {
    /// What would be right, for the user who typed it.
    pub what: String,
}

/// A user's name: 3 to 30 characters of `a` to `z`, digits and `_`. It never changes, because the shard follows
/// from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = Malformed;

    /// Upper case becomes lower case.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let name = text.to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !(3..=30).contains(&name.len()) || !name.bytes().all(allowed) {
            let what = "a user name has 3 to 30 characters: a to z, 0 to 9, _".to_owned();
            return Err(Malformed { what });
        }
        Ok(Self(name))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text of at most `chars_max` characters, without white space at its ends and without control characters but
/// line ends.
pub(crate) fn plain_text(text: &str, chars_max: usize, name: &str) -> Result<String, Malformed> {
    let text = text.trim();
    if text.chars().count() > chars_max {
        return Err(Malformed { what: format!("{name} may have at most {chars_max} characters") });
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Malformed { what: format!("{name} may not contain control characters") });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_3_to_30_plain_characters() {
        assert_eq!("Ada_1815".parse::<UserName>().unwrap().as_str(), "ada_1815");
        for wrong in ["", "ab", "ada lovelace", "ädä", "a%b", &"a".repeat(31)] {
            assert!(wrong.parse::<UserName>().is_err(), "{wrong}");
        }
    }
}
