//! Hedging: a request whose server is slow goes to another one as well, and whoever answers first wins.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::choose::{Chosen, Why};
use evenkeel_core::retry::{Final, hedge_after};
use evenkeel_observe::{Ended, HedgeOutcome};
use evenkeel_types::Time;

use crate::forward::converse::{Outgoing, begin, conclude, hear, is_worth_a_fresh_connection, too_late};
use crate::forward::held::{Answered, Held};
use crate::forward::pick;
use crate::forward::relay::{self, Answer};
use crate::forward::seat::Seat;
use crate::forward::upload::Upload;
use crate::forward::{Course, Destination, Ending, Failed, connect};
use crate::request::exchange::{Exchange, Request};
use crate::request::log::Trail;
use crate::server::error::AnswerError;
use crate::server::{InFlight, Link};
use crate::worker::Worker;
use crate::worker::timer::{Limit, Timer};

/// How long the server of this try may be silent before another one is asked as well; `None` if the request is none that
/// may be sent twice, or belongs to a server, or nobody can tell.
pub fn after(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: &Chosen,
    exchange: &Exchange<'_>,
    course: &Course,
) -> Option<Duration> {
    let Exchange { request, body, .. } = exchange;
    let policy = &to.route.1.retry;
    let may = body.is_done()
        && request.upgrade.is_none()
        && matches!(chosen.why, Why::Algorithm(_))
        && policy.repeats(request.method)
        && course.attempts + 1 < policy.attempts;
    let latencies = &to.view.snapshot.pools[to.pool].retries.latencies;
    if may { hedge_after(to.route.1.hedge.as_ref(), latencies, worker.clock.now()) } else { None }
}

/// A server that was asked.
struct Leg<'u, F> {
    chosen: Chosen,
    is_hedge: bool,
    in_flight: Option<InFlight<'u>>,
    seat: Option<Box<Seat>>,
    run: Pin<Box<F>>,
}

/// A server that has begun to answer.
struct Opened {
    link: Link,
    held: relay::Held,
    sent: Time,
    connect: Option<Duration>,
}

/// What happens next in a race.
enum Event {
    /// The leg at this position has an answer, or failed.
    Leg(usize, Box<Result<Opened, Failed>>),
    /// All have been silent for too long.
    Slow,
}

/// A server whose answer is an error that the route retries: it wins only if nobody else has anything better.
struct Spare<'u, F> {
    leg: Leg<'u, F>,
    opened: Opened,
    status: u16,
    /// When it began.
    at: Time,
}

/// Who answered first.
struct Won<'u> {
    chosen: Chosen,
    in_flight: Option<InFlight<'u>>,
    opened: Opened,
}

/// One try at a server, and at others if it is silent for `after`.
///
/// # Errors
/// All of them failed; the trail names the last one, and the course notes the others.
pub async fn race(
    worker: &Worker,
    to: &Destination<'_>,
    start: (Chosen, Duration),
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    course: &mut Course,
) -> Result<Ending, Failed> {
    let Some(won) = first(worker, to, start, exchange, trail, course).await? else {
        return Ok(Ending::ClientGone(Ended::ClientAborted));
    };
    let Won { chosen, in_flight: _in_flight, opened: Opened { link, held, sent, connect } } = won;
    trail.server = Some(chosen.server);
    trail.sends(sent);
    trail.connect = connect.or(trail.connect);
    let Exchange { request, reply, timer, .. } = &mut *exchange;
    if let Some(parked) = course.parked.take() {
        Box::pin(parked.discard(worker, to, request)).await;
    }
    let conversation = {
        let mut answer = Answer::resume(worker, to, chosen, &link, held);
        hear(&mut Upload::done(), &mut answer, request, reply, timer, trail).await
    };
    conclude(worker, to, chosen, link, conversation, exchange, trail).await
}

