//! One request's visit to the cache: look, judge, wait or fetch, until there is an answer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use evenkeel_cache::{Found, Hit, Joined, Leader, Reader, Revalidation, Why as Alone};
use evenkeel_config::Cache;
use evenkeel_core::cache::{
    self, AfterFailure, Asked, CacheOutcome, CacheStatus, Exchange, Failure, Fields, Forward, Moment,
    RequestDirectives, StaleUse, Verdict, Wall, after_failure, judge, storable,
};
use evenkeel_observe::{CacheResult, Ended};
use evenkeel_types::Time;
use tokio::sync::{mpsc, oneshot};

use super::body::{CachedBody, Origin};
use super::disk::{DISK_MAX, DiskBody};
use super::facts::{self, Lines, RequestFields};
use super::fetch::{Fetch, Fetched, FetchedAnswer, PrivateAnswer};
use super::kept::{Kept, begin_body};
use super::note;
use super::parent::{forward_up, is_down, parents_of};
use super::say::{only_if_cached, result_of, say, unreachable};
use super::store::{KeptHead, Meta, Object};
use crate::client::writer::{Interim, ToClient};
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::request::incoming::Incoming;
use crate::request::log::{Cached, RequestLog};
use crate::request::setting::Setting;
use crate::response::{Body, Head, Response};
use crate::stream::Stream;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::WriteError;

/// How often a request looks anew because what it found was purged, or was another variant.
const ROUNDS_MAX: usize = 4;
/// Why a request went to a server by itself: the answer to another one could not be shared.
const NOT_SHARED: &str = "not-shared";

/// A request that the cache may answer.
pub struct Visit<'x, 'c> {
    /// What it meets.
    pub setting: Setting<'x>,
    /// The route's `cache`.
    pub rules: &'x Cache,
    /// The route's position.
    pub position: usize,
    /// The pool.
    pub pool: &'x Rc<PoolView>,
    /// Where it goes if neither the cache nor a parent answers.
    pub target: Target<'x>,
    /// The request.
    pub incoming: Incoming<'x, 'c>,
    /// What it accepts.
    pub asked: Asked,
    /// The key of what answers it.
    pub key: Vec<u8>,
}

/// What one look came to.
enum Step<'x, 'c> {
    Done(Outcome<'x, 'c>),
    /// This response, if its body can be read from the disk.
    OnDisk(Response<'x, 'c>),
    /// It has to look again.
    Again,
    /// It goes to a server by itself, for this reason.
    Alone(Forward, Option<&'static str>),
}

impl<'x, 'c> Visit<'x, 'c> {
    /// What is kept for it, or is on its way.
    pub fn look(&self, now: Time) -> Found<Meta> {
        self.setting.worker.shared.cache.lookup(&self.key, now, |head| self.selects(head))
    }

    /// The kept response, if it lies in memory and is fresh. The time is that of the request, which has waited for nothing.
    ///
    /// # Errors
    /// It takes longer than that.
    pub fn at_once(&self, log: &mut RequestLog) -> Result<Response<'x, 'c>, Found<Meta>> {
        let started = self.incoming.request.started;
        let found = self.look(started);
        let Found::Object(Hit { object, purged }) = found else { return Err(found) };
        let now = self.setting.worker.wall(started);
        let moment = Moment { now, purged, origin_down: false };
        let verdict = judge(&object.head().meta().stored, &self.asked.directives, &moment);
        if verdict != Verdict::Fresh || object.is_on_disk() {
            return Err(Found::Object(Hit { object, purged }));
        }
        Ok(self.respond(object, CacheOutcome::Hit, None, now, log))
    }

