//! Serving: accepts connections until the server has to leave, and then lets them end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::routes::router;
use super::server::App;
use crate::leave::Leave;

/// How long to wait before another connection is accepted when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `leave` is requested. Then `/readyz` answers 503 for `settings.leaving.not_ready`, while all else is
/// served as before. Then no connection is accepted any more, and open ones have `settings.leaving.drain` to end.
///
/// # Errors
/// The listener fails for good.
pub async fn serve(app: App, listener: TcpListener, mut leave: Leave) -> io::Result<()> {
    let service = TowerToHyperService::new(router(&app));
    let connections = Arc::new(Semaphore::new(app.settings.limits.connections));
    tracing::info!(server = app.settings.name, address = %listener.local_addr()?, "serving");
    let mut left = pin!(async {
        leave.requested().await;
        tracing::info!(server = app.settings.name, "leaving: not ready any more");
        app.leaving.0.request();
        sleep(app.settings.leaving.not_ready).await;
    });
    loop {
        let next = async {
            let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok((accept(&listener).await, permit))
        };
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut left => break,
            next = next => next.map_err(|error: io::Error| error)?,
        };
        tokio::spawn(connection(app.clone(), stream, service.clone(), permit));
    }
    drop(listener);
    app.closing.0.request();
    drain(&app, &connections).await;
    Ok(())
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    app: App,
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    _permit: OwnedSemaphorePermit,
) {
    let _counted = app.metrics.connection();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small packets are delayed on a connection");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.settings.limits.idle)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let (mut connection, mut closing) = (pin!(connection), app.closing.1.clone());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Waits until all connections and WebSockets have ended, or for as long as they have.
async fn drain(app: &App, connections: &Semaphore) {
    let limits = &app.settings.limits;
    let all = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let ended = async {
        // Fails if the semaphore is closed, which nothing does.
        let _ = connections.acquire_many(all(limits.connections)).await;
        let _ = app.sockets.acquire_many(all(limits.sockets)).await;
    };
    if timeout(app.settings.leaving.drain, ended).await.is_err() {
        let open = limits.connections - connections.available_permits();
        let sockets = limits.sockets - app.sockets.available_permits();
        tracing::warn!(server = app.settings.name, open, sockets, "left with open connections");
    } else {
        tracing::info!(server = app.settings.name, "left");
    }
}
