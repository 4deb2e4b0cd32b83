//! Replies of Redis, as its protocol (RESP2) writes them, within limits:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use crate::link::ANSWER_MAX;

/// Arrays within arrays at most; `ROLE` has two.
const DEPTH_MAX: usize = 4;
/// Items of all arrays together at most; `ROLE` has four for each replica.
const ITEMS_MAX: usize = 4_096;
/// Bytes of a number at most: those of the least one of 64 bits.
const NUMBER_MAX: usize = 20;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A simple or a bulk string.
    Text(Vec<u8>),
    /// An error; its first word is its kind.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// Several.
    Array(Vec<Reply>),
    /// Nothing.
    Nil,
}

/// What came is no reply, or too large a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The reply that `bytes` begin with, and its length; `None` if it is not whole yet.
///
/// # Errors
/// There is no reply that begins like this, or it would exceed a limit.
pub fn read_reply(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut reading = Reading { bytes, at: 0, items: 0 };
    Ok(reading.reply(0)?.map(|reply| (reply, reading.at)))
}

struct Reading<'b> {
    bytes: &'b [u8],
    at: usize,
    items: usize,
}

impl<'b> Reading<'b> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let Some(kind) = self.bytes.get(self.at) else { return Ok(None) };
        self.at += 1;
        Ok(match kind {
            b'+' => self.line()?.map(|line| Reply::Text(line.to_vec())),
            b'-' => self.line()?.map(|line| Reply::Error(line.to_vec())),
            b':' => self.number()?.map(Reply::Integer),
            b'$' => self.bulk()?,
            b'*' if depth < DEPTH_MAX => self.array(depth)?,
            _ => return Err(Malformed),
        })
    }

    fn line(&mut self) -> Result<Option<&'b [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > ANSWER_MAX { Err(Malformed) } else { Ok(None) };
        };
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").map(Some).ok_or(Malformed)
    }

    fn number(&mut self) -> Result<Option<i64>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        let text = std::str::from_utf8(line).ok().filter(|text| text.len() <= NUMBER_MAX);
        text.and_then(|text| text.parse().ok()).map(Some).ok_or(Malformed)
    }

    fn bulk(&mut self) -> Result<Option<Reply>, Malformed> {
        let length = match self.number()? {
            None => return Ok(None),
            Some(-1) => return Ok(Some(Reply::Nil)),
            Some(length) => usize::try_from(length).map_err(|_| Malformed)?,
        };
        if length > ANSWER_MAX {
            return Err(Malformed);
        }
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        self.at += length + 2;
        match &rest[length..length + 2] {
            b"\r\n" => Ok(Some(Reply::Text(rest[..length].to_vec()))),
            _ => Err(Malformed),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let count = match self.number()? {
            None => return Ok(None),
            Some(-1) => return Ok(Some(Reply::Nil)),
            Some(count) => usize::try_from(count).map_err(|_| Malformed)?,
        };
        self.items = self.items.saturating_add(count);
        if self.items > ITEMS_MAX {
            return Err(Malformed);
        }
        let mut replies = Vec::new();
        for _ in 0..count {
            let Some(reply) = self.reply(depth + 1)? else { return Ok(None) };
            replies.push(reply);
        }
        Ok(Some(Reply::Array(replies)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    #[test]
    fn replies_are_read_with_their_lengths() {
        for (bytes, reply) in [
            ("+OK\r\n", text("OK")),
            ("-ERR no\r\n", Reply::Error("ERR no".into())),
            (":-7\r\n", Reply::Integer(-7)),
            ("$-1\r\n", Reply::Nil),
            ("$4\r\na\r\nb\r\n", text("a\r\nb")),
            (
                "*2\r\n:1\r\n*1\r\n+x\r\n",
                Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![text("x")])]),
            ),
        ] {
            let more = format!("{bytes}+next\r\n");
            assert_eq!(read_reply(more.as_bytes()), Ok(Some((reply, bytes.len()))));
            for length in 0..bytes.len() {
                assert_eq!(read_reply(&bytes.as_bytes()[..length]), Ok(None), "{length} bytes of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_too_large_or_no_reply_is_refused() {
        for bytes in [
            "x\r\n",
            "+no\n",
            ":1x\r\n",
            "$99999999\r\n",
            "$-2\r\n",
            "*99999999\r\n",
            "$1\r\nabc",
            &"*1\r\n".repeat(9),
        ] {
            assert_eq!(read_reply(bytes.as_bytes()), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in "[-+:$*0-9a\r\n]{0,60}") {
            if let Ok(Some((_, length))) = read_reply(bytes.as_bytes()) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
