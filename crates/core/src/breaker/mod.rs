//! What keeps a pool from being given more than it can do: limits on what is in flight, a queue for what is beyond
//! them, and circuit breakers.
//!
//! A request takes a place in the pool ([`Breaker::enter`]), then one at a server ([`Load::try_begin`]), and gives both
//! back. A request that finds no place may [`wait`](Breaker::wait) for one. Places are atomic counts; the queue is
//! behind a lock, which no thread takes while the queue is empty.
//!
//! No wake-up is lost: a queued request is first counted as waiting and then looks once more for a place
//! ([`Breaker::offer_place`], [`Breaker::offer_server`]); a request that gives one back first counts it as free and then
//! looks whether the queue is empty. In the one order that these four operations have, one of the two sees the other. A
//! place is taken in the name of the queued request before that is woken, so no other can take it; a request that has
//! left by then gives it back.
//!
//! The same holds when servers come and go ([`Breaker::reconfigure`], [`Breaker::follow`]): their state is set under
//! the lock before their places are offered, and a request that joins the queue reads it under the lock. So no request
//! waits for a server that takes none any more.
//!
//! [`Load::try_begin`]: crate::balance::Load::try_begin

mod circuit;
mod describe;
#[cfg(test)]
mod fixtures;
mod limits;
mod passed;
pub mod queue;
#[cfg(all(test, feature = "shuttle"))]
mod schedules;
mod shared;
mod trip;
mod want;
mod window;

pub use circuit::{Circuit, CircuitChange, CircuitState, Outcome, Pass, Refused};
pub use describe::describe;
pub use passed::Passed;
pub use shared::{Breaker, Grant, Ticket};
pub use trip::Trip;
pub use want::{Full, Want};
pub use window::{Tally, Window};
