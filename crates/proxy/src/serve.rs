//! A connection from its accept to its close: which protocol it speaks, and who serves it.

use std::fmt::Display;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use evenkeel_net::{Io, Peer};
use evenkeel_observe::{ConnectionRefusal, HandshakeResult};
use evenkeel_tls::{ClientIdentity, ServerTls};
use evenkeel_types::ListenerName;

use crate::client::connection::Client;
use crate::client::{h1, h2};
use crate::l4;
use crate::proxied;
use crate::request::admit::Secure;
use crate::worker::Worker;
use crate::worker::timer::Timer;

/// Serves a connection until it closes. What is large or seldom needed lies in a box of its own, so that a connection
/// that waits weighs no more than what it waits with.
pub async fn serve(worker: Rc<Worker>, listener: ListenerName, mut io: Io, peer: Peer) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let _open = worker.connection_opened(waker);
    let mut client = Client::new(worker, listener, peer, io.local_address());
    let Some((view, position)) = client.view() else { return };
    if let Peer::Ip(address) = peer
        && view.listener(position).expects_proxy_header(address.ip())
    {
        let came = Box::pin(proxied::arrive(&client.worker, view.listener(position), &io, peer)).await;
        let Some((peer, destination)) = came else { return };
        client.speaks_for(peer, destination);
    }
    let clients = &client.worker.shared.clients;
    let Ok(_place) = clients.enter(view.listener(position), client.peer()) else {
        return client.worker.metrics.connection_refused(ConnectionRefusal::Client);
    };
    if view.takes_streams[position] {
        match Box::pin(l4::receive(&client.worker, &view, position, client.came_from(), &io)).await {
            l4::Fate::Http => {}
            l4::Fate::Stream(stream) => {
                let worker = Rc::clone(&client.worker);
                drop(client);
                return Box::pin(l4::relay_stream(&worker, stream, view, position, io)).await;
            }
            l4::Fate::Over => return,
        }
    }
    if let Some(tls) = &view.tls[position] {
        match Box::pin(secure(&mut client, &mut io, tls)).await {
            Some(Protocol::Http1) => {}
            Some(Protocol::Http2) => {
                return Box::pin(h2::serve(client, Rc::new(io), Vec::new())).await;
            }
            None => return,
        }
    }
    drop(view);
    if let Some((client, io, early)) = h1::Connection::new(client, Rc::new(io)).serve().await {
        Box::pin(h2::serve(client, io, early)).await;
    }
}

/// What ALPN has come to.
enum Protocol {
    Http1,
    Http2,
}

#[cold]
fn failed<T>(client: &Client, why: &dyn Display) -> Option<T> {
    client.worker.metrics.handshake(HandshakeResult::Failed);
    client.log_failed_handshake(why);
    None
}

/// Shakes hands; `None` if that did not work out.
async fn secure(client: &mut Client, io: &mut Io, tls: &ServerTls) -> Option<Protocol> {
    let (view, position) = client.view()?;
    let limit = view.listener(position).timeout.head;
    drop(view);
    let mut timer = Timer::new(client.worker.clock);
    let shaken = timer.within(limit.into(), io.accept_tls(tls.config())).await;
    let handshake = match shaken {
        Ok(Ok(handshake)) => handshake,
        Ok(Err(error)) => return failed(client, &error),
        Err(_) => return failed(client, &"it took longer than `timeout.head`"),
    };
    let result = if handshake.is_resumed { HandshakeResult::Resumed } else { HandshakeResult::Full };
    client.worker.metrics.handshake(result);
    let identity = ClientIdentity::of(Some(handshake.peer_certificate.as_slice()));
    if client.view().is_some_and(|(view, _)| view.sends_tlvs) {
        client.session = Some(Rc::new(proxied::session(&handshake, identity.as_ref())));
    }
    client.secure = Some(Box::new(Secure {
        coverage: handshake.server_name.as_deref().map(|name| tls.coverage(Some(name))),
        subject: identity.map(|identity| identity.subject),
    }));
    Some(if handshake.alpn.as_deref() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 })
}
