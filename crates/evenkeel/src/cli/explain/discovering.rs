//! Discovered servers in `evenkeel explain`: the command reads files, and asks name servers only with `--resolve`.

use std::collections::HashMap;
use std::sync::Arc;

use evenkeel_config::Discover;
use evenkeel_types::{PoolName, Time};

use crate::servers::ServerRegistry;

/// What discovery came to, for people, by pool.
pub type Findings = HashMap<PoolName, Finding>;

/// What asking for the servers of one pool came to.
pub struct Finding {
    /// In one line.
    pub text: String,
    /// False if this command did not ask the source, which may have servers.
    pub is_asked: bool,
}

/// Gives the pools the servers that they discover: those of files, and those of names if `resolve` says so.
///
/// # Errors
/// The system gives no runtime for the lookups.
pub fn discover(servers: &mut ServerRegistry, resolve: bool) -> Result<Findings, String> {
    let config = Arc::clone(servers.config());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime to discover servers: {error}"))?;
    let mut findings = Findings::new();
    for pool in &config.pools {
        let Some(source) = &pool.discover else { continue };
        let is_asked = resolve || matches!(source, Discover::File(_));
        let outcome = if is_asked {
            match runtime.block_on(evenkeel_discover::ask_once(source, &config.resolver)) {
                Ok(found) => {
                    let count = found.servers.len();
                    servers.discovered(&pool.name, source, found.servers, Time::ZERO);
                    let fault = found.fault.map(|fault| format!("; {fault}")).unwrap_or_default();
                    format!("{count} server{}{fault}", if count == 1 { "" } else { "s" })
                }
                Err(error) => format!("no servers: {}", error.lines().next().unwrap_or_default()),
            }
        } else {
            "not asked here; --resolve asks".into()
        };
        findings.insert(pool.name.clone(), Finding { text: format!("{source}: {outcome}"), is_asked });
    }
    // A thread that reads a slow file does not hold up the answer.
    runtime.shutdown_background();
    Ok(findings)
}
