//! What the messages of the streams contain.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ports::Source;
use crate::ports::queue::{DeadLetter, NewJob};

/// What is kept of a reason, in bytes.
const REASON_BYTES_MAX: usize = 1000;

/// What became of a job that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The sequence of the job in its stream. Another job with the same key has another one.
    pub(super) job: u64,
    /// The subject that settles the job with NATS.
    pub(super) reply: String,
    /// How often it was handed out since it was pushed or replayed.
    pub(super) attempts: u32,
    /// Its state.
    pub(super) state: State,
}

/// The state of a job that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// A worker has it, until then.
    Taken(Time),
    /// It failed, and is due then.
    Waiting(Time),
    /// It is done; what is left is to remove it.
    Done,
    /// It is a dead letter; what is left is to move it.
    Dead {
        /// Why it failed at last.
        reason: String,
        /// When.
        died: Time,
    },
}

impl Claim {
    /// Whether a worker has it at `now`.
    pub(super) fn is_taken(&self, now: Time) -> bool {
        matches!(self.state, State::Taken(until) if now < until)
    }

    /// Whether it waits for its next attempt at `now`.
    pub(super) fn is_waiting(&self, now: Time) -> bool {
        matches!(self.state, State::Waiting(due) if now < due)
    }

    /// Whether its last worker did not answer, at `now`.
    pub(super) fn is_exhausted(&self, now: Time, attempts_max: u32) -> bool {
        matches!(self.state, State::Taken(until) if now >= until) && self.attempts >= attempts_max
    }

    /// Whether it can be handed out at `now`.
    pub(super) fn is_due(&self, now: Time, attempts_max: u32) -> bool {
        let open = matches!(self.state, State::Taken(_) | State::Waiting(_));
        open && self.blocked(now).is_zero() && !self.is_exhausted(now, attempts_max)
    }

    /// How long it cannot be handed out at `now`.
    pub(super) fn blocked(&self, now: Time) -> Duration {
        match self.state {
            State::Taken(until) | State::Waiting(until) => until.since(now),
            State::Done | State::Dead { .. } => Duration::ZERO,
        }
    }

    /// As a message.
    pub(super) fn to_bytes(&self) -> Result<Bytes, Source> {
        Ok(serde_json::to_vec(self)?.into())
    }

    /// From a message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Source> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// What stands before the payload of a job.
#[derive(Serialize, Deserialize)]
struct JobHead {
    topic: String,
    key: String,
}

/// What stands before the payload of a dead letter.
#[derive(Serialize, Deserialize)]
struct LetterHead {
    topic: String,
    key: String,
    attempts: u32,
    reason: String,
    died: Time,
}

/// A job as a message: a line of JSON, and the payload.
pub(super) fn job_to_bytes(job: &NewJob) -> Result<Bytes, Source> {
    framed(&JobHead { topic: job.topic.clone(), key: job.key.clone() }, &job.payload)
}

/// From a message.
pub(super) fn parse_job(message: &Bytes) -> Result<NewJob, Source> {
    let (JobHead { topic, key }, payload) = unframed(message)?;
    Ok(NewJob { topic, key, payload })
}

/// A dead letter as a message.
pub(super) fn letter_to_bytes(letter: &DeadLetter) -> Result<Bytes, Source> {
    let head = LetterHead {
        topic: letter.job.topic.clone(),
        key: letter.job.key.clone(),
        attempts: letter.attempts,
        reason: letter.reason.clone(),
        died: letter.died,
    };
    framed(&head, &letter.job.payload)
}

/// From a message.
pub(super) fn parse_letter(message: &Bytes) -> Result<DeadLetter, Source> {
    let (head, payload): (LetterHead, _) = unframed(message)?;
    let job = NewJob { topic: head.topic, key: head.key, payload };
    Ok(DeadLetter { job, attempts: head.attempts, reason: head.reason, died: head.died })
}

/// What is kept of a reason.
pub(super) fn bounded_reason(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

fn framed(head: &impl Serialize, payload: &[u8]) -> Result<Bytes, Source> {
    let mut bytes = serde_json::to_vec(head)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(payload);
    Ok(bytes.into())
}

fn unframed<T: DeserializeOwned>(message: &Bytes) -> Result<(T, Bytes), Source> {
    let end = message.iter().position(|byte| *byte == b'\n').ok_or("a message of the queue has no head")?;
    Ok((serde_json::from_slice(&message[..end])?, message.slice(end + 1..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_read_as_it_was_written() {
        let job = NewJob { topic: "t\n".into(), key: "k".into(), payload: "a\nb".into() };
        assert_eq!(parse_job(&job_to_bytes(&job).unwrap()).unwrap(), job);
        let letter = DeadLetter { job, attempts: 3, reason: "no\ndisk".into(), died: Time(5) };
        assert_eq!(parse_letter(&letter_to_bytes(&letter).unwrap()).unwrap(), letter);
        assert!(parse_job(&Bytes::from("{}")).is_err());
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(bounded_reason("short"), "short");
        assert_eq!(bounded_reason(&"ä".repeat(1000)).len(), 1000);
        assert_eq!(bounded_reason(&format!("x{}", "ä".repeat(1000))).len(), 999);
    }
}
