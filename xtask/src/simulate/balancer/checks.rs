//! What must hold of the balancer at every moment, and at the end.

use evenkeel_core::admission::{Driver, GiveUp, Step};
use evenkeel_core::balance::Availability;
use evenkeel_core::breaker::{CircuitState as Circuit, Want};
use evenkeel_core::choose::Why;
use evenkeel_core::health::State;
use evenkeel_types::Time;

use super::{Admitted, Balancer};

/// Retries a second that a pool may have whatever its requests, and how many of them at once.
const FLOOR: (f64, f64) = (3.0, 11.0);

impl Balancer {
    /// No more servers are ejected than the configuration allows, but for one.
    pub(super) fn check_cap(&self) {
        let Some(outlier) = &self.pool().outlier else { return };
        let weighty =
            || self.pool().backends.iter().zip(self.health.servers()).filter(|(it, _)| it.weight > 0);
        let ejected = weighty().filter(|(_, (_, health))| health.state() == State::Ejected).count();
        let allowed = (weighty().count() * outlier.max_ejected as usize / 100).max(1);
        assert!(ejected <= allowed, "{ejected} servers are ejected, and {allowed} may be");
    }

    /// No ejection leaves the pool without a server.
    pub(super) fn check_left(&self) {
        let standings =
            || self.pool().backends.iter().zip(self.health.servers().zip(self.health.standings()));
        let weighty = || standings().filter(|(backend, _)| backend.weight > 0);
        let is_left = weighty().any(|(_, (_, (_, availability)))| availability == Availability::Up);
        let is_ejected = weighty().any(|(_, ((_, health), _))| health.state() == State::Ejected);
        assert!(is_left || !is_ejected, "ejections have emptied the pool");
    }

    /// A request goes only where it may.
    pub(super) fn check_step(&self, it: &Admitted, step: &Step, waited: bool) {
        let came_to = &it.gate().pool().members;
        match step {
            Step::Send { leg, chosen, .. } => {
                let (server, is_own) = (chosen.server, chosen.why == Why::Sticky);
                let before = &it.tried()[..leg.index()];
                assert!(!before.contains(&server), "chose server {server} again");
                // A request that has waited knows the servers of now.
                let may_have_waited = self.pool.guard.is_some();
                let takes = came_to.takes(server, is_own)
                    || may_have_waited && self.pool.members.takes(server, is_own);
                assert!(takes, "chose server {server}, which is out");
                self.check_budget(self.watch.now());
                self.check_retries();
            }
            Step::GiveUp(GiveUp::NoServer) if !waited => {
                let left = (0..came_to.len()).find(|&at| came_to.usable(at) && !it.tried().contains(&at));
                assert_eq!(left, None, "no server was chosen though one is usable");
            }
            _ => {}
        }
    }

    /// No server, and no pool, has more requests than it may.
    pub(super) fn check_asked(&self, server: usize) {
        let (asked, max) = (self.asked[server], self.pool().backends[server].max_connections);
        assert!(max.is_none_or(|max| asked <= max), "{asked} at server {server}, and {max:?} may be");
        let limits = self.pool().breaker.iter().flat_map(|it| [it.max_requests, it.max_connections]);
        // What `concurrency` allows may have fallen since the permit was given.
        let most = limits.flatten().chain(self.pool().concurrency.iter().map(|it| it.max)).min();
        let Some(most) = most else { return };
        let inside: u32 = self.asked.iter().sum();
        assert!(inside <= most, "{inside} in the pool, and {most} may be");
    }

    /// Retries and hedges are a share of the requests at most, and a few.
    fn check_budget(&self, now: Time) {
        let (each, burst) = FLOOR;
        let share = self.requests as f64 * f64::from(self.route().0.budget) / 100.0;
        let allowed = share * 1.001 + burst + each * (now - Time::ZERO).as_secs_f64();
        let retries = self.retries() + self.hedges();
        assert!(retries as f64 <= allowed, "{retries} retries and hedges, and {allowed:.0} may be");
    }

