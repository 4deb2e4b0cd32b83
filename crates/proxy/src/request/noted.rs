//! What is noted of a request for the flight recorder, as it happens. Nothing is for a request that goes to its first server
//! at once and is answered: of that, the request log has all.

use std::time::Duration;

use evenkeel_observe::flight::{STEPS_MAX, Side, StepKind};
use evenkeel_types::{BackendId, Time};

use crate::server::error::ServerError;

/// What was noted; nothing takes no memory.
#[derive(Debug, Default)]
pub struct Noted(Option<Box<Notes>>);

/// What was noted of one request.
#[derive(Debug, Default)]
pub struct Notes {
    /// What happened, in order.
    pub steps: Vec<NotedStep>,
    /// Steps beyond [`STEPS_MAX`].
    pub left_out: usize,
    /// What was wrong at last, in the word of a label.
    pub cause: Option<&'static str>,
    /// Who closed the connection to a server that failed last.
    pub closed_first: Option<Side>,
    /// How long it waited, in all.
    pub waited: Duration,
    /// When the request was sent by the last try that a step speaks of.
    pub sent: Option<Time>,
    /// How long the connections of the tries took that steps speak of.
    pub connect: Option<Duration>,
    /// A step says which server was chosen first, and why.
    pub has_choice: bool,
}

/// A step, as it happened.
#[derive(Debug)]
pub struct NotedStep {
    /// When.
    pub at: Time,
    /// What kind of thing.
    pub kind: StepKind,
    /// What, in a sentence.
    pub what: String,
    /// The server that it was about.
    pub server: Option<BackendId>,
    /// How long it took, up to `at`.
    pub took: Option<Duration>,
}

impl Noted {
    /// What was noted, if anything was.
    pub fn notes(&self) -> Option<&Notes> {
        self.0.as_deref()
    }

    /// The same, to note something.
    #[cold]
    pub fn open(&mut self) -> &mut Notes {
        self.0.get_or_insert_default()
    }

    /// The refusal that the client gets is counted as this.
    pub fn refused(&mut self, cause: &'static str) {
        self.open().cause = Some(cause);
    }

    /// A server has failed like this.
    pub fn blame(&mut self, error: &ServerError) {
        let notes = self.open();
        notes.cause = error.kind().map(|kind| kind.as_str()).or(notes.cause);
        notes.closed_first = error.closed_first();
    }

    /// Takes over what was noted of a fetch, behind what was noted before.
    pub fn adopt(&mut self, fetch: Self) {
        let Some(mut later) = fetch.0 else { return };
        let Some(mut before) = self.0.take() else {
            self.0 = Some(later);
            return;
        };
        before.steps.append(&mut later.steps);
        later.left_out += before.left_out;
        later.waited += before.waited;
        later.steps = before.steps;
        self.0 = Some(later);
    }
}

impl Notes {
    /// Notes a step.
    pub fn step(&mut self, at: Time, kind: StepKind, what: impl Into<String>) -> Option<&mut NotedStep> {
        if self.steps.len() >= STEPS_MAX - 8 {
            self.left_out += 1;
            return None;
        }
        self.steps.push(NotedStep { at, kind, what: what.into(), server: None, took: None });
        self.steps.last_mut()
    }

    /// Notes a step about a server.
    pub fn step_of(&mut self, at: Time, kind: StepKind, what: impl Into<String>, server: &BackendId) {
        if let Some(step) = self.step(at, kind, what) {
            step.server = Some(server.clone());
        }
    }

    /// Notes a wait that is over.
    pub fn waited(&mut self, began: Time, at: Time, kind: StepKind, what: impl Into<String>) {
        let took = at - began;
        self.waited += took;
        if let Some(step) = self.step(at, kind, what) {
            step.took = Some(took);
        }
    }

    /// When the last step was, or `started`.
    pub fn last_at(&self, started: Time) -> Time {
        self.steps.last().map_or(started, |step| step.at)
    }
}
