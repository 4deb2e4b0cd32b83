//! The drills: what each breaks, and how it is mended.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::sleep;

use super::load::Load;
use super::scene::Scene;
use super::session::Session;
use super::{deploy, queue};
use crate::domain::jobs::Thumbnails;
use crate::ports::queue::Depth;
use crate::process::tree::Member;
use crate::process::wait_until;

/// How long something stays frozen, if nothing ends it before.
const FROZEN: Duration = Duration::from_secs(10);
/// How long what was broken may take until it is whole again.
const WHOLE_BOUND: Duration = Duration::from_secs(120);
/// Photos that are posted at once, so that a worker has a job when it is killed.
const PHOTOS: usize = 24;

/// Something to be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "`explanation` says it to users")]
pub enum Drill {
    KillServer,
    StopServer,
    KillPostgres,
    LoseNode,
    SwitchOver,
    StopPrimary,
    KillRedis,
    KillBroker,
    KillWorker,
    FillQueue,
    Deploy,
}

impl Drill {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::KillServer,
        Self::StopServer,
        Self::Deploy,
        Self::KillPostgres,
        Self::SwitchOver,
        Self::LoseNode,
        Self::StopPrimary,
        Self::KillRedis,
        Self::KillBroker,
        Self::KillWorker,
        Self::FillQueue,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KillServer => "kill-server",
            Self::StopServer => "stop-server",
            Self::KillPostgres => "kill-postgres",
            Self::LoseNode => "lose-node",
            Self::SwitchOver => "switch-over",
            Self::StopPrimary => "stop-primary",
            Self::KillRedis => "kill-redis",
            Self::KillBroker => "kill-broker",
            Self::KillWorker => "kill-worker",
            Self::FillQueue => "fill-queue",
            Self::Deploy => "deploy",
        }
    }

    /// What it does.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::KillServer => "one application server is killed",
            Self::StopServer => "one application server hangs for 10 s (SIGSTOP)",
            Self::KillPostgres => "PostgreSQL of the primary is killed",
            Self::LoseNode => "the primary's node is lost: Patroni and PostgreSQL",
            Self::SwitchOver => "another node becomes the primary, in order",
            Self::StopPrimary => "the primary's node hangs (SIGSTOP)",
            Self::KillRedis => "the primary of the Redis pair is killed",
            Self::KillBroker => "the NATS server that leads the queue is killed",
            Self::KillWorker => "a worker is killed in the middle of a job",
            Self::FillQueue => "the queue is full for 10 s",
            Self::Deploy => "servers and workers are replaced one by one",
        }
    }

    /// Whether requests may fail that a server had begun when the fault ended it: Evenkeel sends what has an effect to no second server.
    /// All others are done, or refused by 503 with `Retry-After`.
    pub(super) fn breaks_off(self) -> bool {
        self == Self::KillServer
    }

    /// Whether requests may be refused. Nothing ends in order without something that takes its place.
    pub(super) fn refuses(self) -> bool {
        self != Self::Deploy
    }

    /// Whether all reads must be done, nearly, because only writes need what is broken.
    pub(super) fn is_of_writes(self) -> bool {
        matches!(self, Self::KillPostgres | Self::SwitchOver | Self::LoseNode | Self::StopPrimary)
    }

    /// Breaks it, and mends what does not mend itself. Returns when everything runs again.
    pub(super) async fn cause_and_mend(
        self,
        scene: &Scene,
        users: &[Arc<Session>],
        load: &Load,
    ) -> anyhow::Result<()> {
        match self {
            Self::KillServer => {
                let server = scene.server(0)?;
                scene.faults.kill(server)?;
                scene.wait_ready(server, WHOLE_BOUND).await
            }
            Self::StopServer => {
                let server = scene.server(1)?;
                scene.faults.freeze(server)?;
                sleep(FROZEN).await;
                scene.faults.thaw(server)?;
                scene.wait_ready(server, WHOLE_BOUND).await
            }
            Self::KillPostgres => {
                scene.faults.kill_postgres(&scene.faults.primary().await?.name)?;
                scene.faults.wait_complete().await
            }
            Self::SwitchOver => {
                scene.faults.switch_over().await?;
                scene.faults.wait_complete().await
            }
            Self::LoseNode => {
                let lost = scene.faults.primary().await?.name;
                scene.faults.lose(&lost)?;
                another_primary(scene, &lost).await?;
                scene.faults.recover(&lost).await?;
                scene.faults.wait_complete().await
            }
            Self::StopPrimary => {
                let stopped = scene.faults.primary().await?.name;
                let old = scene.process(&stopped);
                scene.faults.freeze(&stopped)?;
                // Its watchdog ends it. It is started again so soon that it may still have the lock of the primary.
                another_process(scene, &stopped, old).await?;
                scene.faults.wait_complete().await
            }
            Self::KillRedis => kill_redis(scene).await,
            Self::KillBroker => queue::kill_leader(scene, WHOLE_BOUND).await,
            Self::KillWorker => kill_worker(scene, load).await,
            Self::FillQueue => queue::fill(scene, load, users.len()).await,
            Self::Deploy => deploy::roll(scene).await,
        }
    }
}

impl FromStr for Drill {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|drill| drill.name() == name);
        found.with_context(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|drill| drill.name()).collect();
            format!("there is no drill `{name}`; there are {}, and all", names.join(", "))
        })
    }
}

async fn another_primary(scene: &Scene, old: &str) -> anyhow::Result<()> {
    let what = format!("another node than {old} is the primary");
    wait_until(&what, WHOLE_BOUND, || async {
        scene.faults.primary().await.is_ok_and(|primary| primary.name != old)
    })
    .await
}

async fn another_process(scene: &Scene, name: &str, old: Option<Member>) -> anyhow::Result<()> {
    let is_new = || async { scene.process(name).is_some_and(|new| Some(new) != old) };
    wait_until(&format!("{name} is a new process"), WHOLE_BOUND, is_new).await
}

async fn kill_redis(scene: &Scene) -> anyhow::Result<()> {
    let old = scene.faults.redis_primary().await?;
    scene.faults.kill(old)?;
    let is_whole = || async {
        scene.process(old).is_some() && scene.faults.redis_primary().await.is_ok_and(|primary| primary != old)
    };
    wait_until("the other Redis is the primary, and the old one runs", WHOLE_BOUND, is_whole).await
}

/// Leaves one process of workers, and kills it while it has a job.
async fn kill_worker(scene: &Scene, load: &Load) -> anyhow::Result<()> {
    let (other, killed) = ("worker-2", "worker-1");
    scene.faults.lose(other)?;
    let is_at_work = || async {
        let depth = scene.queue.depth(Thumbnails::TOPIC).await;
        depth.is_ok_and(|Depth { taken, .. }| taken > 0)
    };
    let kill = async {
        wait_until("a worker has a job", WHOLE_BOUND, is_at_work).await?;
        scene.faults.kill(killed)
    };
    let ((), at_work) = tokio::join!(load.post(PHOTOS), kill);
    // Also after a failure, or the next drill finds no worker.
    scene.faults.recover(other).await?;
    at_work?;
    let depth = scene.depth().await?;
    ensure!(depth.taken + depth.delayed > 0, "the worker had finished its jobs when it was killed");
    let is_back = || async { scene.process(killed).is_some() };
    wait_until("the worker that was killed runs again", WHOLE_BOUND, is_back).await
}
