//! The nodes of PostgreSQL alone, once, to bring a backup back.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::archive::{Archive, quoted};
use super::layout::Layout;
use super::members::Members;
use super::patroni::NODES;
use super::settings::ClusterSettings;
use super::start::STOP_BOUND;
use super::{etcd, postgres};
use crate::process::{Ports, User};

/// The state of a database to begin with.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The data directory of a base backup.
    pub base: PathBuf,
    /// The time to stop at, as RFC 3339 writes it in UTC; `None` for the end of the archive.
    pub time: Option<String>,
    /// The history that leads there.
    pub timeline: u32,
}

impl Recovery {
    /// Has the node that comes first begin with a base backup and the archive instead of an empty database.
    pub fn begin_with(&self, configuration: &mut Value, archive: &Archive) {
        let data = configuration["postgresql"]["data_dir"].as_str().unwrap_or_default().to_owned();
        let [from, to] = [self.base.as_path(), data.as_ref()].map(quoted);
        let mut target = json!({
            "recovery_target_action": "promote",
            "recovery_target_timeline": self.timeline.to_string(),
            "restore_command": archive.restore_command(),
        });
        if let Some(time) = &self.time {
            // At that point of its start PostgreSQL knows no names of time zones, not even Z.
            target["recovery_target_time"] = json!(time.replace('Z', "+00"));
        }
        configuration["bootstrap"]["method"] = json!("restore");
        configuration["bootstrap"]["restore"] = json!({
            "command": format!("cp --archive --no-target-directory -- {from} {to}"),
            "no_params": true,
            "recovery_conf": target,
        });
    }
}

/// Starts etcd and the nodes, of which the first one recovers and the others copy it. Ends them when all three have the data, in order,
/// so that the next start of the whole goes on with it. The state directory must have no data of them.
pub async fn restore(settings: &ClusterSettings, recovery: &Recovery) -> anyhow::Result<()> {
    super::doctor::demand_all()?;
    let layout = Layout::new(&settings.state, User::for_engines(settings.user.as_deref())?)?;
    layout.check_access()?;
    let archive = Archive::prepare(&layout, settings)?;
    let ports = Ports::open(&layout.root().join("ports"));
    let members = Members::new(layout.root());
    let etcd = etcd::start(&layout, &ports, &members).await?;
    postgres::start(&layout, &ports, &members, settings, etcd, &archive, Some(recovery)).await?;
    members.stop(&NODES.map(str::to_owned), STOP_BOUND).await;
    members.stop(&members.names(), STOP_BOUND).await;
    Ok(())
}
