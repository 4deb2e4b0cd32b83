//! Drills: faults on purpose in a running system, while clients write, and a check that nothing acknowledged was lost.
//!
//! [`run`] signs users up, has them write and read through Evenkeel at a steady rate ([`load`]), breaks something
//! ([`Drill`]), waits until requests are answered as before, and reads back everything that was acknowledged
//! ([`read_back`]). Each drill is a [`Row`] of a table.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

mod deploy;
mod drill;
mod ledger;
mod load;
mod queue;
mod read_back;
mod scene;
mod session;
mod table;
mod tally;

pub use drill::Drill;
pub use table::{Row, markdown};

use ledger::Ledger;
use load::Load;
use scene::Scene;
use session::Session;
use tally::Tally;

/// How long requests are answered before the fault.
const BEFORE: Duration = Duration::from_secs(3);
/// How long every request must be answered, and soon, until the system counts as normal.
const CALM: Duration = Duration::from_secs(3);
/// How long that may take after everything was mended.
const CALM_BOUND: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How drills are done.
#[derive(Debug, Clone)]
pub struct DrillSettings {
    /// The state directory of a running `minigram up --engines real`.
    pub state: PathBuf,
    /// Actions a second; a write has a read after it.
    pub rate: u32,
    /// Users who write and read, each with a session.
    pub users: usize,
}

/// Does these drills one after the other; `each` sees each row as soon as it is known.
///
/// # Errors
/// The system does not run, or a fault cannot be caused or mended.
pub async fn run(
    settings: &DrillSettings,
    drills: &[Drill],
    mut each: impl FnMut(&Row),
) -> anyhow::Result<Vec<Row>> {
    let scene = Scene::open(&settings.state).await?;
    let users = sign_up(&scene, settings.users).await?;
    let mut rows = Vec::new();
    for drill in drills {
        let row = one(&scene, &users, settings.rate, *drill).await;
        let row = row.with_context(|| format!("the drill `{}`", drill.name()))?;
        each(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// New users; the first one follows all others, so that their photos must come into that feed.
async fn sign_up(scene: &Scene, count: usize) -> anyhow::Result<Vec<Arc<Session>>> {
    let mut users = Vec::new();
    for number in 0..count.max(2) {
        users.push(Arc::new(Session::sign_up(scene.address(), number).await?));
    }
    for followee in &users[1..] {
        users[0].follow(&followee.name).await?;
    }
    Ok(users)
}

async fn one(scene: &Scene, users: &[Arc<Session>], rate: u32, drill: Drill) -> anyhow::Result<Row> {
    for user in users {
        user.refresh().await.context("a session cannot be refreshed before the drill")?;
    }
    let (ledger, tally) = (Arc::new(Ledger::default()), Arc::new(Tally::default()));
    let load = Load::start(users, rate, ledger.clone(), tally.clone()).await?;
    sleep(BEFORE).await;
    if calm(&tally, Instant::now()).await.is_none() {
        load.finish().await;
        bail!("requests fail or are slow before the fault: choose a lower --rate. {:?}", tally.counts());
    }
    // What was slow while connections were opened does not count.
    tally.reset();
    let begun = Instant::now();
    let faulted = drill.cause_and_mend(scene, users, &load).await;
    let normal_after = if faulted.is_ok() { calm(&tally, begun).await } else { None };
    load.finish().await;
    faulted?;
    let checked = read_back::check(scene, users, &ledger).await?;
    Ok(Row { drill, tally: tally.counts(), normal_after, stale: ledger.stale(), checked })
}

/// Waits until no request has failed or been slow for a while; how long after `begun` the last one was.
async fn calm(tally: &Tally, begun: Instant) -> Option<Duration> {
    let end = Instant::now() + CALM_BOUND;
    let mended = Instant::now();
    while Instant::now() < end {
        let last = tally.last_bad().filter(|last| *last >= begun);
        if mended.elapsed() >= CALM && last.is_none_or(|last| last.elapsed() >= CALM) {
            return Some(last.map_or(Duration::ZERO, |last| last - begun));
        }
        sleep(LOOK_EVERY).await;
    }
    None
}
