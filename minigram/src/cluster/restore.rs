//! The nodes of PostgreSQL alone, once, to bring a backup back.

use super::archive::Archive;
use super::layout::Layout;
use super::members::Members;
use super::postgres::{NODES, Recovery};
use super::settings::ClusterSettings;
use super::start::STOP_BOUND;
use super::{etcd, postgres};
use crate::process::{Ports, User};

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
