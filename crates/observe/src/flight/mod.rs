//! The flight recorder: bounded records of requests that failed, were slow, or are a sample. `record` is the content of
//! one, `redact` removes secrets, `rings` keeps records, and `verdict` says who was at fault.

mod record;
mod rings;
mod verdict;

pub use evenkeel_config::{REDACTED, Redactor};
pub use record::{
    Candidate, FlightRecord, FlightStep, NearRoute, STEPS_MAX, Side, StepKind, WhyKept, cut, milliseconds,
};
pub use rings::{Kept, Recorder, RingKind};
pub use verdict::{Fault, FlightVerdict};
