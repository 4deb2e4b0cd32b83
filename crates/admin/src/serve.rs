//! Connections to the API: how slow and how old they may be, and how they end.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::connections::{Admission, Connections, Id, Origin};
use crate::context::Context;
use crate::peer::Peer;
use crate::routes;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// For a request's head to arrive, the wait for its first byte included. Operators and scrapers send theirs at once.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// For a connection as a whole, so that a client which reads nothing cannot stay for ever.
const AGE_MAX: Duration = Duration::from_secs(600);
/// What the kernel keeps for a client that does not read. By itself it would take megabytes of a stream such as `/live` before that
/// is noticed.
const SEND_BYTES: usize = 128 << 10;
/// For the request in progress when a connection has to end.
const GRACE: Duration = Duration::from_secs(5);
/// Between two attempts to accept when the kernel has no file descriptor or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound, listening socket that no runtime drives yet.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A unix stream socket.
    Unix(std::os::unix::net::UnixListener),
    /// A unix stream socket on which no token is asked for, because only processes of this user, by its id, and of root are served.
    Control(std::os::unix::net::UnixListener, u32),
}

/// Serves the API on these sockets until `stop`; the requests then in progress have five seconds to finish.
///
/// # Errors
/// When a socket cannot be handed to the runtime.
pub async fn serve(
    listeners: Vec<Listener>,
    context: impl Into<Arc<Context>>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let sockets = listeners.into_iter().map(Socket::new).collect::<io::Result<Vec<_>>>()?;
    let retiring = Arc::<Retiring>::default();
    let router = routes::router(context.into()).layer(Extension(Arc::clone(&retiring)));
    let (running, ending) = watch::channel(());
    let connections = Arc::new(Mutex::new(Connections::default()));
    let (mut tasks, mut handles) = (JoinSet::new(), HashMap::new());
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            () = retiring.wished.notified() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = accept(&sockets) => accepted,
        };
        let id = match lock(&connections).open(Origin::of(peer)) {
            Admission::Admitted(id) => id,
            Admission::Replaces(id, replaced) => {
                handles.remove(&replaced).iter().for_each(AbortHandle::abort);
                id
            }
            Admission::Refused => continue,
        };
        handles.retain(|_, handle: &mut AbortHandle| !handle.is_finished());
        let open = Open { connections: Arc::clone(&connections), id };
        let (router, ending) = (router.clone(), ending.clone());
        let task = match stream {
            Stream::Tcp(stream) => tasks.spawn(serve_connection(stream, peer, router, open, ending)),
            Stream::Unix(stream) => tasks.spawn(serve_connection(stream, peer, router, open, ending)),
        };
        handles.insert(id, task);
    }
    drop((sockets, running));
    retiring.done.notify_one();
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Stops accepting connections to the API, because the new process accepts them at the same socket.
#[derive(Debug, Default)]
pub(crate) struct Retiring {
    wished: Notify,
    done: Notify,
}

impl Retiring {
    /// Waits until the API accepts no more. The request that causes it still gets its answer.
    pub(crate) async fn retire(&self) {
        self.wished.notify_one();
        self.done.notified().await;
    }
}

/// One connection, from its first request to its last.
async fn serve_connection<S>(
    stream: S,
    peer: Peer,
    router: Router,
    open: Open,
    mut ending: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let router = TowerToHyperService::new(router);
    let first = Notify::new();
    let answer = |mut request: hyper::Request<hyper::body::Incoming>| {
        first.notify_one();
        request.extensions_mut().insert(peer);
        let (busy, answer) = (open.begin(), router.call(request));
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service_fn(answer))
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        // Only ever an error: nothing is sent, the other end is dropped.
        _ = ending.changed() => {}
        () = sleep(AGE_MAX) => {}
    }
    // A client that has just connected counts on an answer.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = first.notified() => {}
        () = sleep(GRACE) => {}
    }
    connection.as_mut().graceful_shutdown();
    // Whether it finished or not, this is its end.
    let _ = timeout(GRACE, connection).await;
}

/// A connection that is open, for as long as this lives.
struct Open {
    connections: Arc<Mutex<Connections>>,
    id: Id,
}

impl Open {
    /// Notes that a request is being answered.
    fn begin(&self) -> Busy {
        lock(&self.connections).began(self.id);
        Busy { connections: Arc::clone(&self.connections), id: self.id }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.connections).close(self.id);
    }
}

/// A request that is being answered, for as long as this lives.
struct Busy {
    connections: Arc<Mutex<Connections>>,
    id: Id,
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.connections).answered(self.id);
    }
}

/// No holder leaves a change half done, so what a panic left behind is sound.
fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listening socket on the runtime.
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<u32>),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(UnixListener::from_std(listener)?, None))
            }
            Listener::Control(listener, uid) => {
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(UnixListener::from_std(listener)?, Some(uid)))
            }
        }
    }

    /// The next connection, if there is one.
    fn poll_accept(&self, context: &mut task::Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, address)| {
                // Without it, the end of a long answer may wait for an acknowledgement. Nothing is lost if it fails.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BYTES);
                (Stream::Tcp(stream), Peer::Tcp(address))
            }),
            Self::Unix(listener, ours) => listener.poll_accept(context).map(|accepted| {
                let (stream, _) = accepted?;
                let uid = stream.peer_cred().map(|credentials| credentials.uid());
                let peer = match ours {
                    // Without credentials the peer is not known, and the connection is dropped.
                    Some(ours) => Peer::Control { uid: uid?, ours: *ours },
                    None => Peer::Unix(uid.ok()),
                };
                Ok((Stream::Unix(stream), peer))
            }),
        }
    }
}

/// The next connection to any of these sockets, however long the kernel has none to give.
async fn accept(sockets: &[Socket]) -> (Stream, Peer) {
    loop {
        let accepted = poll_fn(|context| {
            let ready = sockets.iter().find_map(|socket| match socket.poll_accept(context) {
                Poll::Ready(accepted) => Some(accepted),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        match accepted.await {
            Ok(accepted) => return accepted,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}
