//! One failover, as two clients see it that write through two proxies.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::engines::{Node, Outcome, Session, Try, Writer};

/// How long a client may need until it has written through a proxy.
const PATIENCE: Duration = Duration::from_secs(20);
/// Rows that a client writes before something happens.
const ROWS: usize = 50;

/// What happens to the primary, before the other server is promoted.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// It is killed.
    Crash,
    /// It is shut down in order.
    ShutDown,
    /// Its processes stop, with their connections open.
    Hang,
}

/// What a client noticed.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// Milliseconds from the last row that the old primary wrote to the first one that the new primary wrote.
    pub whole_ms: f64,
    /// How many of them came after the new primary took writes.
    pub after_ready_ms: f64,
    /// Tries of the client that failed meanwhile.
    pub failed: usize,
}

/// Has something happen to the primary, promotes the other server at once, and waits until all clients write again.
///
/// # Errors
/// A client does not write in time.
pub fn round<const N: usize>(
    event: Event,
    primary: &mut Node,
    standby: &Node,
    writers: &[Writer; N],
) -> anyhow::Result<[Gap; N]> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, standby.port()));
    let open = || Session::open(address).map_err(|fault| anyhow::anyhow!("{fault}"));
    let mut session = open()?;
    for writer in writers {
        wait(writer, primary.port(), ROWS)?;
    }
    match event {
        Event::Crash => primary.kill(),
        Event::ShutDown => primary.shut_down(),
        Event::Hang => primary.freeze(),
    }
    let mut ask = |sql: &str| session.query(sql).map_err(|fault| anyhow::anyhow!("{sql}: {fault}"));
    ask("SELECT pg_promote(false)")?;
    while ask("SELECT pg_is_in_recovery()")? != ["f"] {
        sleep(Duration::from_millis(1));
    }
    let ready = Instant::now();
    for writer in writers {
        wait(writer, standby.port(), 1)?;
    }
    let gap = |writer: &Writer| gap(&writer.tries(), (primary.port(), standby.port()), ready);
    let found: Option<Vec<Gap>> = writers.iter().map(gap).collect();
    found.and_then(|found| found.try_into().ok()).context("a client has written too little")
}

/// Waits until a client has written so many rows on this server.
fn wait(writer: &Writer, port: u16, rows: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while written(&writer.tries(), port).count() < rows {
        ensure!(Instant::now() < deadline, "a client does not write: {:?}", writer.tries().last());
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn written(tries: &[Try], port: u16) -> impl Iterator<Item = &Try> {
    tries.iter().filter(move |it| it.outcome == Outcome::Written(port))
}

fn gap(tries: &[Try], (old, new): (u16, u16), ready: Instant) -> Option<Gap> {
    let (last, first) = (written(tries, old).last()?, written(tries, new).next()?);
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    Some(Gap {
        whole_ms: ms(first.ended - last.ended),
        after_ready_ms: ms(first.ended.saturating_duration_since(ready)),
        failed: tries.iter().filter(|it| (last.number..first.number).contains(&it.number)).count() - 1,
    })
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "is killed",
            Self::ShutDown => "is shut down",
            Self::Hang => "hangs",
        })
    }
}
