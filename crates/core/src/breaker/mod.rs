//! What keeps a pool from being given more than it can do: limits on what is in flight, a queue for what is beyond
//! them, and circuit breakers.
//!
//! A request takes a place in the pool ([`Breaker::enter`]), then one at a server ([`Load::try_begin`]), and gives both
//! back. Who finds no place may [`wait`](Breaker::wait) for one. Places are atomic counts; the queue is behind a lock
//! that nobody takes while nobody waits.
//!
//! No wake-up is lost: who waits has first counted itself as waiting and then looked once more for a place
//! ([`Breaker::offer_place`], [`Breaker::offer_server`]); who gives one back has first counted it as free and then looked
//! whether anybody waits. In the one order that these four operations have, one of the two sees the other. A place is
//! taken in the name of who waits before that one is woken, so nobody can take it away, and who is no longer there
//! gives it back.
//!
//! The same holds when servers come and go ([`Breaker::reconfigure`], [`Breaker::follow`]): what they are is known under
//! the lock before their places are offered, and who joins looks at it under the lock. So nobody waits for a server that
//! takes no requests any more.
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

pub use circuit::{Circuit, Outcome, Pass, Refused, State, Transition};
pub use describe::describe;
pub use passed::Passed;
pub use shared::{Breaker, Grant, Ticket};
pub use trip::Trip;
pub use want::{Full, Want};
pub use window::{Tally, Window};
