//! `evenkeel demo`: starts a balancer for the demo, which has a crate of its own.

use std::process::ExitCode;
use std::sync::Arc;

use evenkeel_config::Config;
use evenkeel_demo::{Balancer, Options};

use crate::wire::{Origin, System};

/// Runs the demo.
pub fn run(options: &Options) -> ExitCode {
    evenkeel_demo::run(options, start).unwrap_or_else(|fault| super::output::fail(&fault))
}

fn start(config: Config) -> Result<Balancer, String> {
    let mut system = System::start(config, None, Origin::default()).map_err(|fault| fault.to_string())?;
    system.refuse_upgrades();
    Ok(Balancer {
        listening: system.listening().into_iter().map(|(_, address)| address).collect(),
        admin: system.admin(),
        snapshots: Arc::clone(system.snapshots()),
        registry: Arc::clone(system.registry()),
        leave: Box::new(|grace| system.leave(grace, None)),
    })
}
