//! Hedging: a request whose server is slow goes to another one as well, and whoever answers first wins.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::choose::{Chosen, Why};
use evenkeel_core::retry::{Final, hedge_after};
use evenkeel_observe::HedgeOutcome;
use evenkeel_types::Time;

use super::attempt::{await_answer, connect, start, too_late};
use super::held::{Answered, Held};
use super::outcome::{Asked, Outcome};
use super::pick::pick_at_once;
use super::seat::Seat;
use super::target::Target;
use super::tries::{Failed, Tries};
use crate::client::writer::ToClient;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::server::InFlight;
use crate::server::error::ServerError;
use crate::server::exchange::RoundTrip;
use crate::server::upload::Sending;
use crate::worker::timer::{Limit, Timer};

/// How long the server of this try may be silent before another one is asked as well; `None` if the request is none that
/// may be sent twice, or belongs to a server, or the usual time is not known.
pub fn after(
    target: Target<'_>,
    chosen: &Chosen,
    incoming: Incoming<'_, '_>,
    tries: &Tries<'_>,
) -> Option<Duration> {
    let (request, policy) = (incoming.request, &target.route.retry);
    let may = incoming.body.borrow().is_done()
        && request.upgrade.is_none()
        && matches!(chosen.why, Why::Algorithm(_))
        && policy.repeats(request.method)
        && tries.attempts + 1 < policy.attempts;
    let latencies = &target.state().retries.latencies;
    if may { hedge_after(target.route.hedge.as_ref(), latencies, target.worker.clock.now()) } else { None }
}

/// A server that was asked.
struct Leg<'x, F> {
    chosen: Chosen,
    is_hedge: bool,
    in_flight: Option<InFlight<'x>>,
    seat: Option<Box<Seat>>,
    run: Pin<Box<F>>,
}

/// A server that has begun to answer.
struct Opened<'x> {
    trip: Box<RoundTrip<'x>>,
    connect: Option<Duration>,
}

/// What happens next in a race.
enum Event<'x> {
    /// The leg at this position has an answer, or failed.
    Leg(usize, Box<Result<Opened<'x>, Failed<'x>>>),
    /// All have been silent for too long.
    Slow,
}

/// A server whose answer is an error that the route retries: it wins only if no other has anything better.
struct Spare<'x, F> {
    leg: Leg<'x, F>,
    opened: Opened<'x>,
    status: u16,
    /// When it began.
    at: Time,
}

/// Who answered first.
struct Won<'x> {
    chosen: Chosen,
    opened: Opened<'x>,
}

/// One try at a server, and at others if it is silent for `after`.
///
/// # Errors
/// All of them failed; the log names the last one, and `tries` has the others.
pub async fn race<'x, 'c>(
    target: Target<'x>,
    begin: (Chosen, Duration),
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Result<Outcome<'x, 'c>, Failed<'x>> {
    let Some(won) = first(target, begin, incoming, client, log, tries).await? else {
        return Ok(Outcome::gone());
    };
    let Won { chosen, opened: Opened { trip, connect } } = won;
    log.server = Some(chosen.server);
    log.connect = connect.or(log.connect);
    if let Some(deferred) = tries.deferred.take() {
        Box::pin(deferred.discard(target, incoming.request)).await;
    }
    let asked = Asked { chosen, trip, sending: Sending::Done(Ok(())) };
    await_answer(target, asked, incoming, client, log, tries).await
}

