//! One check: over the connection that an earlier check has left, or over a new one.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use evenkeel_config::Probe;
use evenkeel_core::health::{Claim, ProbeFailure};

use crate::failure::Failure;
use crate::link::{Link, Server};
use crate::{postgres, redis};

/// How long a connection is kept for further checks, so that a password that is no longer right is noticed some time.
const AGE_MAX: Duration = Duration::from_secs(60);

/// A connection that is signed in, and between two checks.
#[derive(Debug)]
pub struct Session {
    link: Link,
    opened: Instant,
}

/// Checks a server once, over `session` if there is one. What comes back is what the server says of itself, and the connection
/// for the next check. The connection is gone when the check fails.
///
/// # Errors
/// Why the server does not count as healthy.
pub async fn check(
    session: Option<Session>,
    server: Server<'_>,
    probe: &Probe,
    timeout: Duration,
) -> (Result<Claim, ProbeFailure>, Option<Session>) {
    let checked = tokio::time::timeout(timeout, check_any(session, server, probe)).await;
    match checked.unwrap_or(Err(Failure::Refused(ProbeFailure::Timeout))) {
        Ok((claim, session)) => (Ok(claim), session),
        Err(failure) => (Err(failure.into_probe(server.password)), None),
    }
}

async fn check_any(
    session: Option<Session>,
    server: Server<'_>,
    probe: &Probe,
) -> Result<(Claim, Option<Session>), Failure> {
    let kept = session.filter(|session| session.opened.elapsed() < AGE_MAX && session.link.io.is_quiet());
    if let Some(mut session) = kept {
        match ask_kept(&mut session.link, server, probe).await {
            // The server may have closed it for its own reasons.
            Err(Failure::Broken(_)) => {}
            asked => return asked.map(|claim| (claim, Some(session))),
        }
    }
    let mut link = server.connect().await?;
    match probe {
        Probe::Postgres(settings) => postgres::sign_in(&mut link, server, settings).await?,
        Probe::Redis(settings) => redis::sign_in(&mut link, server, settings).await?,
        Probe::Http(_) | Probe::Grpc { .. } | Probe::Tcp => return Err(Failure::malformed()),
    }
    let claim = ask(&mut link, probe).await?;
    Ok((claim, Some(Session { link, opened: Instant::now() })))
}

/// Asks over a connection of an earlier check. Of PostgreSQL, another process serves those that are new: that one must be
/// seen to answer as well.
async fn ask_kept(link: &mut Link, server: Server<'_>, probe: &Probe) -> Result<Claim, Failure> {
    match probe {
        Probe::Postgres(settings) => {
            tokio::try_join!(ask(link, probe), postgres::knock(server, settings)).map(|(claim, ())| claim)
        }
        _ => ask(link, probe).await,
    }
}

async fn ask(link: &mut Link, probe: &Probe) -> Result<Claim, Failure> {
    let claim = match probe {
        Probe::Redis(_) => redis::ask(link).await,
        _ => postgres::ask(link).await,
    };
    // What comes unasked belongs to no answer: the next check begins anew.
    if claim.is_ok() && !link.buf.is_empty() { Err(Failure::malformed()) } else { claim }
}

impl Session {
    /// Ready when the server has closed the connection, or has sent something unasked: the next check need not wait.
    pub async fn stirs(&self) {
        poll_fn(|cx| {
            loop {
                if self.link.io.poll_readable(cx).is_pending() {
                    return Poll::Pending;
                }
                // It may only seem so: asking the kernel makes the next poll wait.
                if !self.link.io.is_quiet() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}
