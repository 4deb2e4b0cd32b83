//! Hedging: a request whose server is slow goes to another one as well, and the first to answer wins.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::admission::{AfterFailure, FirstByte, Leg, Role, Step, Winner};
use evenkeel_core::choose::Chosen;
use evenkeel_observe::flight::StepKind;
use evenkeel_types::Time;

use super::attempt::{await_answer, connect, start, too_late};
use super::forwarding::{Failed, Forwarding};
use super::outcome::{Asked, Outcome};
use super::target::Target;
use crate::client::writer::ToClient;
use crate::request::incoming::Incoming;
use crate::request::log::RequestLog;
use crate::server::error::ServerError;
use crate::server::exchange::RoundTrip;
use crate::server::upload::Sending;
use crate::worker::timer::{Limit, Timer};

/// A server that was asked.
struct Runner<F> {
    leg: Leg,
    chosen: Chosen,
    run: Pin<Box<F>>,
}

/// A server that has begun to answer.
struct Opened<'x> {
    trip: Box<RoundTrip<'x>>,
    connect: Option<Duration>,
}

/// The only server that is left.
struct Won<'x> {
    leg: Leg,
    chosen: Chosen,
    opened: Opened<'x>,
    winner: Winner,
}

/// What happens next in a race.
enum Event<'x> {
    /// The runner at this position has an answer, or failed.
    Runner(usize, Box<Result<Opened<'x>, Failed>>),
    /// A hedge is due.
    Due,
}

/// Asks a server, and others beside it if it is slow. `None` if another server is to be asked after them, or none any more.
pub async fn race<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    first: (Leg, Chosen),
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Option<Outcome<'x, 'c>> {
    let Won { leg, chosen, opened: Opened { trip, connect }, winner } =
        match first_to_answer(of, first, client, log).await {
            Ok(won) => won,
            Err(outcome) => return outcome,
        };
    if winner.is_hedge {
        log.hedged = of.admission.hedged();
        log.why = Some(chosen.why);
        log.note("the hedge won".into());
        let (now, id) = (of.target.worker.clock.now(), &of.target.pool().backends[chosen.server].id);
        log.noted.open().step_of(now, StepKind::Answer, "the hedge answered first", id);
    }
    log.server = Some(chosen.server);
    if let Some(trace) = of.incoming.request.trace.get() {
        trace.won(chosen.server, of.target.worker.clock.now());
    }
    log.connect = connect.or(log.connect);
    of.target.report_dismissed(winner.dismissed);
    of.count_attempts(client);
    if winner.discards_deferred {
        Box::pin(of.discard_deferred()).await;
    }
    let asked = Asked { chosen, trip, sending: Sending::Done(Ok(())) };
    match await_answer(of, leg, asked, client, log).await {
        Ok(outcome) => outcome,
        Err(failed) => {
            of.fail(leg, failed, log);
            None
        }
    }
}

