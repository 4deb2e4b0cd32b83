//! Replicas that copy the primary after a restore: as long as bytes arrive, however long that takes, but not for ever.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::sleep;

use super::layout::Layout;
use super::patroni::{Nodes, is, leader};
use crate::process::Process;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The most that each node has had. A copy that fails begins anew, which is no progress until it has more than before.
#[derive(Debug, Default)]
struct Progress {
    most: BTreeMap<String, u64>,
    since: Option<Instant>,
}

impl Progress {
    /// Notes what the nodes have; for how long none of them has got more.
    fn note(&mut self, bytes: &[(&str, u64)], now: Instant) -> Duration {
        for (node, bytes) in bytes {
            let most = self.most.entry((*node).to_owned()).or_default();
            if *bytes > *most {
                *most = *bytes;
                self.since = Some(now);
            }
        }
        now.duration_since(*self.since.get_or_insert(now))
    }
}

/// Waits until all nodes follow the primary.
///
/// # Errors
/// Some do not, and none of them has copied anything more for `stalled_max`; the error says which, and what their logs say.
pub async fn wait(
    layout: &Layout,
    client: &reqwest::Client,
    nodes: &Nodes,
    processes: &[Arc<Process>],
    stalled_max: Duration,
) -> anyhow::Result<()> {
    let mut progress = Progress::default();
    loop {
        if leader(client, &nodes.patroni).await.is_some_and(|cluster| cluster.is_complete) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for name in nodes.patroni.keys() {
            // What cannot be read now is read again.
            bytes.push((name.as_str(), bytes_in(&layout.root().join(name).join("data")).unwrap_or(0)));
        }
        let stalled = progress.note(&bytes, Instant::now());
        if stalled >= stalled_max {
            let mut message = format!(
                "the archive was replayed, but not all nodes can copy the primary: none has got any further for {} s",
                stalled.as_secs()
            );
            for process in processes {
                let Some(port) = nodes.patroni.get(process.name()) else { continue };
                if !is(client, *port, "primary").await && !is(client, *port, "replica").await {
                    let has = bytes.iter().find(|(name, _)| *name == process.name()).map_or(0, |it| it.1);
                    message += &format!("\n{} has {has} bytes:\n{}", process.name(), process.log_end());
                }
            }
            bail!(message);
        }
        sleep(PAUSE).await;
    }
}

/// The bytes of all files below a folder, without those that go while they are counted.
pub fn bytes_in(folder: &Path) -> io::Result<u64> {
    let (mut bytes, mut folders) = (0, vec![folder.to_owned()]);
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if is_gone(&error) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_than_ever_before_is_progress() {
        let (mut progress, begun) = (Progress::default(), Instant::now());
        let mut after = |seconds: u64, a: u64, b: u64| {
            let bytes = [("a", a), ("b", b)];
            progress.note(&bytes, begun + Duration::from_secs(seconds)).as_secs()
        };
        assert_eq!(after(0, 0, 0), 0);
        assert_eq!(after(10, 5, 0), 0);
        assert_eq!(after(20, 5, 0), 10);
        assert_eq!(after(30, 0, 3), 0);
        // A copy begins anew, again and again.
        assert_eq!(after(40, 5, 1), 10);
        assert_eq!(after(50, 0, 3), 20);
        assert_eq!(after(60, 6, 0), 0);
    }

    #[test]
    fn the_bytes_of_a_folder_that_is_not_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/one"), "123").unwrap();
        fs::write(folder.path().join("two"), "45").unwrap();
        assert_eq!(bytes_in(folder.path()).unwrap(), 5);
        assert_eq!(bytes_in(&folder.path().join("b")).unwrap(), 0);
    }
}
