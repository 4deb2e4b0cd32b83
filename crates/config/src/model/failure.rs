//! `on` of `retry`, `outlier` and circuit breakers: which ends of a request are failures of its server.

use crate::declare::{Field, words};
use crate::keys::Section;
use crate::nearest::nearest;
use crate::read::text::{Read, Refused};
use crate::read::{Table, clip};
use crate::settings::{Text, text_settings};
use crate::show::Lines;

/// What counts as a failure in `outlier` and in circuit breakers if nothing else is said.
pub(super) const DEFAULT: &[&str] = &["connect", "reset", "timeout", "502", "503", "504"];

/// Which ends of a request are failures of its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureOn {
    /// `connect`: the server could not be reached.
    pub connect: bool,
    /// `reset`: the connection ended before the end of the answer, or the answer was malformed. Only requests of which no
    /// byte of an answer had come are retried.
    pub reset: bool,
    /// `timeout`: no answer in time.
    pub timeout: bool,
    /// `5xx`: every status from 500 to 599.
    pub all_5xx: bool,
    /// These statuses, in ascending order: 408, 425, 429, 500 to 599.
    pub statuses: Vec<u16>,
}

impl FailureOn {
    /// True if an answer with this status is a failure of its server.
    pub fn holds_status(&self, status: u16) -> bool {
        status >= 400
            && (self.all_5xx && matches!(status, 500..=599) || self.statuses.binary_search(&status).is_ok())
    }

    /// What counts, as the file says it.
    pub fn words(&self) -> Vec<String> {
        let Self { connect, reset, timeout, all_5xx, statuses } = self;
        let words = [
            (connect, On::Cause(Cause::Connect)),
            (reset, On::Cause(Cause::Reset)),
            (timeout, On::Cause(Cause::Timeout)),
            (all_5xx, On::All),
        ];
        let words = words.into_iter().filter(|(is_on, _)| **is_on).map(|(_, on)| on.written());
        words.chain(statuses.iter().map(u16::to_string)).collect()
    }

    /// True if anything beside `connect` is a failure.
    pub fn holds_more_than_connect(&self) -> bool {
        let Self { connect: _, reset, timeout, all_5xx, statuses } = self;
        *reset || *timeout || *all_5xx || !statuses.is_empty()
    }
}

words! {
    /// What else than a status says that a server failed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Cause {
        /// The server could not be reached.
        Connect = "connect",
        /// The connection ended before the end of the answer.
        Reset = "reset",
        /// No head of an answer in time.
        Timeout = "timeout",
    }
}

/// One thing that counts.
enum On {
    Cause(Cause),
    All,
    Status(u16),
}

text_settings!(On);

impl Text for On {
    fn form(text: &str) -> Read<Self> {
        if let Some(cause) = Cause::from_word(text) {
            return Ok(Self::Cause(cause));
        }
        match text.parse::<u16>() {
            Ok(status @ (408 | 425 | 429 | 500..=599)) if text.len() == 3 => Ok(Self::Status(status)),
            _ if text == "5xx" => Ok(Self::All),
            Ok(status @ 100..=499) if text.len() == 3 => Err(Refused(
                format!("an answer with {status} is no failure of its server"),
                "only 408, 425, 429 and 500 to 599 are, or all of \"5xx\"".into(),
            )),
            _ => Err(Refused(
                format!("`{}` is no failure of a server", clip(text)),
                match nearest(text, Cause::WORDS.iter().copied()) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "write \"connect\", \"reset\", \"timeout\", \"5xx\" or a status such as \"503\""
                        .into(),
                },
            )),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Cause(cause) => cause.word().into(),
            Self::All => "5xx".into(),
            Self::Status(status) => status.to_string(),
        }
    }
}

impl Field for FailureOn {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let mut on = Self::default();
        for one in <Vec<On> as Field>::read(table, key)? {
            match one {
                On::Cause(Cause::Connect) => on.connect = true,
                On::Cause(Cause::Reset) => on.reset = true,
                On::Cause(Cause::Timeout) => on.timeout = true,
                On::All => on.all_5xx = true,
                On::Status(status) => on.statuses.push(status),
            }
        }
        on.statuses.sort_unstable();
        on.statuses.dedup();
        Some(on)
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        self.words().show(section, key, out);
    }
}
