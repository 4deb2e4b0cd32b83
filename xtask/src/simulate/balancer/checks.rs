//! What must hold of the balancer at every moment, and at the end.

use evenkeel_core::balance::Availability;
use evenkeel_core::breaker::State as Circuit;
use evenkeel_core::health::State;
use evenkeel_types::Time;

use super::Balancer;
use super::course::At;

/// Retries a second that a pool may have whatever its requests, and how many of them at once.
const FLOOR: (f64, f64) = (3.0, 11.0);

impl Balancer {
    /// No more servers are ejected than the configuration allows, but for one.
    pub(super) fn check_cap(&self) {
        let Some(outlier) = &self.config.outlier else { return };
        let weighty =
            || self.config.backends.iter().zip(self.health.servers()).filter(|(it, _)| it.weight > 0);
        let ejected = weighty().filter(|(_, (_, health))| health.state() == State::Ejected).count();
        let allowed = (weighty().count() * outlier.max_ejected as usize / 100).max(1);
        assert!(ejected <= allowed, "{ejected} servers are ejected, and {allowed} may be");
    }

    /// No ejection leaves the pool without a server.
    pub(super) fn check_left(&self) {
        let standings =
            || self.config.backends.iter().zip(self.health.servers().zip(self.health.standings()));
        let weighty = || standings().filter(|(backend, _)| backend.weight > 0);
        let is_left = weighty().any(|(_, (_, (_, availability)))| availability == Availability::Up);
        let is_ejected = weighty().any(|(_, ((_, health), _))| health.state() == State::Ejected);
        assert!(is_left || !is_ejected, "ejections have emptied the pool");
    }

    /// Retries are a share of the requests at most, and a few.
    pub(super) fn check_budget(&self, now: Time) {
        let (each, burst) = FLOOR;
        let share = self.requests as f64 * f64::from(self.policy.budget) / 100.0;
        let allowed = share * 1.001 + burst + each * (now - Time::ZERO).as_secs_f64();
        let retries = self.retries;
        assert!(retries as f64 <= allowed, "{retries} retries, and {allowed:.0} may be");
    }

    /// No more retries are under way than may be.
    pub(super) fn check_retries(&self) {
        let Some(max) = self.config.breaker.as_ref().and_then(|breaker| breaker.max_retries) else { return };
        let under_way = self.breaker().retries();
        assert!(under_way <= max, "{under_way} retries are under way, and {max} may be");
    }

    /// Nobody waits while there is a place, no more than may wait do, and nobody is forgotten. To be asked when those
    /// whose bell has rung are known, and after each event: it looks at what has changed since.
    pub fn check_queue(&mut self) {
        let (freed, joined) = (std::mem::take(&mut self.freed), std::mem::take(&mut self.joined));
        let Some(guard) = &self.pool.guard else { return };
        let (breaker, waiting) = (&guard.breaker, self.waiting.len());
        assert_eq!(breaker.waiting(), waiting, "not so many wait as have not been woken");
        if waiting == 0 {
            return;
        }
        let max = self.config.pending_max();
        assert!(waiting <= max, "{waiting} wait, and {max} may");
        if breaker.in_flight() < breaker.limit(&self.config).0 {
            let found = self.waiting.iter().find(|(_, at)| at.is_none());
            assert_eq!(found, None, "a request waits though the pool has a place");
        }
        for server in freed.into_iter().filter(|server| self.has_room(*server)) {
            let found = self.waiting.iter().find(|(_, at)| self.wants(at.as_ref(), server));
            assert_eq!(found, None, "a request waits though server {server} has a place");
        }
        for nth in joined {
            let Some(at) = self.waiting.get(&nth) else { continue };
            let mut servers = 0..self.config.backends.len();
            let found = servers.find(|server| self.has_room(*server) && self.wants(at.as_ref(), *server));
            assert_eq!(found, None, "request {nth} waits though a server has a place");
        }
    }

    /// True if who waits there would take a place at the server. Who belongs to one that is out moves.
    fn wants(&self, at: Option<&At>, server: usize) -> bool {
        let Some((only, not)) = at else { return false };
        let members = &self.pool.members;
        let only = only.filter(|only| members.takes(*only, true));
        only.is_none_or(|only| only == server)
            && !not.contains(&server)
            && members.takes(server, only.is_some())
    }

    fn has_room(&self, server: usize) -> bool {
        self.config.backends[server].max_connections.is_none_or(|max| self.in_flight(server) < max)
    }

    /// Everything has been given back, when all requests are over.
    pub fn check_given_back(&self, now: Time) {
        for server in 0..self.config.backends.len() {
            let (counted, seated) = (self.in_flight(server), self.seated[server]);
            assert_eq!((counted, seated), (0, 0), "server {server} has requests in flight after the end");
        }
        let Some(guard) = &self.pool.guard else { return };
        let breaker = &guard.breaker;
        let left = (breaker.in_flight(), breaker.waiting(), breaker.retries());
        assert_eq!(left, (0, 0, 0), "in the pool, its queue and its retries after the end");
        let pool = self.config.breaker.as_ref().and_then(|breaker| breaker.trip.as_ref());
        let of_pool = pool.map(|settings| (settings, &breaker.trip));
        let of_server = |trip| self.config.server_breaker.as_ref().zip(Some(trip));
        let servers = guard.servers.iter().filter_map(|trip| of_server(&**trip));
        for (settings, trip) in of_pool.into_iter().chain(servers) {
            if trip.state().0 == Circuit::Closed {
                continue;
            }
            // Long after, a circuit that is not closed has all its trials to give: none was lost.
            let later = now + settings.open_for * 20;
            let passes = (0..settings.trials).filter(|_| trip.admit(settings, later).0.is_ok()).count();
            assert_eq!(passes, settings.trials as usize, "a circuit breaker waits for trials that are over");
        }
    }
}
