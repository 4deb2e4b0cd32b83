//! Streams and subjects of the queue: `PREFIX.STREAM.TOPIC.KEY`.

use sha2::{Digest, Sha256};

/// Longer texts are named by their hash.
const TOKEN_BYTES_MAX: usize = 120;

/// The streams of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Jobs that wait or are being done.
    Jobs,
    /// What became of jobs that were handed out.
    Claims,
    /// Keys of jobs that are done.
    Done,
    /// Dead letters.
    Dead,
}

/// A topic and a key as they stand in subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    topic: String,
    key: String,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Claims => "claims",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    /// The name of the stream.
    pub(super) fn stream(self, prefix: &str) -> String {
        format!("{}_{}", token(prefix), self.name())
    }

    /// All subjects of the stream.
    pub(super) fn subjects(self, prefix: &str) -> String {
        format!("{}.{}.*.*", token(prefix), self.name())
    }

    /// The subjects of a topic.
    pub(super) fn topic(self, prefix: &str, topic: &str) -> String {
        format!("{}.{}.{}.*", token(prefix), self.name(), token(topic))
    }

    /// The subject of a job.
    pub(super) fn subject(self, prefix: &str, place: &Place) -> String {
        format!("{}.{}.{}.{}", token(prefix), self.name(), place.topic, place.key)
    }
}

impl Place {
    /// Of a job.
    pub(super) fn new(topic: &str, key: &str) -> Self {
        Self { topic: token(topic), key: token(key) }
    }

    /// As [`Place::parse`] reads it.
    pub(super) fn to_text(&self) -> String {
        format!("{}.{}", self.topic, self.key)
    }

    /// From what [`Place::to_text`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (topic, key) = text.split_once('.')?;
        let whole = |token: &str| !token.is_empty() && token.bytes().all(|b| is_plain(b) || b == b'=');
        (whole(topic) && whole(key)).then(|| Self { topic: topic.to_owned(), key: key.to_owned() })
    }
}

/// A text as one token of a subject: different for different texts.
pub(super) fn token(text: &str) -> String {
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
        let hash = Sha256::digest(text);
        return hash.iter().fold("==".to_owned(), |token, byte| token + &format!("{byte:02x}"));
    }
    text.bytes().fold(String::new(), |token, byte| match byte {
        plain if is_plain(plain) => token + char::from(plain).encode_utf8(&mut [0; 4]),
        other => token + &format!("={other:02x}"),
    })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_text_is_a_token_of_its_own() {
        let texts = [
            "",
            " ",
            ".",
            "*",
            ">",
            "a.b",
            "a=2eb",
            "a_b",
            "a-b",
            "ä",
            "a\nb",
            &"x".repeat(121),
            &"x".repeat(122),
        ];
        let tokens: HashSet<String> = texts.iter().map(|text| token(text)).collect();
        assert_eq!(tokens.len(), texts.len());
        for token in &tokens {
            assert!(!token.is_empty() && token.bytes().all(|b| is_plain(b) || b == b'='), "{token}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place::new("fan-out", "photo 12.5");
        assert_eq!(Place::parse(&place.to_text()), Some(place.clone()));
        assert_eq!(Kind::Dead.subject("mini", &place), "mini.dead.fan-out.photo=2012=2e5");
        for wrong in ["", "a", "a.", ".b", "a.*", "a.b.c", "a.>"] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }
}
