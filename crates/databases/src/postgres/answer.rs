//! What a PostgreSQL server sends, bounded and checked: messages, the row that tells its role, and errors.

use bytes::BytesMut;
use evenkeel_config::DatabaseRole;
use evenkeel_core::health::{Claim, Lineage, ProbeFailure};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Header, Message};

use crate::failure::{Failure, shown};
use crate::link::ANSWER_MAX;

/// The columns of the query.
const COLUMNS: usize = 5;

/// What one message means for a check; for fuzzing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresAnswer {
    /// The server's role.
    Claim(Claim),
    /// An error.
    Refused(ProbeFailure),
    /// Anything else.
    Other,
}

/// Reads the messages of a server; `None` if what has come is no message, or not whole.
pub fn read_postgres(bytes: &[u8]) -> Option<Vec<PostgresAnswer>> {
    let mut buf = bytes.to_vec();
    let mut answers = Vec::new();
    while !buf.is_empty() {
        answers.push(match next(&mut buf).ok()?? {
            Message::DataRow(row) => PostgresAnswer::Claim(claim(&row).ok()?),
            Message::ErrorResponse(body) => PostgresAnswer::Refused(refusal(&body).into_probe(None)),
            _ => PostgresAnswer::Other,
        });
    }
    Some(answers)
}

/// Takes the next message out of `buf`; `None` if it is not whole yet.
pub(super) fn next(buf: &mut Vec<u8>) -> Result<Option<Message>, Failure> {
    let Some(header) = Header::parse(buf).map_err(|_| Failure::malformed())? else { return Ok(None) };
    let length = usize::try_from(header.len()).map_err(|_| Failure::malformed())? + 1;
    if length > ANSWER_MAX {
        return Err(Failure::malformed());
    }
    if buf.len() < length {
        return Ok(None);
    }
    let mut message: BytesMut = buf.drain(..length).as_slice().into();
    Message::parse(&mut message).map_err(|_| Failure::malformed())
}

/// What a server says of itself in the one row of the query's answer.
pub(super) fn claim(row: &DataRowBody) -> Result<Claim, Failure> {
    let ranges: Vec<_> = row.ranges().take(COLUMNS + 1).collect().map_err(|_| Failure::malformed())?;
    let column = |at: usize| -> Option<&str> {
        let range = ranges.get(at)?.clone()?;
        std::str::from_utf8(row.buffer().get(range)?).ok()
    };
    let read = || -> Option<Claim> {
        let role = match column(0)? {
            "t" => DatabaseRole::Replica,
            "f" => DatabaseRole::Primary,
            _ => return None,
        };
        // A replica that has just started may not have applied anything.
        let position = column(1).map_or(Some(0), position)?;
        let written = column(2).map_or(Some(None), |file| timeline_of(file).map(Some))?;
        let timeline = written.unwrap_or(column(3)?.parse().ok()?);
        let system = column(4)?.parse::<i64>().ok()?.cast_unsigned();
        Some(Claim { role, lineage: Lineage::Timeline { system, timeline }, position, unsynced: None })
    };
    if ranges.len() == COLUMNS { read().ok_or_else(Failure::malformed) } else { Err(Failure::malformed()) }
}

/// A position in the write-ahead log, such as `16/B374D848`.
fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

/// The timeline in the name of a file of the write-ahead log, such as `000000010000000000000003`.
fn timeline_of(file: &str) -> Option<u32> {
    u32::from_str_radix(file.get(..8)?, 16).ok()
}

/// Why a server refuses, by the code of the error (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn refusal(body: &ErrorResponseBody) -> Failure {
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        match field.type_() {
            b'C' => code = shown(field.value_bytes()),
            b'M' => message = shown(field.value_bytes()),
            _ => {}
        }
    }
    let kind = match code.as_str() {
        "28P01" => "wrong user or password",
        "28000" => "access refused, see pg_hba.conf",
        "3D000" => "no such database",
        "42501" => "a privilege is missing",
        "53300" => "too many connections",
        "57P03" => return Failure::not_ready(format!("not ready: {message}")),
        // It closes the connection; a new one shows what follows.
        "57P01" | "57P02" | "57P05" => {
            return Failure::Broken(ProbeFailure::Database(format!("shutting down: {message}")));
        }
        _ => return Failure::refused(format!("error {code}: {message}")),
    };
    Failure::refused(format!("{kind}: {message}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