/// Waits for the first byte of an answer; `None` if the client left meanwhile.
async fn first<'x, 'c>(
    target: Target<'x>,
    (chosen, after): (Chosen, Duration),
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Result<Option<Won<'x>>, Failed<'x>> {
    let ToClient { writer, timer } = client;
    let clock = target.worker.clock;
    let leg = |chosen: Chosen, is_hedge, seat: Option<Box<Seat>>| Leg {
        chosen,
        is_hedge,
        in_flight: seat.is_none().then(|| InFlight::at(target.upstream(chosen.server), clock)),
        seat,
        run: Box::pin(open(target, chosen, incoming)),
    };
    let began = clock.now();
    let mut legs = vec![leg(chosen, false, tries.holds.seat.take())];
    let mut hedges_left = target.route.hedge.as_ref().map_or(0, |hedge| hedge.max);
    let mut due = Some(began + after);
    let mut spare: Option<Spare<'x, _>> = None;
    let (winner, opened) = loop {
        let Ok(event) = writer.unless_gone(next(&mut legs, timer, due)).await else {
            beaten(target, legs, spare, tries);
            return Ok(None);
        };
        match event {
            Event::Slow => {
                let now = clock.now();
                let running = legs.len() + usize::from(spare.is_some());
                let asked = ask(target, incoming.request, log, tries, running, (began, now));
                hedges_left -= 1;
                due = (hedges_left > 0 && asked.is_some()).then(|| now + after);
                legs.extend(asked.map(|(chosen, seat)| leg(chosen, true, seat)));
            }
            Event::Leg(at, result) => {
                let leg = legs.swap_remove(at);
                let failed = match *result {
                    Ok(opened) => match opened.trip.status_begun() {
                        Some(status) if !legs.is_empty() && is_retried(target, status) => {
                            let kept = Spare { leg, opened, status, at: clock.now() };
                            dismiss(target, spare.replace(kept), tries);
                            continue;
                        }
                        _ => break (leg, opened),
                    },
                    Err(failed) => failed,
                };
                lose(target, [&leg]);
                (log.server, tries.holds.seat) = (Some(leg.chosen.server), leg.seat);
                if legs.is_empty() && spare.is_none() {
                    return Err(failed);
                }
                let rest = legs.iter_mut().chain(spare.iter_mut().map(|spare| &mut spare.leg));
                leave(target, &failed, rest.filter_map(|leg| leg.seat.as_deref_mut()), log, tries);
                if let Some(spare) = spare.take_if(|_| legs.is_empty()) {
                    break (spare.leg, spare.opened);
                }
            }
        }
    };
    beaten(target, legs, spare, tries);
    if writer.attempts > 0 {
        writer.attempts = tries.attempts + 1;
    }
    Ok(Some(won(target, (winner, opened), began, log, tries)))
}

/// The only try from now on, of a race that began at this time.
fn won<'x, F>(
    target: Target<'x>,
    (winner, opened): (Leg<'x, F>, Opened<'x>),
    began: Time,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Won<'x> {
    let Leg { chosen, is_hedge, in_flight, seat, .. } = winner;
    if is_hedge {
        log.hedged = Some(began);
        log.note("the hedge won".into());
        target.figures().retries.hedged(HedgeOutcome::Won);
    }
    (tries.holds.in_flight, tries.holds.seat) = (in_flight, seat);
    if let Some(seat) = &mut tries.holds.seat {
        seat.give_place_back(target.worker.clock.now());
    }
    Won { chosen, opened }
}

/// The servers that did not win are not waited for: a connection of HTTP/1.1 is closed, a stream of HTTP/2 reset.
fn beaten<F>(target: Target<'_>, legs: Vec<Leg<'_, F>>, spare: Option<Spare<'_, F>>, tries: &mut Tries<'_>) {
    lose(target, &legs);
    tries.attempts += legs.len() as u32;
    dismiss(target, spare, tries);
}

/// Takes the server that the log names out of the race, because it has failed; the `rest` goes on. If it had the request's
/// own place in the pool, one of the others takes that over.
fn leave<'s>(
    target: Target<'_>,
    failed: &Failed<'_>,
    mut rest: impl Iterator<Item = &'s mut Seat>,
    log: &RequestLog,
    tries: &mut Tries<'_>,
) {
    if tries.holds.seat.as_ref().is_some_and(|seat| !seat.has_place())
        && let Some(other) = rest.find(|seat| seat.has_place())
    {
        other.give_place_back(target.worker.clock.now());
    }
    tries.give_back(Some(&failed.error));
    if let Some(server) = log.server {
        target.report_failure(server, &failed.error);
    }
    tries.failed(failed);
}

