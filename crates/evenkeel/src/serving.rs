//! The last step of a start: from bound sockets to a process that serves, which may be in the place of another one.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;

use evenkeel_admin::Context;
use evenkeel_config::Transport;
use evenkeel_net::Socket;
use evenkeel_observe::UpgradeResult;
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_proxy::Shared;
use tokio::sync::oneshot;

use crate::admin::Admin;
use crate::control_socket::ControlSocket;
use crate::reload::{Bound, listen_options};
use crate::start_error::StartError;
use crate::upgrade::message::Offer;
use crate::upgrade::successor::Predecessor;

/// What runs beside workers and the control thread.
pub struct Serving {
    /// The admin API ends when this is dropped.
    pub stop_admin: oneshot::Sender<()>,
    /// Its thread.
    pub admin_thread: Option<JoinHandle<()>>,
    /// The file of the control socket goes with this.
    pub control_socket: Option<ControlSocket>,
}

/// Serves clients and operators from now on, in the place of the process before if there is one.
///
/// # Errors
/// That process has given up, or something of the admin API cannot be had.
pub fn serve_all(
    predecessor: Option<Predecessor>,
    (admin, context): (Admin, Context),
    shared: &Arc<Shared>,
    bound: Vec<Bound>,
    sockets: Vec<Vec<Socket>>,
    workers: usize,
) -> Result<Serving, StartError> {
    let counts: Vec<(Bound, usize)> = bound.iter().cloned().zip(sockets.iter().map(Vec::len)).collect();
    // Before the first connection is accepted: a fault later than that would cut those that were.
    let (stop_admin, admin_stopped) = oneshot::channel();
    let admin = admin.prepare(context, admin_stopped)?;
    take_over(predecessor.as_ref(), shared, bound, sockets)?;
    // Only now: by path, the control socket takes the place of that of the process before.
    let (admin_thread, control_socket) = admin.start();
    if let Some(predecessor) = predecessor {
        let Offer { pid, who, why, .. } = &predecessor.offer;
        let what = format!("this process has taken over from process {pid}");
        let event = Event::new(EventKind::Upgrade, Severity::Info, what).by(who.clone(), why.clone());
        shared.registry.events.record(event);
        predecessor.complete(shared);
        add_sockets(shared, &counts, workers);
    }
    Ok(Serving { stop_admin, admin_thread, control_socket })
}

/// Serves all that is listened on from now on, and takes over from the process before, if there is one: first connections, then, when
/// that process takes none any more, datagrams.
fn take_over(
    predecessor: Option<&Predecessor>,
    shared: &Arc<Shared>,
    bound: Vec<Bound>,
    sockets: Vec<Vec<Socket>>,
) -> Result<(), StartError> {
    if let Some(predecessor) = predecessor {
        predecessor.warm_up(shared)?;
        let (succeeded, failed) = predecessor.offer.upgrades;
        shared.registry.upgraded(UpgradeResult::Success, succeeded);
        shared.registry.upgraded(UpgradeResult::Failure, failed);
    }
    // Before connections are accepted, so that the process before does not end this one with them.
    predecessor.map(Predecessor::serving).transpose()?;
    let is_stream = |(bound, _): &(Bound, Vec<Socket>)| bound.transport == Transport::Stream;
    let (streams, mut datagrams): (Vec<_>, Vec<_>) = bound.into_iter().zip(sockets).partition(is_stream);
    for (bound, sockets) in streams {
        tracing::info!(listener = %bound.listener, "listening on {bound}");
        shared.listen(&bound.listener, (bound.transport, &bound.bound), sockets);
    }
    let sessions = match predecessor {
        Some(predecessor) => predecessor.sessions()?,
        None => HashMap::new(),
    };
    for (bound, _) in &datagrams {
        tracing::info!(listener = %bound.listener, "listening on {bound}");
    }
    let listeners = datagrams.iter_mut().map(|(it, sockets)| (&it.listener, &it.bound, mem::take(sockets)));
    shared.listen_datagrams(listeners, sessions);
    Ok(())
}

/// Gives TCP as many sockets as there are workers, where fewer were taken over. Only once the process before leaves: a new socket gets
/// connections at once, and would take them along if this process did not come to serve. Not more sockets of UDP, among which the
/// kernel would deal out clients anew; nor beside those of systemd, which outlive this process.
fn add_sockets(shared: &Shared, counts: &[(Bound, usize)], workers: usize) {
    let config = &shared.snapshot().config;
    for (bound, count) in counts.iter().filter(|(bound, _)| bound.transport == Transport::Stream) {
        let listener = config.listeners.iter().find(|it| it.name == bound.listener);
        let Some(listener) = listener.filter(|_| !bound.activated) else { continue };
        for turn in *count..workers {
            let Some(socket) = evenkeel_net::bind_beside(&bound.bound, &listen_options(listener)) else {
                break;
            };
            shared.listen_at(turn, &bound.listener, (bound.transport, &bound.bound), socket);
        }
    }
}
