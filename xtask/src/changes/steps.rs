//! The changes, one after the other.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use evenkeel_load::Wire;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::balancer::Balancer;
use super::traffic::Traffic;

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an added server may take to get its first request.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(10);
/// Between two looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// All that is changed, and the traffic that must not notice.
pub struct Steps {
    /// What is changed.
    pub balancer: Balancer,
    /// Servers that are added, drained and removed.
    pub spare: Vec<SocketAddr>,
    /// The traffic.
    pub traffic: Rc<Traffic>,
}

impl Steps {
    /// Changes the file and reloads it, and checks each time that the change is in force.
    ///
    /// # Errors
    /// A reload fails or changes nothing.
    pub async fn reload(&mut self, times: usize) -> anyhow::Result<()> {
        self.traffic.phase("reloads");
        for round in 1..=times {
            self.balancer.configure(round)?;
            self.balancer.command(&["reload", "--why", "a test"]).await?;
            let status = self.status(&format!("/round/{round}")).await?;
            ensure!(status == 204, "after reload {round}, its route answers {status}");
            self.traffic.changed();
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Adds a server, drains it once it has got a request, and removes it.
    ///
    /// # Errors
    /// A command fails, or an added server gets no request.
    pub async fn servers(&mut self, times: usize) -> anyhow::Result<()> {
        self.traffic.phase("servers");
        let Self { balancer, spare, traffic } = self;
        for address in spare.iter().cycle().take(times).map(ToString::to_string) {
            balancer.command(&["server", "add", "app", &address]).await?;
            gets_requests(balancer, &address).await?;
            balancer.command(&["drain", "app", &address]).await?;
            balancer.command(&["server", "remove", "app", &address]).await?;
            traffic.changed();
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Replaces the process.
    ///
    /// # Errors
    /// An upgrade fails, or the same process answers.
    pub async fn upgrade(&mut self, times: usize) -> anyhow::Result<()> {
        self.traffic.phase("upgrades");
        let mut before = self.balancer.pid().await?;
        for _ in 0..times {
            self.balancer.command(&["upgrade"]).await?;
            let now = self.balancer.pid().await?;
            ensure!(now != before, "after an upgrade, process {now} still answers");
            before = now;
            self.traffic.changed();
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn status(&self, path: &str) -> anyhow::Result<u16> {
        let mut wire = Wire::new(TcpStream::connect(self.balancer.address).await?);
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        Ok(wire.ask(request.as_bytes()).await?.context("no answer")?.status()?)
    }
}

/// Waits until the balancer has sent a request to a server.
async fn gets_requests(balancer: &Balancer, server: &str) -> anyhow::Result<()> {
    // It may have had some when it was in the pool before.
    let before = balancer.requests(server).await?;
    let begun = Instant::now();
    while balancer.requests(server).await? == before {
        let waited = begun.elapsed();
        ensure!(
            waited < FIRST_REQUEST_MAX,
            "server {server} was added and has got no request for {waited:?}"
        );
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