/// Waits for whichever leg is done first, or until they are slow.
async fn next<'x, F: Future<Output = Result<Opened<'x>, Failed<'x>>>>(
    legs: &mut [Leg<'x, F>],
    timer: &mut Timer,
    due: Option<Time>,
) -> Event<'x> {
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
    target: Target<'_>,
    request: &Request<'_>,
    log: &mut RequestLog,
    tries: &mut Tries<'_>,
    running: usize,
    (began, now): (Time, Time),
) -> Option<(Chosen, Option<Box<Seat>>)> {
    let asked = another(target, request, tries, running, now);
    log.tries += u32::from(asked.is_ok());
    log.note(match &asked {
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
    target: Target<'_>,
    request: &Request<'_>,
    tries: &mut Tries<'_>,
    running: usize,
    now: Time,
) -> Result<(Chosen, Option<Box<Seat>>), Final> {
    if tries.attempts as usize + running >= target.route.retry.attempts as usize {
        return Err(Final::Attempts);
    }
    if target.deadline.is_some_and(|deadline| now >= deadline) {
        return Err(Final::Deadline);
    }
    if let Some(why) = tries.no_server(&target.state().members) {
        return Err(why);
    }
    let tried = tries.tried().to_vec();
    let mut held = tries.holds.held.as_deref_mut();
    let (chosen, mut seat) =
        pick_at_once(target, request, held.as_deref_mut(), &tried, now).ok_or(Final::Servers)?;
    if seat.as_mut().is_some_and(|seat| !seat.take_place()) {
        return Err(Final::Servers);
    }
    target.withdraw(held, now).inspect_err(|why| {
        if *why == Final::Budget {
            target.figures().retries.budget_exhausted.increment();
        }
    })?;
    if tries.try_now(chosen.server) { Ok((chosen, seat)) } else { Err(Final::Unreachable) }
}

fn is_retried(target: Target<'_>, status: u16) -> bool {
    target.route.retry.on.statuses.binary_search(&status).is_ok()
}

/// Throws away an answer that is not needed. Its server is judged by it all the same.
fn dismiss<F>(target: Target<'_>, spare: Option<Spare<'_, F>>, tries: &mut Tries<'_>) {
    let Some(Spare { mut leg, opened, status, at }) = spare else { return };
    lose(target, [&leg]);
    tries.attempts += 1;
    let took = Some(at - opened.trip.sent);
    target.report_answer(leg.chosen.server, status, took);
    let held: Option<&Held> = tries.holds.held.as_deref();
    if let Some(held) = held {
        held.judge(leg.seat.as_deref_mut(), &Answered { status, at, took, uploading: Duration::ZERO });
    }
    if matches!(status, 502..=504) {
        target.report_status(leg.chosen.server, status);
    }
}

/// Counts the hedges among those that did not win.
fn lose<'l, 'x: 'l, F: 'l>(target: Target<'_>, legs: impl IntoIterator<Item = &'l Leg<'x, F>>) {
    let hedges = legs.into_iter().filter(|leg| leg.is_hedge);
    hedges.for_each(|_| target.figures().retries.hedged(HedgeOutcome::Lost));
}

/// Sends the request to a server, and waits for the first byte of its answer. Two connections at most, the second in place
/// of one that the server was closing.
async fn open<'x>(
    target: Target<'x>,
    chosen: Chosen,
    incoming: Incoming<'x, '_>,
) -> Result<Opened<'x>, Failed<'x>> {
    let upstream = target.upstream(chosen.server);
    let repeats = target.route.retry.repeats_over_a_fresh_connection(incoming.request.method);
    let mut timer = Timer::new(target.worker.clock);
    let mut kept = upstream.kept(target.worker.clock.now());
    loop {
        let (link, connect) = match kept.take() {
            Some(link) => (link, None),
            None => {
                let (link, took) = connect(target, upstream, &mut timer).await;
                (link?, Some(took))
            }
        };
        let reused = link.reused();
        let error = match start(target, chosen, link, incoming, &mut timer).await {
            Err(error) => error,
            Ok(Asked { mut trip, .. }) => match first_byte(target, &mut trip, &mut timer).await {
                Ok(()) => return Ok(Opened { trip, connect }),
                Err(error) => {
                    if matches!(error, ServerError::Timeout) {
                        trip.gave_no_answer();
                    }
                    error
                }
            },
        };
        if !(reused && error.is_worth_a_fresh_connection(true, repeats)) {
            return Err(Failed::new(error));
        }
    }
}

async fn first_byte(
    target: Target<'_>,
    trip: &mut RoundTrip<'_>,
    timer: &mut Timer,
) -> Result<(), ServerError> {
    let limit = Limit { since: Some(trip.sent), after: target.head_within(), at_most: target.deadline };
    match timer.within(limit, trip.begun()).await {
        Ok(begins) => begins,
        Err(_) => Err(too_late(target)),
    }
}