    /// The answer; a first look came to `found`.
    pub async fn answer(
        &self,
        found: Found<Meta>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Outcome<'x, 'c> {
        let mut found = Some(found);
        for _ in 0..ROUNDS_MAX {
            let found = found.take().unwrap_or_else(|| self.look(self.setting.worker.clock.now()));
            match self.meet(found, client, log).await {
                Step::Done(outcome) => return outcome,
                Step::OnDisk(mut response) => match begin_body(&mut response, client).await {
                    Err(_) => return Outcome::gone(),
                    Ok(true) => return Outcome::Response(response),
                    Ok(false) => {}
                },
                Step::Alone(why, detail) => return self.alone(why, detail, client, log).await,
                Step::Again => {}
            }
        }
        self.alone(Forward::Miss, None, client, log).await
    }

    fn now(&self) -> Wall {
        let worker = self.setting.worker;
        worker.wall(worker.clock.now())
    }

    fn selects(&self, head: &KeptHead) -> bool {
        facts::selects(head, self.incoming.request)
    }

    async fn meet(
        &self,
        found: Found<Meta>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Step<'x, 'c> {
        match found {
            Found::Object(hit) => self.found(hit, client, log).await,
            Found::Loading(reader) => self.load(reader, client, log).await,
            _ if self.asked.directives.only_if_cached => Step::Done(only_if_cached(log)),
            Found::Filling(reader) => self.follow(reader, None, client, log).await,
            Found::Marked(leader) => {
                drop(leader);
                Step::Alone(Forward::UriMiss, Some(NOT_SHARED))
            }
            // A HEAD brings nothing that could be kept.
            Found::Nothing(leader) if self.incoming.request.is_head() => {
                drop(leader);
                Step::Alone(Forward::UriMiss, None)
            }
            Found::Nothing(leader) => {
                let others = leader.has_other_variants();
                let why = if others { Forward::VaryMiss } else { Forward::UriMiss };
                self.fetch(leader, None, why, client, log).await
            }
        }
    }

    /// The disk may have a response for it.
    async fn load(
        &self,
        mut reader: Reader<Meta>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Step<'x, 'c> {
        let loaded = tokio::time::timeout(DISK_MAX, poll_fn(|cx| reader.poll_head(cx)));
        match client.writer.unless_gone(loaded).await {
            Err(_) => Step::Done(Outcome::gone()),
            Ok(Ok(Joined::Again)) => Step::Again,
            Ok(_) if self.asked.directives.only_if_cached => Step::Done(only_if_cached(log)),
            // Memory has no room for it, or the disk does not answer.
            Ok(_) => Step::Alone(Forward::UriMiss, None),
        }
    }

    /// There is a kept response for it.
    async fn found(
        &self,
        hit: Hit<Meta>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Step<'x, 'c> {
        let (store, now) = (&self.setting.worker.shared.cache, self.now());
        let Hit { object, purged } = hit;
        let (stored, asked) = (object.head().meta().stored, &self.asked.directives);
        let moment = Moment { now, purged, origin_down: false };
        let verdict = match judge(&stored, asked, &moment) {
            // Asked for only where a server would be asked, because it is of all workers.
            Verdict::Revalidate(_) | Verdict::OnlyIfCached if self.is_origin_down() => {
                judge(&stored, asked, &Moment { origin_down: true, ..moment })
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Fresh => self.hit(object, None, log),
            Verdict::Stale(StaleUse::WhileRevalidate) => {
                // Servers that have just failed are not asked again at each request.
                if !store.is_paused(&object, self.setting.worker.clock.now())
                    && let Revalidation::Leader(leader) = store.revalidate(&object)
                {
                    // It comes to its end without this request.
                    drop(self.begin(leader, purged, None));
                }
                self.hit(object, Some(StaleUse::WhileRevalidate), log)
            }
            Verdict::Stale(why) => self.hit(object, Some(why), log),
            Verdict::OnlyIfCached => Step::Done(only_if_cached(log)),
            Verdict::Revalidate(why) => {
                let forward = if why == cache::Why::Request { Forward::Request } else { Forward::Stale };
                if !object.head().meta().stored.is_for_others() {
                    let leader = store.revalidate_alone(&object);
                    return self.fetch(leader, Some((object, purged)), forward, client, log).await;
                }
                match store.revalidate(&object) {
                    Revalidation::Leader(leader) => {
                        self.fetch(leader, Some((object, purged)), forward, client, log).await
                    }
                    Revalidation::Running(reader) => {
                        self.follow(reader, Some((object, purged)), client, log).await
                    }
                }
            }
        }
    }

    /// The cache nodes that are asked first, looked up when they are needed: hits do not need them.
    fn parents(&self) -> Option<&'x Rc<PoolView>> {
        parents_of(self.setting, (self.rules, self.position))
    }

    /// True if no server would take a request now.
    fn is_origin_down(&self) -> bool {
        let parents = self.parents().map(|parents| Target { pool: parents, ..self.target });
        parents.is_none_or(|parents| is_down(&parents)) && is_down(&self.target)
    }

    fn begin(
        &self,
        leader: Leader<Meta>,
        purged: Option<Wall>,
        interims: Option<mpsc::UnboundedSender<Interim>>,
    ) -> oneshot::Receiver<Fetched> {
        let Setting { worker, view, .. } = self.setting;
        let fetch = Fetch {
            worker: Rc::clone(worker),
            view: Rc::clone(view),
            route: self.position,
            pool: Rc::clone(self.pool),
            parents: self.parents().map(Rc::clone),
            purged_by: facts::purged_by(self.rules, &self.target, self.incoming.request),
            leader,
            asked: (self.asked.directives, purged),
        };
        fetch.start(self.incoming.request, interims)
    }

    /// Begins a fetch, and waits for what it comes to; interim responses are passed on. `None` if it came to nothing.
    ///
    /// # Errors
    /// The client has left.
    async fn fetched(
        &self,
        leader: Leader<Meta>,
        purged: Option<Wall>,
        client: &mut ToClient<'_, 'c>,
    ) -> Result<Option<Fetched>, WriteError> {
        let (interims, mut coming) = mpsc::unbounded_channel();
        let mut fetched = self.begin(leader, purged, Some(interims));
        loop {
            let next = poll_fn(|cx| match coming.poll_recv(cx) {
                Poll::Ready(Some(interim)) => Poll::Ready(Err(interim)),
                _ => Pin::new(&mut fetched).poll(cx).map(Ok),
            });
            match client.writer.unless_gone(next).await? {
                Ok(fetched) => return Ok(fetched.ok()),
                Err(Interim { status, lines }) => {
                    client.writer.interim(status, |out| out.extend_from_slice(&lines)).await?;
                }
            }
        }
    }

    /// Asks a server, for this request and for all that wait for the same.
    async fn fetch(
        &self,
        leader: Leader<Meta>,
        stale: Option<(Arc<Object>, Option<Wall>)>,
        why: Forward,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Step<'x, 'c> {
        let purged = stale.as_ref().and_then(|(_, purged)| *purged);
        let fetched = match self.fetched(leader, purged, client).await {
            Err(_) => return Step::Done(Outcome::gone()),
            Ok(None) => return Step::Alone(why, None),
            Ok(Some(fetched)) => fetched,
        };
        log.adopt(fetched.log);
        let forwarded = |status, stored| CacheOutcome::Forwarded { why, status, stored, collapsed: false };
        match (fetched.answer, stale) {
            (FetchedAnswer::Shared(mut reader, own), _) => match poll_fn(|cx| reader.poll_head(cx)).await {
                Joined::Head(head) => {
                    let has_id = Lines(&own).has("x-request-id");
                    client.writer.add_fields(own);
                    let mut outcome = self.shared(&head, reader, forwarded(None, true), log);
                    if let Outcome::Response(response) = &mut outcome {
                        response.head.has_request_id = has_id;
                    }
                    Step::Done(outcome)
                }
                Joined::Again => Step::Again,
                // It broke off before this request saw its head.
                Joined::Object(_) | Joined::Alone(_) => Step::Alone(why, None),
            },
            (FetchedAnswer::Fresh(object), _) => self.kept(object, forwarded(Some(304), true), None, log),
            (FetchedAnswer::Stale, Some((object, _))) => {
                self.kept(object, forwarded(None, false), Some(StaleUse::IfError), log)
            }
            (FetchedAnswer::Stale, None) => Step::Alone(why, None),
            (FetchedAnswer::Private(answer), _) => {
                let PrivateAnswer { mut head, fields, framing, body, why: not_stored } = answer;
                note(&mut head, why, Some(not_stored.word()));
                say(log, result_of(why), Some(not_stored.word()), false);
                client.writer.add_fields(fields);
                let body = if self.incoming.request.is_head() {
                    // It was fetched by GET.
                    Body::Empty
                } else {
                    Body::Stream(Stream::Cached(Box::new(CachedBody::whole(Origin::Private(body)))))
                };
                let (ended, closes) = (Ended::Complete, false);
                Step::Done(Outcome::Response(Response { head, body, framing, ended, closes }))
            }
            (FetchedAnswer::Refused(refusal, ended), _) => {
                say(log, result_of(why), Some("no-response"), false);
                Step::Done(Outcome::Refused(refusal, ended))
            }
        }
    }

    /// Another request has asked a server already: its answer may be that of this one.
    async fn follow(
        &self,
        mut reader: Reader<Meta>,
        stale: Option<(Arc<Object>, Option<Wall>)>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Step<'x, 'c> {
        let is_open = reader.poll_head(&mut Context::from_waker(Waker::noop())).is_ready();
        let waiting = poll_fn(|cx| reader.poll_head(cx));
        let Ok(joined) = client.writer.unless_gone(waiting).await else {
            return Step::Done(Outcome::gone());
        };
        let why = if stale.is_some() { Forward::Stale } else { Forward::UriMiss };
        let outcome = CacheOutcome::Forwarded { why, status: None, stored: true, collapsed: true };
        match joined {
            Joined::Head(head) if self.selects(&head) && self.is_shared(head.meta(), is_open) => {
                Step::Done(self.shared(&head, reader, outcome, log))
            }
            Joined::Head(head) if self.selects(&head) => Step::Alone(why, Some(NOT_SHARED)),
            Joined::Head(_) | Joined::Again => Step::Again,
            Joined::Object(object) if self.is_shared(object.head().meta(), is_open) => {
                self.kept(object, outcome, None, log)
            }
            Joined::Object(_) => Step::Alone(why, Some(NOT_SHARED)),
            Joined::Alone(alone @ (Alone::Failed | Alone::Unreachable(_))) => match (stale, alone) {
                (Some((object, purged)), _) if self.may_use(&object, purged) => {
                    let outcome =
                        CacheOutcome::Forwarded { why, status: None, stored: false, collapsed: true };
                    self.kept(object, outcome, Some(StaleUse::IfError), log)
                }
                (_, Alone::Unreachable(status)) => Step::Done(unreachable(status, why, log)),
                _ => Step::Alone(why, None),
            },
            Joined::Alone(Alone::Private) => Step::Alone(why, Some(NOT_SHARED)),
        }
    }

    /// True if what another request has fetched answers this one as well: only what would do so if it came out of the cache.
    /// `is_older`: its head was there before this request, which may want something newer.
    fn is_shared(&self, meta: &Meta, is_older: bool) -> bool {
        let asked = if is_older { self.asked.directives } else { RequestDirectives::default() };
        let moment = Moment { now: self.now(), ..Moment::default() };
        let verdict = judge(&meta.stored, &asked, &moment);
        meta.stored.is_for_others() && matches!(verdict, Verdict::Fresh | Verdict::Stale(_))
    }

    /// True if a stale response stands in for the answer that another request did not get.
    fn may_use(&self, object: &Object, purged: Option<Wall>) -> bool {
        let moment = Moment { now: self.now(), purged, origin_down: false };
        let (stored, asked) = (&object.head().meta().stored, &self.asked.directives);
        after_failure(stored, asked, &moment, Failure::Broken) == AfterFailure::UseStale
    }

    /// The request goes to a server by itself.
    async fn alone(
        &self,
        why: Forward,
        detail: Option<&'static str>,
        client: &mut ToClient<'_, 'c>,
        log: &mut RequestLog,
    ) -> Outcome<'x, 'c> {
        say(log, result_of(why), detail, false);
        let sent = self.now();
        let route = (self.rules, self.position);
        let mut outcome = forward_up(route, self.parents(), self.target, self.incoming, client, log).await;
        if let Outcome::Response(response) = &mut outcome {
            if detail == Some(NOT_SHARED) && self.is_storable(&response.head, sent) {
                self.setting.worker.shared.cache.unmark(&self.key);
            }
            note(&mut response.head, why, detail);
        }
        outcome
    }

    /// True if the response might have been kept. Then the one that could not was an exception, as one that begins a session.
    fn is_storable(&self, head: &Head, sent: Wall) -> bool {
        let request = RequestFields(self.incoming.request);
        let (status, answer, received) = (head.status, head, self.now());
        let exchange = Exchange { request: &request, status, answer, sent, received };
        storable(self.rules, &exchange).is_ok_and(|keep| keep.stored.is_for_others())
    }

    fn hit(&self, object: Arc<Object>, stale: Option<StaleUse>, log: &mut RequestLog) -> Step<'x, 'c> {
        self.kept(object, CacheOutcome::Hit, stale, log)
    }

    /// A kept response answers.
    fn kept(
        &self,
        object: Arc<Object>,
        outcome: CacheOutcome,
        stale: Option<StaleUse>,
        log: &mut RequestLog,
    ) -> Step<'x, 'c> {
        // The answer to a HEAD has no body that would be read.
        let is_read = object.is_on_disk() && !self.incoming.request.is_head();
        let response = self.respond(object, outcome, stale, self.now(), log);
        if is_read { Step::OnDisk(response) } else { Step::Done(Outcome::Response(response)) }
    }

    fn respond(
        &self,
        object: Arc<Object>,
        outcome: CacheOutcome,
        stale: Option<StaleUse>,
        now: Wall,
        log: &mut RequestLog,
    ) -> Response<'x, 'c> {
        let detail = stale.map(StaleUse::word);
        let stored = object.head().meta().stored;
        let (result, coalesced) = match (outcome, stale) {
            (_, Some(StaleUse::WhileRevalidate)) => (CacheResult::Updating, false),
            (_, Some(StaleUse::IfError)) => (CacheResult::Stale, false),
            (CacheOutcome::Hit, _) => (CacheResult::Hit, false),
            (CacheOutcome::Forwarded { collapsed, .. }, _) => (CacheResult::Revalidated, collapsed),
        };
        log.cache = Some(Cached { result, reason: detail, coalesced, age_s: stored.age(now) });
        let status = CacheStatus { outcome, ttl: Some(stored.ttl(now)), detail };
        let (length, head) = (Some(object.body_len()), Arc::clone(&object));
        let (worker, request) = (self.setting.worker, self.incoming.request);
        let origin = if object.is_on_disk() {
            Origin::Disk(DiskBody::new(Arc::clone(&worker.shared.cache), object))
        } else {
            Origin::Kept(object)
        };
        Kept { head: head.head(), origin, length, now, status }.respond(worker, request)
    }

    /// The answer is read while it arrives.
    fn shared(
        &self,
        head: &KeptHead,
        reader: Reader<Meta>,
        outcome: CacheOutcome,
        log: &mut RequestLog,
    ) -> Outcome<'x, 'c> {
        let now = self.now();
        if let CacheOutcome::Forwarded { why, collapsed, .. } = outcome {
            say(log, result_of(why), None, collapsed);
        }
        let status = CacheStatus { outcome, ttl: Some(head.meta().stored.ttl(now)), detail: None };
        let length = head.meta().length;
        let kept = Kept { head, origin: Origin::Filling(reader), length, now, status };
        Outcome::Response(kept.respond(self.setting.worker, self.incoming.request))
    }
}
