//! A connection from its accept to its close: which protocol it speaks, and who serves it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use evenkeel_net::{Io, Peer};
use evenkeel_types::ListenerName;

use crate::downstream::client::Client;
use crate::downstream::h1;
use crate::worker::Worker;

/// Serves a connection until it closes.
pub async fn serve(worker: Rc<Worker>, listener: ListenerName, io: Io, peer: Peer) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let _open = worker.connection_opened(waker);
    h1::Connection::new(Client::new(Rc::clone(&worker), listener, peer), io).serve().await;
}