/// Waits for the first byte of an answer; `None` if the client left meanwhile.
async fn first<'u>(
    worker: &Worker,
    to: &'u Destination<'_>,
    (chosen, after): (Chosen, Duration),
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    course: &mut Course,
) -> Result<Option<Won<'u>>, Failed> {
    let Exchange { request, body, reply, timer } = exchange;
    let outgoing = Outgoing::new(worker, to, request, body);
    let leg = |chosen: Chosen, is_hedge, seat: Option<Box<Seat>>| Leg {
        chosen,
        is_hedge,
        in_flight: seat.is_none().then(|| InFlight::at(to.upstream(chosen.server), worker.clock)),
        seat,
        run: Box::pin(open(&outgoing, chosen)),
    };
    let began = worker.clock.now();
    let mut legs = vec![leg(chosen, false, trail.seat.take())];
    let mut hedges_left = to.route.1.hedge.as_ref().map_or(0, |hedge| hedge.max);
    let mut due = Some(began + after);
    let mut spare: Option<Spare<'u, _>> = None;
    let (winner, opened) = loop {
        let Ok(event) = reply.unless_gone(next(&mut legs, timer, due)).await else {
            beaten(worker, to, legs, spare, trail, course);
            return Ok(None);
        };
        match event {
            Event::Slow => {
                let now = worker.clock.now();
                let running = legs.len() + usize::from(spare.is_some());
                let asked = ask(to, request, trail, course, running, (began, now));
                hedges_left -= 1;
                due = (hedges_left > 0 && asked.is_some()).then(|| now + after);
                legs.extend(asked.map(|(chosen, seat)| leg(chosen, true, seat)));
            }
            Event::Leg(at, result) => {
                let leg = legs.swap_remove(at);
                let failed = match *result {
                    Ok(opened) => match opened.held.status() {
                        Some(status) if !legs.is_empty() && is_retried(to, status) => {
                            let kept = Spare { leg, opened, status, at: worker.clock.now() };
                            dismiss(worker, to, spare.replace(kept), course, trail.held.as_deref());
                            continue;
                        }
                        _ => break (leg, opened),
                    },
                    Err(failed) => failed,
                };
                lose(to, [&leg]);
                (trail.server, trail.seat) = (Some(leg.chosen.server), leg.seat);
                if legs.is_empty() && spare.is_none() {
                    return Err(failed);
                }
                let rest = legs.iter_mut().chain(spare.iter_mut().map(|spare| &mut spare.leg));
                leave(worker, to, &failed, rest.filter_map(|leg| leg.seat.as_deref_mut()), trail, course);
                if let Some(spare) = spare.take_if(|_| legs.is_empty()) {
                    break (spare.leg, spare.opened);
                }
            }
        }
    };
    beaten(worker, to, legs, spare, trail, course);
    if reply.attempts > 0 {
        reply.attempts = course.attempts + 1;
    }
    Ok(Some(won(worker, to, (winner, opened), began, trail)))
}

/// The only try from now on, of a race that began at this time.
fn won<'u, F>(
    worker: &Worker,
    to: &Destination<'_>,
    (winner, opened): (Leg<'u, F>, Opened),
    began: Time,
    trail: &mut Trail,
) -> Won<'u> {
    let Leg { chosen, is_hedge, in_flight, seat, .. } = winner;
    if is_hedge {
        trail.hedged = Some(began);
        trail.note("the hedge won".into());
        to.view.pools[to.pool].figures.retries.hedged(HedgeOutcome::Won);
    }
    trail.seat = seat;
    if let Some(seat) = &mut trail.seat {
        seat.give_place_back(worker.clock.now());
    }
    Won { chosen, in_flight, opened }
}

/// Those who did not win are told to stop: a connection of HTTP/1.1 is closed, a stream of HTTP/2 reset.
fn beaten<F>(
    worker: &Worker,
    to: &Destination<'_>,
    legs: Vec<Leg<'_, F>>,
    spare: Option<Spare<'_, F>>,
    trail: &Trail,
    course: &mut Course,
) {
    lose(to, &legs);
    course.attempts += legs.len() as u32;
    dismiss(worker, to, spare, course, trail.held.as_deref());
}

/// Takes the server that the trail names out of the race, for it has failed; the `rest` goes on. If it had the request's own
/// place in the pool, one of the others takes that over.
fn leave<'s>(
    worker: &Worker,
    to: &Destination<'_>,
    failed: &Failed,
    mut rest: impl Iterator<Item = &'s mut Seat>,
    trail: &mut Trail,
    course: &mut Course,
) {
    if trail.seat.as_ref().is_some_and(|seat| !seat.has_place())
        && let Some(other) = rest.find(|seat| seat.has_place())
    {
        other.give_place_back(worker.clock.now());
    }
    pick::give_back(trail, Some(&failed.error));
    if let Some(server) = trail.server {
        worker.report(to, server, &failed.error);
    }
    course.failed(failed);
}