/// Waits for the first byte of an answer. The servers that do not win are not waited for: a connection of HTTP/1.1 is
/// closed, a stream of HTTP/2 reset.
///
/// # Errors
/// The client left meanwhile, or all have failed (`None`).
async fn first_to_answer<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    (leg, chosen): (Leg, Chosen),
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Won<'x>, Option<Outcome<'x, 'c>>> {
    let ToClient { writer, timer } = client;
    let (target, incoming, clock) = (of.target, of.incoming, of.target.worker.clock);
    let first = chosen;
    let runner = |leg, chosen| Runner { leg, chosen, run: Box::pin(open(target, chosen, incoming)) };
    let mut runners = vec![runner(leg, chosen)];
    let mut kept: Option<(Runner<_>, Opened<'x>)> = None;
    loop {
        let until = loop {
            match poll_fn(|cx| Poll::Ready(of.admission.poll(&of.terms, clock.now(), cx))).await {
                Step::Send { leg, chosen, role } => {
                    log.tries += 1;
                    of.target.begin_try(
                        of.incoming.request,
                        chosen.server,
                        matches!(role, Role::Hedge { .. }),
                    );
                    if let Role::Hedge { after } = role {
                        log.note(format!("hedged after {:.1} ms", after.as_secs_f64() * 1e3));
                        of.note_hedge(&first, &chosen, after, log);
                    }
                    runners.push(runner(leg, chosen));
                }
                Step::NotHedged(why) => log.note(format!("not hedged: {why}")),
                Step::Asking { until } => break until,
                _ => break None,
            }
        };
        let next = poll_fn(|cx| next(&mut runners, timer, until, cx));
        let (at, result) = match writer.unless_gone(next).await {
            Ok(Event::Runner(at, result)) => (at, result),
            Ok(Event::Due) => continue,
            Err(_) => return Err(Some(of.gone())),
        };
        let runner = runners.swap_remove(at);
        let (leg, chosen) = (runner.leg, runner.chosen);
        match *result {
            Ok(opened) => {
                let begun = (opened.trip.status_begun(), opened.trip.sent);
                match of.admission.handle_first_byte(leg, begun, &target.route.retry, clock.now()) {
                    FirstByte::Won(winner) => return Ok(Won { leg, chosen, opened, winner }),
                    FirstByte::Kept(dismissed) => target.report_dismissed(dismissed),
                }
                kept = Some((runner, opened));
            }
            Err(failed) => {
                log.server = Some(chosen.server);
                match (of.fail(leg, failed, log), kept.take()) {
                    (AfterFailure::Others, before) => kept = before,
                    (AfterFailure::Won(leg, winner), Some((Runner { chosen, .. }, opened))) => {
                        return Ok(Won { leg, chosen, opened, winner });
                    }
                    _ => return Err(None),
                }
            }
        }
    }
}

/// Waits for the first runner that is done, or until a hedge is due.
fn next<'x, F: Future<Output = Result<Opened<'x>, Failed>>>(
    runners: &mut [Runner<F>],
    timer: &mut Timer,
    until: Option<Time>,
    cx: &mut Context<'_>,
) -> Poll<Event<'x>> {
    for (at, runner) in runners.iter_mut().enumerate() {
        if let Poll::Ready(result) = runner.run.as_mut().poll(cx) {
            return Poll::Ready(Event::Runner(at, Box::new(result)));
        }
    }
    match until {
        Some(until) => timer.poll_until(cx, until).map(|()| Event::Due),
        None => Poll::Pending,
    }
}

/// Sends the request to a server, and waits for the first byte of its answer. Two connections at most, the second in place
/// of one that the server was closing.
async fn open<'x>(
    target: Target<'x>,
    chosen: Chosen,
    incoming: Incoming<'x, '_>,
) -> Result<Opened<'x>, Failed> {
    let upstream = target.upstream(chosen.server);
    let repeats = target.route.retry.repeats_over_a_fresh_connection(incoming.request.method);
    let mut timer = Timer::new(target.worker.clock);
    let mut kept = upstream.kept(&incoming.request.host, incoming.request.sender, target.worker.clock.now());
    loop {
        let (link, connect) = match kept.take() {
            Some(link) => (link, None),
            None => {
                let (link, took) = connect(&target, upstream, incoming.request.asker(), &mut timer).await;
                (link?, Some(took))
            }
        };
        let reused = link.reused();
        let error = match start(&target, &chosen, link, incoming, &mut timer).await {
            Err(error) => error,
            Ok(Asked { mut trip, .. }) => match first_byte(&target, &mut trip, &mut timer).await {
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
    target: &Target<'_>,
    trip: &mut RoundTrip<'_>,
    timer: &mut Timer,
) -> Result<(), ServerError> {
    let limit = Limit { since: Some(trip.sent), after: target.head_within(), at_most: target.deadline };
    match timer.within(limit, trip.begun()).await {
        Ok(begins) => begins,
        Err(_) => Err(too_late(target)),
    }
}
