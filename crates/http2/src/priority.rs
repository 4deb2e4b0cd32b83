//! How urgent a response is to its client (RFC 9218).

/// The priority of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// 0, the most urgent, to 7; 3 unless something else is said.
    pub urgency: u8,
    /// True if it is of use piece by piece, and so shares the connection with others of its urgency; else it is sent
    /// before the next one.
    pub incremental: bool,
}

impl Default for Priority {
    /// What RFC 9218 assumes where nothing is said.
    fn default() -> Self {
        Self { urgency: 3, incremental: false }
    }
}

impl Priority {
    /// Reads the value of a `Priority` field or a PRIORITY_UPDATE frame: a dictionary of RFC 9651, of which `u` and `i`
    /// count. What is unknown or out of range is ignored, as RFC 9218, section 4 asks for.
    pub fn parse(value: &[u8]) -> Self {
        Self::default().updated(value)
    }

    /// The same with what `value` says of it: what a server knows better than its client (RFC 9218, section 8).
    #[must_use]
    pub fn updated(self, value: &[u8]) -> Self {
        let mut priority = self;
        for member in value.split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            let item = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
            match item {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_counts_and_the_rest_is_ignored() {
        for (value, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i,u=1", 1, true),
            ("u=5;x=1, i=?0", 5, false),
            ("i=?1 , foo=bar", 3, true),
            ("u=8", 3, false),
            ("u=-1, i=1", 3, false),
            ("u=1, u=2", 2, false),
            (",,,=", 3, false),
        ] {
            assert_eq!(Priority::parse(value.as_bytes()), Priority { urgency, incremental }, "{value}");
        }
    }
}
