//! Connections to the API: how slow and how old they may be, and how they end.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::connections::{Admission, Connections, Id, Origin};
use crate::context::Context;
use crate::routes;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// For a request's head to arrive, the wait for its first byte included. Operators and scrapers send theirs at once.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// For a connection as a whole, so that a client which reads nothing cannot stay for ever.
const AGE_MAX: Duration = Duration::from_secs(600);
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
}

/// Serves the API until `stop`; the requests then in progress have five seconds to finish.
///
/// # Errors
/// When the socket cannot be handed to the runtime.
pub async fn serve(
    listener: Listener,
    context: impl Into<Arc<Context>>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let socket = Socket::new(listener)?;
    let router = routes::router(context.into());
    let (running, ending) = watch::channel(());
    let connections = Arc::new(Mutex::new(Connections::default()));
    let (mut tasks, mut handles) = (JoinSet::new(), HashMap::new());
    let mut stop = pin!(stop);
    loop {
        let (stream, origin) = tokio::select! {
            () = &mut stop => break,
            Some(_) = tasks.join_next() => continue,
            accepted = socket.accept() => accepted,
        };
        let id = match lock(&connections).open(origin) {
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
            Stream::Tcp(stream) => tasks.spawn(serve_connection(stream, router, open, ending)),
            Stream::Unix(stream) => tasks.spawn(serve_connection(stream, router, open, ending)),
        };
        handles.insert(id, task);
    }
    drop((socket, running));
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// One connection, from its first request to its last.
async fn serve_connection<S>(stream: S, router: Router, open: Open, mut ending: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let router = TowerToHyperService::new(router);
    let answer = |request| {
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
    Unix(UnixListener),
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
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// The next connection, however long the kernel has none to give.
    async fn accept(&self) -> (Stream, Origin) {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                    // Without it, the end of a long answer may wait for an acknowledgement. Nothing is lost if it fails.
                    let _ = stream.set_nodelay(true);
                    (Stream::Tcp(stream), Origin::of(peer.ip()))
                }),
                Self::Unix(listener) => {
                    listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), Origin::Unix))
                }
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}
