//! A circuit breaker as all workers share it: while it is closed, a request costs two atomic operations and no lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_config::Trip as Settings;
use evenkeel_types::Time;

use super::circuit::{self, Circuit, CircuitChange, CircuitState, Outcome, Pass, Refused};
use super::window::Window;

/// The circuit breaker of a pool or a server.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Trip {
    /// The round, shifted by one, and whether it is closed (0) or not (1): what a request looks at first.
    glance: AtomicU64,
    window: Window,
    /// Locked by transitions, and by requests only while it is not closed.
    circuit: Mutex<Circuit>,
}

impl Trip {
    /// Asks for a pass at `now`.
    ///
    /// # Errors
    /// It is open, or has as many trials under way as it may.
    pub fn admit(&self, settings: &Settings, now: Time) -> (Result<Pass, Refused>, Option<CircuitChange>) {
        let glance = self.glance.load(Acquire);
        if glance & 1 == 0 {
            return (Ok(Pass { round: (glance >> 1) as u32, is_trial: false }), None);
        }
        let mut circuit = self.lock();
        let admitted = circuit.admit(settings, now);
        self.publish(&circuit);
        admitted
    }

    /// True if this pass is still what the circuit lets through: it has not opened, nor closed, since.
    pub fn honours(&self, pass: Pass) -> bool {
        let glance = self.glance.load(Acquire);
        glance == u64::from(pass.round) << 1 | u64::from(pass.is_trial)
    }

    /// Takes a pass back, once, with how its request fared.
    pub fn settle(
        &self,
        pass: Pass,
        outcome: Outcome,
        settings: &Settings,
        now: Time,
    ) -> Option<CircuitChange> {
        if pass.is_trial {
            let mut circuit = self.lock();
            let change = circuit.tried(pass, outcome, settings, now);
            if change.as_ref().is_some_and(|change| change.to == CircuitState::Closed) {
                self.window.clear();
            }
            self.publish(&circuit);
            return change;
        }
        let Outcome::Ended { of, failed, took } = outcome else { return None };
        // What began before the circuit opened says nothing about the servers that it now protects.
        if self.glance.load(Acquire) != u64::from(pass.round) << 1 {
            return None;
        }
        self.window.count(failed, circuit::is_slow(settings, took), settings.window, now);
        if self.window.is_spotless() {
            return None;
        }
        let tally = self.window.tally(settings.window, now);
        circuit::verdict(tally, of, settings)?;
        let mut circuit = self.lock();
        let change = circuit.judge((tally, of), settings, now);
        self.publish(&circuit);
        change
    }

    /// True if it would refuse a request at `now`.
    pub fn refuses(&self, settings: &Settings, now: Time) -> bool {
        !self.is_closed() && self.lock().refuses(settings, now)
    }

    /// True if it lets everything through.
    pub fn is_closed(&self) -> bool {
        self.glance.load(Acquire) & 1 == 0
    }

    /// Its state, and why it is in it.
    pub fn state(&self) -> (CircuitState, String) {
        let circuit = self.lock();
        (circuit.state(), circuit.reason().to_owned())
    }

    /// Since when, why and for how long still it refuses requests; `None` if it is closed.
    pub fn description(&self, now: Time) -> Option<String> {
        self.lock().description(now)
    }

    fn publish(&self, circuit: &Circuit) {
        let is_closed = circuit.state() == CircuitState::Closed;
        self.glance.store(u64::from(circuit.round()) << 1 | u64::from(!is_closed), Release);
    }

    /// A panic elsewhere leaves the circuit whole.
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "trip_tests.rs"]
mod tests;
