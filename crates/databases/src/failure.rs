//! Why a check of a database failed, in words that are safe to log and to show.

use std::io;

use evenkeel_core::health::ProbeFailure;

/// Characters that are shown of what a server says.
const SHOWN_MAX: usize = 200;

/// How an exchange with a database failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The connection failed or was closed: another connection may do better.
    Broken(ProbeFailure),
    /// The server has answered, and another connection would not do better.
    Refused(ProbeFailure),
}

impl Failure {
    /// The server has refused the check, for this reason.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(ProbeFailure::Database(reason.into()))
    }

    /// The server takes no sessions for now, for this reason.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self::Refused(ProbeFailure::NotReady(reason.into()))
    }

    /// What the server sent is no answer.
    pub fn malformed() -> Self {
        Self::Refused(ProbeFailure::Malformed)
    }

    /// The failure itself. What the server said does not repeat the password.
    pub fn into_probe(self, password: Option<&[u8]>) -> ProbeFailure {
        let (Self::Broken(failure) | Self::Refused(failure)) = self;
        let password = password.map(String::from_utf8_lossy).filter(|password| !password.is_empty());
        let hide = |reason: String| match &password {
            Some(password) => reason.replace(password.as_ref(), "[password]"),
            None => reason,
        };
        match failure {
            ProbeFailure::Database(reason) => ProbeFailure::Database(hide(reason)),
            ProbeFailure::NotReady(reason) => ProbeFailure::NotReady(hide(reason)),
            failure => failure,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(match error.kind() {
            io::ErrorKind::ConnectionRefused => ProbeFailure::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                ProbeFailure::Reset
            }
            _ => ProbeFailure::Io(error.to_string()),
        })
    }
}

/// What a server says, cut and without control characters, so that it can neither fill a log nor forge lines of it.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * SHOWN_MAX)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_cut_and_cleaned() {
        assert_eq!(shown(b"no\nsuch\x1b[31m thing"), "no such [31m thing");
        assert_eq!(shown(&[b'x'; 5_000]).len(), SHOWN_MAX);
        assert_eq!(shown(&[0xff, b'a']), "\u{fffd}a");
    }

    #[test]
    fn a_server_that_repeats_the_password_does_not_get_it_into_a_message() {
        let failure = Failure::refused("you said s3cret, and s3cret is wrong").into_probe(Some(b"s3cret"));
        assert_eq!(failure.to_string(), "you said [password], and [password] is wrong");
        let failure = Failure::not_ready("s3cret").into_probe(Some(b"s3cret"));
        assert_eq!(failure.to_string(), "[password]");
    }
}