    /// No more retries are in flight than may be.
    fn check_retries(&self) {
        let Some(guard) = &self.pool.guard else { return };
        let Some(max) = self.pool().breaker.as_ref().and_then(|breaker| breaker.max_retries) else { return };
        let in_flight = guard.breaker.retries();
        assert!(in_flight <= max, "{in_flight} retries are in flight, and {max} may be");
    }

    /// No request waits while what it waits for is there, no more wait than may, and none is forgotten. To be asked after each
    /// event, when the requests that were woken are known: it looks at what has changed since.
    pub fn check_queue<'r>(&mut self, request: impl Fn(usize) -> Option<&'r Admitted>) {
        let (freed, joined) = (std::mem::take(&mut self.freed), std::mem::take(&mut self.joined));
        let Some(guard) = &self.pool.guard else { return };
        let (breaker, waiting) = (&guard.breaker, self.waiting.len());
        assert_eq!(breaker.waiting(), waiting, "as many wait as have not been woken");
        if waiting == 0 {
            return;
        }
        let max = self.pool().pending_max();
        assert!(waiting <= max, "{waiting} wait, and {max} may");
        let wants = |nth: &usize| request(*nth).and_then(Admitted::wants).expect("it waits");
        if breaker.in_flight() < breaker.limit(self.pool()).0 {
            let found = self.waiting.iter().find(|nth| matches!(wants(nth), Want::Place));
            assert_eq!(found, None, "a request waits though the pool has room");
        }
        let freed: Vec<usize> = freed.into_iter().filter(|server| self.has_room(*server)).collect();
        if !freed.is_empty() {
            for (nth, want) in self.waiting.iter().map(|nth| (nth, wants(nth))) {
                let found = freed.iter().find(|server| self.suits(&want, **server));
                assert_eq!(found, None, "request {nth} waits though a server has room");
            }
        }
        for nth in joined.iter().filter(|nth| self.waiting.contains(nth)) {
            let (want, mut servers) = (wants(nth), 0..self.asked.len());
            let found = servers.find(|server| self.has_room(*server) && self.suits(&want, *server));
            assert_eq!(found, None, "request {nth} waits though a server has room");
        }
    }

    /// True if a request that wants this would go to the server. One that belongs to a server that is out moves.
    fn suits(&self, want: &Want, server: usize) -> bool {
        let Want::Server { only, not, .. } = want else { return false };
        let members = &self.pool.members;
        let only = only.filter(|only| members.takes(*only, true));
        only.is_none_or(|only| only == server)
            && !not.contains(&server)
            && members.takes(server, only.is_some())
    }

    fn has_room(&self, server: usize) -> bool {
        let max = self.pool().backends[server].max_connections;
        max.is_none_or(|max| self.in_flight(server) < max)
    }

    /// Requests in flight at a server, as the balancer counts them.
    fn in_flight(&self, server: usize) -> u32 {
        self.pool.members.server(server).load.in_flight()
    }

    /// Everything has been given back, when all requests are over.
    pub fn check_given_back(&self, now: Time) {
        for server in 0..self.pool().backends.len() {
            let (counted, asked) = (self.in_flight(server), self.asked[server]);
            assert_eq!((counted, asked), (0, 0), "server {server} has requests in flight after the end");
        }
        let Some(guard) = &self.pool.guard else { return };
        let breaker = &guard.breaker;
        let left = (breaker.in_flight(), breaker.waiting(), breaker.retries());
        assert_eq!(left, (0, 0, 0), "in the pool, its queue and its retries after the end");
        let pool = self.pool().breaker.as_ref().and_then(|breaker| breaker.trip.as_ref());
        let of_pool = pool.map(|settings| (settings, &breaker.trip));
        let of_server = |trip| self.pool().server_breaker.as_ref().zip(Some(trip));
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
