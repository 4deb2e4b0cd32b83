//! What a request holds of a pool and a server while it is there.

use super::held::Held;
use super::seat::Seat;
use crate::server::InFlight;

/// What a request holds; given back in this order when it is dropped.
#[derive(Debug, Default)]
pub struct Holds<'x> {
    /// Its count at a server of a pool without limits.
    pub in_flight: Option<InFlight<'x>>,
    /// Its place at the server that is tried now, in a pool with limits.
    pub seat: Option<Box<Seat>>,
    /// Its place in such a pool.
    pub held: Option<Box<Held>>,
}
