//! What a try holds of a server in a pool with limits: its place there, and the pass of the server's circuit breaker. Given
//! back when it is dropped.

use std::rc::Rc;

use evenkeel_config::Trip as Settings;
use evenkeel_core::breaker::{Outcome, Pass, Refused, Transition, Trip};
use evenkeel_types::Time;

use crate::forward::held::{Guarded, show};

/// A place at a server.
#[derive(Debug)]
pub struct Seat {
    of: Rc<Guarded>,
    server: usize,
    began: Time,
    pass: Option<Pass>,
    /// It holds a place in the pool as well: that of its request belongs to another try.
    has_place: bool,
}

impl Seat {
    /// Takes over a place that was taken with [`Load::try_begin`], and asks the server's circuit breaker, if it has one.
    ///
    /// # Errors
    /// It is open; the place was given back.
    pub fn take(of: &Rc<Guarded>, server: usize, now: Time) -> Result<Self, Refused> {
        let mut seat = Self { of: Rc::clone(of), server, began: now, pass: None, has_place: false };
        if let Some((settings, trip)) = seat.trip() {
            let (admitted, change) = trip.admit(settings, now);
            seat.tell(change);
            seat.pass = Some(admitted?);
        }
        Ok(seat)
    }

    /// Lets the circuit breaker know how the try ended that began at the time that `outcome` is given. Later ones do not
    /// count.
    pub fn settle(&mut self, outcome: impl FnOnce(Time) -> Outcome, now: Time) {
        let Some(pass) = self.pass.take() else { return };
        let Some((settings, trip)) = self.trip() else { return };
        let change = trip.settle(pass, outcome(self.began), settings, now);
        self.tell(change);
    }

    /// Takes a place in the pool as well, for a try beside another; false if there is none, or others wait for it.
    pub fn take_place(&mut self) -> bool {
        self.has_place = self.of.breaker().enter(self.of.config()).is_ok();
        self.has_place
    }

    /// True if it holds a place in the pool beside that of its request.
    pub fn has_place(&self) -> bool {
        self.has_place
    }

    /// Gives the place in the pool back: this is the only try from now on.
    pub fn give_place_back(&mut self, now: Time) {
        if std::mem::take(&mut self.has_place) {
            self.of.breaker().leave(now);
        }
    }

    fn trip(&self) -> Option<(&Settings, &Trip)> {
        let settings = self.of.config().server_breaker.as_ref()?;
        Some((settings, self.of.guard().servers.get(self.server)?))
    }

    /// Tells of a change of the circuit breaker.
    fn tell(&self, change: Option<Transition>) {
        let Some(Transition { from, to, reason }) = change else { return };
        let (pool, id) = (&self.of.config().name, &self.of.config().backends[self.server].id);
        show(&self.of.registry.backend(pool, id).breaker_state, to);
        let (from, to) = (from.as_str(), to.as_str());
        tracing::warn!(%pool, server = %id, from, to, reason, "circuit breaker of the server changed");
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.of.clock.now();
        self.settle(|_| Outcome::Unknown, now);
        self.of.breaker().leave_server(self.of.load(self.server), now);
        self.give_place_back(now);
    }
}
