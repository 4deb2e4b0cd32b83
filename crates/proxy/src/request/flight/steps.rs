//! The steps of a record, in order: those that were noted as they happened, between those that follow from the times in the
//! request log.

use evenkeel_config::Route;
use evenkeel_core::route::{Considered, Verdict};
use evenkeel_observe::flight::{FlightStep, STEPS_MAX, StepKind, milliseconds};
use evenkeel_observe::{CacheResult, Ended};
use evenkeel_types::{Time, cut};

use super::super::log::{Cached, Delivered, Finished};
use super::super::noted::{NotedStep, Notes};
use crate::forward::chose;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// Bytes of a step's text.
const WHAT_BYTES_MAX: usize = 400;

/// What the steps are made of.
pub struct Story<'a> {
    /// What was in force.
    pub view: &'a View,
    /// The request.
    pub finished: &'a Finished<'a>,
    /// What was noted of it.
    pub notes: Option<&'a Notes>,
    /// The routes that match in part.
    pub near: &'a [Considered],
    /// The time, which is that of its end.
    pub now: Time,
}

impl Story<'_> {
    /// The steps, and how many have no room.
    pub fn steps(&self) -> (Vec<FlightStep>, usize) {
        let mut steps = vec![self.routed()];
        if let Some(route) = self.route() {
            steps.extend(self.limits(route));
        }
        steps.extend(
            self.finished.log.cache.as_ref().map(|cached| self.step(None, StepKind::Cache, cache(cached))),
        );
        let noted = self.notes.map_or(&[][..], |notes| &notes.steps);
        steps.extend(noted.iter().map(|noted| self.noted(noted)));
        self.last_try(&mut steps);
        // A hedge was sent before it was known that it is the one that counts.
        steps.sort_by(|one, next| one.at_ms.total_cmp(&next.at_ms));
        let left_out =
            self.notes.map_or(0, |notes| notes.left_out) + steps.len().saturating_sub(STEPS_MAX - 1);
        steps.truncate(STEPS_MAX - 1);
        steps.push(self.step(Some(self.now), StepKind::End, self.end()));
        (steps, left_out)
    }

    fn route(&self) -> Option<&Route> {
        self.finished.log.route.map(|route| self.view.snapshot.routes.route(route))
    }

    /// A step at that time; at the beginning without one.
    fn step(&self, at: Option<Time>, kind: StepKind, what: impl Into<String>) -> FlightStep {
        let at_ms = at.map_or(0.0, |at| milliseconds(at - self.finished.request.started));
        FlightStep { at_ms, kind, what: cut(&what.into(), WHAT_BYTES_MAX), server: None, took_ms: None }
    }

    fn noted(&self, noted: &NotedStep) -> FlightStep {
        FlightStep {
            server: noted.server.as_ref().map(ToString::to_string),
            took_ms: noted.took.map(milliseconds),
            ..self.step(Some(noted.at), noted.kind, noted.what.as_str())
        }
    }

    fn routed(&self) -> FlightStep {
        let cause = self.notes.and_then(|notes| notes.cause);
        let won = self.near.iter().find(|near| near.verdict == Verdict::Won);
        let what = match self.route() {
            Some(route) => match won.filter(|won| Some(won.route) == self.finished.log.route) {
                Some(won) => format!("route `{}` takes it: {}", route.name, won.reason),
                None => format!("route `{}` takes it", route.name),
            },
            None if cause == Some("no_route") => "no route takes it".into(),
            None if self.finished.request.path.is_empty() => "its head could not be read as a request".into(),
            None if self.finished.delivered.status == 308 => {
                "the listener sends every request to https".into()
            }
            None => "it was refused before a route was looked for".into(),
        };
        self.step(None, StepKind::Route, what)
    }

    /// The rate limits, where none of them has said anything.
    fn limits(&self, route: &Route) -> Option<FlightStep> {
        let spoke =
            self.notes.is_some_and(|notes| notes.steps.iter().any(|step| step.kind == StepKind::Limit));
        if route.rate_limits.is_empty() || spoke {
            return None;
        }
        let names: Vec<&str> = route.rate_limits.iter().map(|limit| limit.name.as_str()).collect();
        Some(self.step(None, StepKind::Limit, format!("within its rate limits: {}", names.join(", "))))
    }

    /// The try of which nothing was noted, because it did not fail: the only one, or the last.
    fn last_try(&self, steps: &mut Vec<FlightStep>) {
        let log = self.finished.log;
        let Some((pool, server)) = self.finished.pool.zip(log.server) else { return };
        let id = PoolView::config(pool).backends[server].id.as_str();
        let about = |step: FlightStep| FlightStep { server: Some(id.to_owned()), ..step };
        let has_failed = self.notes.is_some_and(|notes| log.sent.is_none_or(|_| log.sent == notes.sent));
        let has_choice = self.notes.is_some_and(|notes| notes.has_choice);
        let before = self
            .notes
            .map_or(self.finished.request.started, |notes| notes.last_at(self.finished.request.started));
        if log.tries == 1
            && !has_choice
            && let Some(why) = log.why
        {
            steps.push(about(self.step(Some(before), StepKind::Choose, chose(why))));
        }
        let Some(sent) = log.sent.filter(|_| !has_failed) else { return };
        let before = self.notes.and_then(|notes| notes.connect);
        // Of several servers that have the request at once, the log has the time of the one that won.
        let connect = match log.connect.filter(|_| log.hedged.is_some() || log.connect != before) {
            Some(took) => {
                let before = before.filter(|_| log.hedged.is_none()).unwrap_or_default();
                let step = self.step(Some(sent), StepKind::Connect, "a connection was opened");
                FlightStep { took_ms: Some(milliseconds(took.saturating_sub(before))), ..step }
            }
            None => self.step(Some(sent), StepKind::Connect, "a kept connection was used"),
        };
        steps.push(about(connect));
        let send = match self.finished.upload() {
            Some(took) => FlightStep {
                took_ms: Some(milliseconds(took)),
                ..self.step(log.uploaded, StepKind::Send, "the request was sent, and its body as it came")
            },
            None => self.step(Some(sent), StepKind::Send, "the request was sent"),
        };
        steps.push(about(send));
        if let Some(answered) = log.answered.filter(|answered| *answered >= sent) {
            let step = self.step(Some(answered), StepKind::Answer, "the head of the response came");
            steps.push(about(FlightStep { took_ms: log.first_byte().map(milliseconds), ..step }));
        }
    }

    fn end(&self) -> String {
        let Delivered { status, bytes, .. } = self.finished.delivered;
        match self.finished.ended {
            Ended::Complete => format!("the client has all of the response: {status}, {bytes} bytes of body"),
            Ended::Refused if status == 0 => "the stream was refused".into(),
            Ended::Refused => format!("the client got the error {status}"),
            Ended::Tunnel => {
                let (up, down) = self.finished.log.tunnel.unwrap_or_default();
                format!("the tunnel ended, after {up} bytes up and {down} bytes down")
            }
            Ended::ClientAborted if status == 0 => "the client left before there was a response".into(),
            Ended::ClientAborted => format!("the client left, after {bytes} bytes of the body of {status}"),
            Ended::ClientTimeout if status == 408 => "the client was too slow, and got 408".into(),
            Ended::ClientTimeout => {
                format!("the client was too slow, after {bytes} bytes of the body of {status}")
            }
            ended if self.is_cut() => {
                format!("the response was cut, after {bytes} bytes of the body of {status} ({ended})")
            }
            _ => format!("the client got the error {status}"),
        }
    }

    /// True if the client has a part of a response.
    fn is_cut(&self) -> bool {
        !self.finished.delivered.is_whole
    }
}

fn cache(cached: &Cached) -> String {
    let Cached { result, reason, coalesced, age_s } = *cached;
    let what = match result {
        CacheResult::Hit => format!("a stored response was sent, {age_s} s old"),
        CacheResult::Miss => "nothing fitting was stored".into(),
        CacheResult::Expired => "what was stored was stale, and replaced".into(),
        CacheResult::Revalidated => format!("what was stored was stale, confirmed, and sent, {age_s} s old"),
        CacheResult::Updating => {
            format!("a stale response was sent while a fresh one is fetched, {age_s} s old")
        }
        CacheResult::Stale => format!("a stale response was sent because the servers failed, {age_s} s old"),
        CacheResult::Bypass => "the cache was passed by".into(),
    };
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let with = if coalesced { "; another request was fetching the same" } else { "" };
    format!("{}: {what}{why}{with}", result.as_str())
}
