//! One simulated request, and how the world carries out what the balancer decides about it.

use evenkeel_core::admission::{
    AfterFailure, AfterHead, Answer, Dismissed, FailedTry, FirstByte, Leg, Role, Step, Terms, Winner,
};
use evenkeel_core::health::{Failure, LiveTraffic};
use evenkeel_core::retry::Cause;
use evenkeel_types::Time;

use super::super::balancer::{Admitted, Asked};
use super::super::outcome::End;
use super::super::server::Offered;
use super::{INSTANT, Setup, What, World};

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    asked: Asked,
    /// Until it is over.
    pub(super) admission: Option<Admitted>,
    began: Time,
    is_write: bool,
    /// The servers that have it.
    pub(super) legs: Vec<OnServer>,
    /// A server whose answer is kept in case that no other has a better one, and its status.
    kept: Option<(OnServer, u16)>,
    /// Servers that have looked at it.
    seen_by: u32,
    /// The number of its timer.
    pub(super) timer: Option<u64>,
    is_over: bool,
}

/// A server that has a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnServer {
    leg: Leg,
    pub(super) server: usize,
    /// The number of the try.
    pub(super) attempt: u64,
    sent: Time,
    /// Others may have the request as well.
    is_raced: bool,
}

impl Request {
    /// A request that comes now.
    pub(super) fn new(asked: Asked, admission: Admitted, now: Time, is_write: bool) -> Self {
        Self {
            asked,
            admission: Some(admission),
            began: now,
            is_write,
            legs: Vec::new(),
            kept: None,
            seen_by: 0,
            timer: None,
            is_over: false,
        }
    }
}

/// What stays the same about a request.
pub(super) fn terms<'a>(setup: &'a Setup, request: &'a Asked) -> Terms<'a, Asked> {
    let route = setup.route();
    Terms {
        of: LiveTraffic::Requests,
        request,
        owner_of: None,
        retry: &route.retry,
        hedge: route.hedge.as_ref(),
        is_short: true,
        deadline: None,
    }
}

