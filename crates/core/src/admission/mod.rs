//! Admission to a pool: one state machine decides for one request which server gets it, which permits it holds meanwhile,
//! how long it waits in the pool's queue, and which other server gets it when the first one fails or is slow.
//!
//! It does no IO, reads no clock and sets no timer. Three drivers use it: the proxy forwards with it, the proxy's mirrors
//! send copies with it, and `cargo xtask simulate` runs it in simulated time.
//!
//! A [`Gate`] is one worker's view of one pool. A request that is forwarded has an [`Admission`], which the driver polls:
//!
//! ```text
//! let mut admission = Admission::new(&gate, &terms, started);
//! loop {
//!     match admission.poll(&terms, now, cx) {
//!         Step::Send { leg, chosen, .. } => send the request to that server
//!         Step::Wait { until }           => poll again when woken, or at that time; the request is in the queue
//!         Step::Renew                    => a server may be used again: `renew` with a gate to the pool as it is now
//!         Step::Pause { until }          => poll again at that time; a retry follows
//!         Step::Asking { until }         => wait for the servers that were asked; poll again at that time
//!         Step::NotHedged(why)           => log it, and poll again
//!         Step::Refuse(refusal)          => answer the client: no server was asked
//!         Step::GiveUp(why)              => what came of the tries before decides
//!     }
//! }
//! ```
//!
//! Whatever a server does is reported with `handle_connected`, `handle_first_byte`, `handle_head` and `handle_failure`, and a
//! client that leaves with `handle_gone`. What is to be counted comes to the driver as a [`Notice`]; what is to be logged for
//! one request is in the answers of these calls.
//!
//! A copy for a mirror never waits and has one try: [`Gate::admit_at_once`] gives it a server and a [`Permit`], or nothing.

mod arrivals;
mod facts;
mod find;
mod gate;
mod notice;
mod permit;
mod queue;
mod race;
mod report;
mod request;
mod wait;

pub use arrivals::Arrivals;
pub use facts::{
    AfterFailure, AfterHead, Answer, Dismissed, FailedTry, FirstByte, GiveUp, Leg, Refusal, Role, Step,
    Terms, Winner,
};
pub use gate::{Driver, Gate, Local};
pub use notice::{HedgeNotice, Notice, QueueNotice, QueueRefusal, RefusedBy};
pub use permit::Permit;
pub use request::Admission;
pub use wait::describe_wait;

#[cfg(test)]
mod tests;
