//! Connections to the API: how many, how slow and how old they may be, and how they end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::{Context, routes};

/// Connections open at once; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// For a request's head to arrive, the wait for its first byte included.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
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
pub async fn serve(listener: Listener, context: Context, stop: impl Future<Output = ()>) -> io::Result<()> {
    let socket = Socket::new(listener)?;
    let router = routes::router(Arc::new(context));
    let (running, ending) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if connections.len() < CONNECTIONS_MAX => {
                let (router, ending) = (router.clone(), ending.clone());
                match accepted {
                    Stream::Tcp(stream) => connections.spawn(converse(stream, router, ending)),
                    Stream::Unix(stream) => connections.spawn(converse(stream, router, ending)),
                };
            }
        }
    }
    drop((socket, running));
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// One connection, from its first request to its last.
async fn converse<S>(stream: S, router: Router, mut ending: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
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
    async fn accept(&self) -> Stream {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    // Without it, the end of a long answer may wait for an acknowledgement. Nothing is lost if it fails.
                    let _ = stream.set_nodelay(true);
                    Stream::Tcp(stream)
                }),
                Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}