impl World<'_> {
    /// Does what the balancer says about a request until there is something to wait for. How many requests have ended by it.
    pub(super) fn drive(&mut self, nth: usize) -> usize {
        loop {
            let request = &mut self.requests[nth];
            let Some(admission) = &mut request.admission else { return 0 };
            let step = self.balancer.poll(nth, admission, &terms(self.setup, &request.asked), self.now);
            request.timer = None;
            match step {
                Step::Send { leg, chosen, role } => self.offer(nth, leg, chosen.server, role),
                Step::NotHedged(_) => {}
                Step::Renew => unreachable!("no pool of a simulation has `wait_for_server`"),
                Step::Wait { until } | Step::Pause { until } => return self.set_timer(nth, until),
                Step::Asking { until } => return until.map_or(0, |until| self.set_timer(nth, until)),
                Step::Refuse(_) => return self.end(nth, End::Refused),
                Step::GiveUp(_) => return self.end(nth, End::Failed),
            }
        }
    }

    fn set_timer(&mut self, nth: usize, until: Time) -> usize {
        let number = self.events_total;
        self.requests[nth].timer = Some(number);
        self.at(until, What::Timer(nth, number));
        0
    }

    fn offer(&mut self, nth: usize, leg: Leg, server: usize, role: Role) {
        let attempt = self.attempts.len() as u64;
        self.attempts.push(nth);
        self.outcome.sent(server);
        let offered = self.servers[server].offer(attempt);
        let request = &mut self.requests[nth];
        let is_raced = role != Role::Alone;
        assert!(is_raced || request.legs.is_empty(), "a request is on two servers");
        request.legs.push(OnServer { leg, server, attempt, sent: self.now, is_raced });
        request.seen_by += u32::from(offered != Offered::Refused);
        let retry = &self.setup.route().retry;
        let most = if request.is_write { 1 } else { retry.attempts };
        assert!(request.seen_by <= most, "{} servers saw a request that {most} may", request.seen_by);
        if offered != Offered::Refused
            && let Some(admission) = &mut request.admission
        {
            admission.handle_connected(leg);
        }
        match offered {
            Offered::Refused => self.after(INSTANT, What::Rejected(attempt, None)),
            Offered::TurnedAway => self.after(INSTANT, What::Rejected(attempt, Some(503))),
            Offered::Begun => self.begin(attempt, server),
            Offered::Waits => {}
        }
        let within = self.setup.pool().timeout.response;
        let within = retry.per_try_timeout.map_or(within, |per_try| per_try.min(within));
        self.after(within, What::TimedOut(attempt));
    }

    /// Takes a try from the request that still waits for it.
    fn take_leg(&mut self, attempt: u64) -> Option<(usize, OnServer)> {
        let nth = self.attempts[attempt as usize];
        let legs = &mut self.requests[nth].legs;
        let at = legs.iter().position(|leg| leg.attempt == attempt)?;
        Some((nth, legs.remove(at)))
    }

    /// A server has answered a try.
    pub(super) fn answer(&mut self, attempt: u64, status: u16) -> usize {
        let Some((nth, of)) = self.take_leg(attempt) else { return 0 };
        if of.is_raced {
            let request = &mut self.requests[nth];
            let admission = request.admission.as_mut().expect("its request is not over");
            let (first, retry) = ((Some(status), of.sent), &self.setup.route().retry);
            match admission.handle_first_byte(of.leg, first, retry, self.now) {
                FirstByte::Kept(dismissed) => {
                    request.kept = Some((of, status));
                    self.dismiss(dismissed);
                    return self.drive(nth);
                }
                FirstByte::Won(winner) => self.won(nth, winner),
            }
        }
        self.head(nth, of, status)
    }

    /// The head of the answer is there.
    fn head(&mut self, nth: usize, of: OnServer, status: u16) -> usize {
        let request = &mut self.requests[nth];
        let admission = request.admission.as_mut().expect("its request is not over");
        let answer = Answer::whole(status, of.sent, self.now);
        let after = admission.handle_head(of.leg, &answer, &terms(self.setup, &request.asked));
        self.balancer.ended(of.server);
        self.balancer.answered(of.server, status, self.now - of.sent, self.now);
        match after {
            AfterHead::PassOn if status < 500 => self.end(nth, End::Answered),
            AfterHead::PassOn | AfterHead::NotRetried { .. } => self.end(nth, End::Failed),
            AfterHead::Defer => self.drive(nth),
        }
    }

    /// A try has failed without an answer.
    pub(super) fn fail(&mut self, attempt: u64, failure: Failure) -> usize {
        let Some((nth, of)) = self.take_leg(attempt) else { return 0 };
        let request = &mut self.requests[nth];
        let admission = request.admission.as_mut().expect("its request is not over");
        let (failed, terms) = (failed_try(failure), terms(self.setup, &request.asked));
        let after = admission.handle_failure(of.leg, &failed, &terms, self.now);
        self.balancer.ended(of.server);
        self.balancer.failed(of.server, failure, self.now);
        let AfterFailure::Won(leg, winner) = after else { return self.drive(nth) };
        let kept = self.requests[nth].kept.take().filter(|(of, _)| of.leg == leg);
        self.won(nth, winner);
        let (of, status) = kept.expect("the answer that wins was kept");
        self.head(nth, of, status)
    }

    /// One server's answer is the only one from now on.
    fn won(&mut self, nth: usize, winner: Winner) {
        let request = &mut self.requests[nth];
        request.kept = None;
        for of in std::mem::take(&mut request.legs) {
            self.balancer.ended(of.server);
        }
        self.dismiss(winner.dismissed);
    }

    /// An answer that was kept is not needed.
    fn dismiss(&mut self, dismissed: Option<Dismissed>) {
        if let Some(Dismissed { server, status, took, .. }) = dismissed {
            self.balancer.ended(server);
            self.balancer.answered(server, status, took, self.now);
        }
    }

    /// The request is over, if it is not already.
    pub(super) fn end(&mut self, nth: usize, how: End) -> usize {
        let request = &mut self.requests[nth];
        if request.is_over {
            assert_eq!(how, End::Gone, "a request ends twice");
            return 0;
        }
        request.is_over = true;
        request.timer = None;
        let dismissed = match how {
            End::Gone => request.admission.as_mut().and_then(|admission| admission.handle_gone(self.now)),
            _ => None,
        };
        request.kept = None;
        for of in std::mem::take(&mut request.legs) {
            self.balancer.ended(of.server);
        }
        if let Some(admission) = request.admission.take() {
            self.balancer.over(nth, admission);
        }
        let began = request.began;
        self.dismiss(dismissed);
        // The first tenth is for warming up.
        if nth * 10 >= self.setup.requests {
            self.outcome.ended(how, self.now - began);
        }
        1
    }
}

/// A failure in the words of the balancer.
fn failed_try(failure: Failure) -> FailedTry {
    let cause = match failure {
        Failure::Connect => Cause::Connect,
        Failure::Reset => Cause::Reset,
        Failure::Timeout => Cause::Timeout,
        Failure::Status(status) => Cause::Status(status),
        Failure::BadAnswer => Cause::Malformed,
    };
    FailedTry {
        cause: Some(cause),
        blame: Some(failure),
        timed_out: failure == Failure::Timeout,
        has_begun: false,
        replayable: true,
    }
}
