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
use crate::client::count::Place;
use crate::client::{h1, h2};
use crate::l4;
use crate::proxied;
use crate::request::admit::Secure;
use crate::worker::Worker;
use crate::worker::timer::Timer;

/// Serves a connection until it closes. What is large or seldom needed lies in a box of its own, so that a connection
/// that waits weighs no more than what it waits with.
pub async fn serve(worker: Rc<Worker>, listener: ListenerName, io: Io, peer: Peer) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let _open = worker.connection_opened(waker);
    // This box is gone before a request is waited for.
    let Some(Arrived { mut connection, speaks_http2, _place }) =
        Box::pin(arrive(worker, listener, io, peer)).await
    else {
        return;
    };
    if speaks_http2 || connection.serve().await {
        let (client, io, early) = connection.into_parts();
        if let Some(serving) = h2::serve(client, io, early) {
            serving.await;
        }
    }
}

/// A connection over which requests are to come.
struct Arrived {
    /// It speaks HTTP/1.1, unless it turns out otherwise.
    connection: h1::Connection,
    /// The handshake has agreed on HTTP/2.
    speaks_http2: bool,
    /// Its place among the connections of its client.
    _place: Option<Place>,
}

/// What a connection begins with: a PROXY header, and a TLS handshake. `None` if nothing follows these, or a stream below HTTP has.
async fn arrive(worker: Rc<Worker>, listener: ListenerName, mut io: Io, peer: Peer) -> Option<Arrived> {
    let mut client = Client::new(worker, listener, peer, io.local_address());
    let (view, position) = client.view()?;
    if let Peer::Ip(address) = peer
        && view.listener(position).expects_proxy_header(address.ip())
    {
        let came = Box::pin(proxied::arrive(&client.worker, view.listener(position), &io, peer)).await;
        let (peer, destination) = came?;
        client.speaks_for(peer, destination);
    }
    let clients = &client.worker.shared.clients;
    let Ok(place) = clients.enter(view.listener(position), client.peer()) else {
        client.worker.metrics.connection_refused(ConnectionRefusal::Client);
        return None;
    };
    if view.takes_streams[position] {
        match Box::pin(l4::receive(&client.worker, &view, position, client.came_from(), &io)).await {
            l4::Fate::Http => {}
            l4::Fate::Stream(stream) => {
                let worker = Rc::clone(&client.worker);
                drop(client);
                Box::pin(l4::relay_stream(&worker, stream, view, position, io)).await;
                return None;
            }
            l4::Fate::Over => return None,
        }
    }
    let speaks_http2 = match &view.tls[position] {
        Some(tls) => Box::pin(secure(&mut client, &mut io, tls)).await?,
        None => false,
    };
    Some(Arrived { connection: h1::Connection::new(client, Rc::new(io)), speaks_http2, _place: place })
}

#[cold]
fn failed<T>(client: &Client, why: &dyn Display) -> Option<T> {
    client.worker.metrics.handshake(HandshakeResult::Failed);
    client.log_failed_handshake(why);
    None
}

/// Shakes hands; true if HTTP/2 was agreed on (ALPN), `None` if that did not work out.
async fn secure(client: &mut Client, io: &mut Io, tls: &ServerTls) -> Option<bool> {
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
    Some(handshake.alpn.as_deref() == Some(b"h2"))
}
