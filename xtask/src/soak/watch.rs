//! What the balancer holds: memory and descriptors by the kernel's account, everything else by its own metrics.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use evenkeel_load::Wire;

/// Memory is sampled so many times, a second apart; the median counts.
const SAMPLES: usize = 5;
/// For one answer of the admin API.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ends of pipes that two workers keep at most, beside those that the process was started with.
const PIPES_MAX: usize = 2 * 2 * 16 + 8;
/// What must be back at zero when there are no requests.
const GAUGES: [&str; 4] =
    ["evenkeel_requests_in_flight", "evenkeel_connections", "evenkeel_backend_in_flight", "evenkeel_tunnels"];

/// A running balancer, as it is watched.
pub struct Watch {
    id: u32,
    admin: SocketAddr,
}

impl Watch {
    /// Watches the process `id`, whose admin API is at `admin`.
    pub fn new(id: u32, admin: SocketAddr) -> Self {
        Self { id, admin }
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// The process does not exist.
    pub async fn resident(&self) -> anyhow::Result<u64> {
        let mut samples = Vec::new();
        for _ in 0..SAMPLES {
            sleep(Duration::from_secs(1)).await;
            let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
            let kib = status.lines().find_map(|line| {
                line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
            });
            samples.push(1024 * kib.context("no VmRSS in /proc/PID/status")?);
        }
        samples.sort_unstable();
        Ok(samples[SAMPLES / 2])
    }

    /// Open descriptors but for idle connections to servers and some pipes, which are kept on purpose.
    ///
    /// # Errors
    /// The process does not exist, or its admin API does not answer.
    pub async fn descriptors(&self) -> anyhow::Result<i64> {
        let idle = sum(&self.metrics().await?, "evenkeel_backend_connections_idle");
        let open = fs::read_dir(format!("/proc/{}/fd", self.id))?.collect::<Result<Vec<_>, _>>()?;
        let is_pipe = |path: PathBuf| path.to_str().is_some_and(|name| name.starts_with("pipe:"));
        let pipes = open.iter().filter(|fd| fs::read_link(fd.path()).is_ok_and(is_pipe)).count();
        Ok(i64::try_from(open.len() - pipes.min(PIPES_MAX))? - idle as i64)
    }

    /// What is left of requests although there are none.
    ///
    /// # Errors
    /// The process does not exist, or its admin API does not answer.
    pub async fn left(&self, descriptors_before: i64) -> anyhow::Result<Vec<String>> {
        let metrics = self.metrics().await?;
        let gauges = GAUGES.iter().map(|gauge| (*gauge, sum(&metrics, gauge)));
        let mut left: Vec<String> = gauges
            .filter(|(_, value)| *value != 0.0)
            .map(|(gauge, value)| format!("{gauge} is {value}"))
            .collect();
        let descriptors = self.descriptors().await?;
        if descriptors > descriptors_before {
            left.push(format!("{descriptors} descriptors, {descriptors_before} before"));
        }
        Ok(left)
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let ask = async {
            let mut wire = Wire::new(TcpStream::connect(self.admin).await?);
            let host = self.admin;
            wire.send(
                format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .await?;
            let head = wire.head().await?.context("no answer")?;
            let mut text = Vec::new();
            wire.body(head.framing, |piece| text.extend_from_slice(piece)).await?;
            anyhow::Ok(String::from_utf8(text)?)
        };
        timeout(PATIENCE, ask).await.context("the admin API is silent")?
    }
}

/// The sum of all samples of a metric.
fn sum(text: &str, name: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().ok())?
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn samples_of_other_metrics_do_not_count() {
        let text = "# HELP a x\na{b=\"c d\"} 2\na{b=\"e\"} 3\na_total 5\n";
        assert_eq!(super::sum(text, "a"), 5.0);
    }
}