/// Waits for whichever leg is done first, or until they are slow.
async fn next<F: Future<Output = Result<Opened, Failed>>>(
    legs: &mut [Leg<'_, F>],
    timer: &mut Timer,
    due: Option<Time>,
) -> Event {
    poll_fn(|cx| {
        for (at, leg) in legs.iter_mut().enumerate() {
            if let Poll::Ready(result) = leg.run.as_mut().poll(cx) {
                return Poll::Ready(Event::Leg(at, Box::new(result)));
            }
        }
        match due {
            Some(due) => timer.poll_until(cx, due).map(|()| Event::Slow),
            None => Poll::Pending,
        }
    })
    .await
}

/// Another server that is asked from `now` on, in a race that `began` before; `None` if nothing allows that.
fn ask(
    to: &Destination<'_>,
    request: &Request<'_>,
    trail: &mut Trail,
    course: &mut Course,
    running: usize,
    (began, now): (Time, Time),
) -> Option<(Chosen, Option<Box<Seat>>)> {
    let asked = another(to, request, course, running, &mut trail.held, now);
    trail.tries += u32::from(asked.is_ok());
    trail.note(match &asked {
        Ok(_) => format!("hedged after {:.1} ms", (now - began).as_secs_f64() * 1e3),
        Err(why) => format!("not hedged: {why}"),
    });
    asked.ok()
}

/// Another server to ask; `running` are asked at this moment.
///
/// # Errors
/// There is none, or the pool cannot bear it.
fn another(
    to: &Destination<'_>,
    request: &Request<'_>,
    course: &mut Course,
    running: usize,
    held: &mut Option<Box<Held>>,
    now: Time,
) -> Result<(Chosen, Option<Box<Seat>>), Final> {
    let pool = &to.view.snapshot.pools[to.pool];
    if course.attempts as usize + running >= to.route.1.retry.attempts as usize {
        return Err(Final::Attempts);
    }
    if to.deadline.is_some_and(|deadline| now >= deadline) {
        return Err(Final::Deadline);
    }
    if let Some(why) = course.no_server(&pool.members) {
        return Err(why);
    }
    let mut held = held.as_deref_mut();
    let tried = course.tried();
    let (chosen, mut seat) = pick::pick_at_once(to.view, to.pool, request, held.as_deref_mut(), tried, now)
        .ok_or(Final::Servers)?;
    if seat.as_mut().is_some_and(|seat| !seat.take_place()) {
        return Err(Final::Servers);
    }
    to.withdraw(held, now).inspect_err(|why| {
        if *why == Final::Budget {
            to.view.pools[to.pool].figures.retries.budget_exhausted.increment();
        }
    })?;
    if course.try_now(chosen.server) { Ok((chosen, seat)) } else { Err(Final::Unreachable) }
}

fn is_retried(to: &Destination<'_>, status: u16) -> bool {
    to.route.1.retry.on.statuses.binary_search(&status).is_ok()
}

/// Throws away an answer that is not needed. Its server is judged by it all the same.
fn dismiss<F>(
    worker: &Worker,
    to: &Destination<'_>,
    spare: Option<Spare<'_, F>>,
    course: &mut Course,
    held: Option<&Held>,
) {
    let Some(Spare { mut leg, opened, status, at }) = spare else { return };
    lose(to, [&leg]);
    course.attempts += 1;
    let took = Some(at - opened.sent);
    worker.report_answer(to, leg.chosen.server, status, took);
    if let Some(held) = held {
        held.judge(leg.seat.as_deref_mut(), &Answered { status, at, took, uploading: Duration::ZERO });
    }
    if matches!(status, 502..=504) {
        worker.report_status(to, leg.chosen.server, status);
    }
}

/// Counts the hedges among those that did not win.
fn lose<'l, 'u: 'l, F: 'l>(to: &Destination<'_>, legs: impl IntoIterator<Item = &'l Leg<'u, F>>) {
    let hedges = legs.into_iter().filter(|leg| leg.is_hedge);
    hedges.for_each(|_| to.view.pools[to.pool].figures.retries.hedged(HedgeOutcome::Lost));
}

/// Sends the request to a server, and waits for the first byte of its answer. Two connections at most, the second in place
/// of one that the server was closing.
async fn open(outgoing: &Outgoing<'_>, chosen: Chosen) -> Result<Opened, Failed> {
    let Outgoing { worker, to, request, .. } = *outgoing;
    let upstream = to.upstream(chosen.server);
    let mut timer = Timer::new(worker.clock);
    let mut kept = upstream.kept(worker.clock.now());
    loop {
        let (link, connect) = match kept.take() {
            Some(link) => (link, None),
            None => {
                let (link, took) = connect(worker, to, upstream, &mut timer).await;
                (link?, Some(took))
            }
        };
        match first_byte(outgoing, chosen, &link, &mut timer).await {
            Ok((held, sent)) => return Ok(Opened { link, held, sent, connect }),
            Err(error) if link.reused() && is_worth_a_fresh_connection(&error, true, to, request) => {}
            Err(error) => {
                if let (AnswerError::Timeout, Link::Http2(place)) = (&error, &link) {
                    place.give_up();
                }
                return Err(Failed::new(error));
            }
        }
    }
}

async fn first_byte(
    outgoing: &Outgoing<'_>,
    chosen: Chosen,
    link: &Link,
    timer: &mut Timer,
) -> Result<(relay::Held, Time), AnswerError> {
    let Outgoing { worker, to, .. } = *outgoing;
    let begun = begin(outgoing, chosen.server, link, timer).await?;
    let mut answer = Answer::new(worker, to, begun.source, chosen);
    let limit = Limit { since: Some(begun.at), after: to.head_within(), at_most: to.deadline };
    match timer.within(limit, answer.begun()).await {
        Ok(begins) => begins?,
        Err(_) => return Err(too_late(worker, to.deadline)),
    }
    Ok((answer.hold(), begun.at))
}
