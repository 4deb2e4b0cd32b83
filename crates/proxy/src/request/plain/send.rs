//! The first step: a request gets its route, its pool and its server, and is written to a kept connection.

use std::rc::Rc;
use std::task::Context;

use evenkeel_core::admission::{Role, Step};
use evenkeel_core::plan::{self, Act, Routed, Taken};
use evenkeel_core::route::rewrite;

use super::{Flight, Start, fit};
use crate::forward::attempt::write_head;
use crate::forward::driver::Admission;
use crate::forward::outcome::{BegunForwarding, BegunTry};
use crate::forward::target::Target;
use crate::http::framing::Framing;
use crate::request::incoming::Request;
use crate::request::limits;
use crate::request::log::RequestLog;
use crate::request::setting::Setting;
use crate::server::upload::UploadError;
use crate::server::{Connection, Link};
use crate::worker::pool_view::PoolView;

/// Sends a request that was admitted, if it is plain. `came` is how its body is framed, and what of that is there.
///
/// # Errors
/// It is not, or not any more: the general path takes it up there.
pub fn send<'x>(
    setting: Setting<'x>,
    request: &Request<'_>,
    came: (Framing, &[u8]),
    log: &mut RequestLog,
    cx: &Context<'_>,
) -> Result<Box<Flight<'x>>, Start<'x>> {
    let Setting { worker, view, .. } = setting;
    let Some(body) = fit::body(request, came) else { return Err(Start::New) };
    let (taken, pool) = destination(setting, request, body)?;
    log.route = Some(taken.position);
    let Some(rated) = limits::rates_at_once(worker, view, taken.position, request, log) else {
        return Err(Start::Routed(Ok(Routed::By(taken))));
    };
    let lines = rated.lines;
    if let Some(refusal) = rated.refusal {
        return Err(Start::begun(taken, lines, Err(refusal)));
    }
    let target = Target::new(worker, view, taken.route, setting.pool.get_or_init(|| pool), request);
    let pool = target.pool;
    let terms = target.terms(request, body.is_empty());
    let mut admission = Admission::new(&pool.gate, &terms, request.started);
    let step = admission.poll(&terms, request.started, cx);
    let goes_on = |admission, step, asked| Ok(BegunForwarding { target, admission, step, asked });
    let Step::Send { leg, chosen, role: Role::Alone } = step else {
        return Err(Start::begun(taken, lines, goes_on(admission, step, None)));
    };
    let Some(connection) = kept(target, chosen.server, request) else {
        return Err(Start::begun(taken, lines, goes_on(admission, step, None)));
    };
    log.tries_at(&chosen);
    target.begin_try(request, chosen.server, false);
    let sent = worker.clock.now();
    let written = write(target, (chosen.server, &connection), request, (came.0, body));
    let uploaded = (!body.is_empty()).then(|| worker.clock.now());
    if let Err(unsent) = written {
        let (answer, uploaded) = ((Vec::new(), None), None);
        let asked = BegunTry { chosen, connection, unsent: Some(unsent), answer, sent, uploaded };
        return Err(Start::begun(taken, lines, goes_on(admission, step, Some(asked))));
    }
    let due = sent + target.head_within();
    let due = target.deadline.map_or(due, |deadline| due.min(deadline));
    let bytes_in = body.len();
    // In a box, because it is large, and goes from hand to hand.
    let waits = false;
    Ok(Box::new(Flight {
        taken,
        target,
        admission,
        leg,
        chosen,
        connection,
        sent,
        uploaded,
        due,
        waits,
        bytes_in,
        lines,
    }))
}

/// The route and the pool of a request, if all that it meets there is plain.
fn destination<'x>(
    setting: Setting<'x>,
    request: &Request<'_>,
    body: &[u8],
) -> Result<(Taken<'x>, Rc<PoolView>), Start<'x>> {
    let Setting { worker, view, listener, .. } = setting;
    if !fit::is_plain_request(view, request) || !fit::is_plain_listener(view.listener(listener)) {
        return Err(Start::New);
    }
    let routed = setting.route(request, Some(body.len() as u64));
    let taken = match routed {
        Ok(Routed::By(taken)) if fit::is_plain_route(taken.route) => taken,
        routed => return Err(Start::Routed(routed)),
    };
    let act = plan::act(&view.snapshot, &taken, request, || worker.random());
    let Ok(Act::Forward(pool)) = act else { return Err(Start::Routed(Ok(Routed::By(taken)))) };
    let pool = view.pool_now(pool);
    if !fit::is_plain_pool(pool.config()) {
        // A split has chosen it: it stays.
        let _ = setting.pool.set(pool);
        return Err(Start::Routed(Ok(Routed::By(taken))));
    }
    Ok((taken, pool))
}

/// A kept connection to a server, for this request.
fn kept(target: Target<'_>, server: usize, request: &Request<'_>) -> Option<Connection> {
    let Request { host, sender, started, .. } = request;
    match target.upstream(server).kept(host, *sender, *started)? {
        Link::Http1(connection) => Some(connection),
        Link::Http2(_) => None,
    }
}

/// Writes the request, whose body is all there.
///
/// # Errors
/// What the kernel has not taken of it at once; or the server is gone.
fn write(
    target: Target<'_>,
    (server, connection): (usize, &Connection),
    request: &Request<'_>,
    (framing, body): (Framing, &[u8]),
) -> Result<(), Result<Vec<u8>, UploadError>> {
    let asked = request.forwarded(target.route);
    let path = rewrite(target.route, &asked);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let mut out = target.worker.buffers.passing();
    write_head(&mut out, &target, server, request, (&asked, [&*path, mark, query]), framing);
    out.extend_from_slice(body);
    let mut left = &out[..];
    match connection.io.write_piece(&mut left) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Ok(left.to_vec())),
        Err(_) => Err(Err(UploadError::Server)),
    }
}
