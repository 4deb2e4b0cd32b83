//! The demo: sample servers, a balancer and live traffic in one process, so that a first look needs nothing else.

mod balancer;
mod draw;
mod figures;
mod kind;
mod messages;
mod plain;
mod screen;
mod servers;
mod stage;
mod svg;
#[cfg(test)]
mod tests;
mod traffic;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use evenkeel_config::Config;
use evenkeel_terminal::Signals;
use evenkeel_types::Address;

pub use balancer::Balancer;
use kind::Kind;
use stage::Stage;

/// Three sample servers, the balancer, live traffic and a screen that shows it all.
#[derive(Debug, Args)]
pub struct Options {
    /// Stop after N seconds [default: when you quit; 10 without a terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Where the balancer listens [default: 127.0.0.1:8080, or a free port when that is taken]
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// Balance TCP instead of HTTP: clients keep connections and exchange messages
    #[arg(long)]
    tcp: bool,
    /// No screen: lines, and a summary at the end
    #[arg(long)]
    plain: bool,
    /// Write a picture of the screen; implies --plain
    #[arg(long, value_name = "FILE", hide = true)]
    svg: Option<PathBuf>,
}

/// Runs the demo until its time is over, a key or a signal ends it; `start` starts a balancer with a configuration.
///
/// Without a screen the exit code is 1 when a request or a message failed, so that scripts can rely on it. With one, a person may have
/// stopped all servers, and what fails then is no failure of the program.
///
/// # Errors
/// A part does not start, or the output cannot be written; why, in words.
pub fn run(
    options: &Options,
    start: impl FnOnce(Config) -> Result<Balancer, String>,
) -> Result<ExitCode, String> {
    let plain = options.plain || options.svg.is_some() || !io::stdout().is_terminal();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    // Before anything runs, so that a signal that comes early ends the demo in order.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(|e| e.to_string())?;
    let mut stage = Stage::set(if options.tcp { Kind::Tcp } else { Kind::Http }, options.listen, start)?;
    let seconds = options.seconds.map(Duration::from_secs);
    let result = if plain {
        let length = seconds.unwrap_or(Duration::from_secs(10));
        runtime.block_on(plain::play(&mut stage, length, &mut signals, options.svg.as_deref()))
    } else {
        runtime.block_on(screen::play(&mut stage, seconds, &mut signals))
    };
    let figures = stage.clear();
    result.map_err(|fault| fault.to_string())?;
    plain::summarize(&figures).map_err(|fault| fault.to_string())?;
    Ok(if plain && figures.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    match Address::listener(text) {
        Ok(Address::Ip(address)) => Ok(address),
        Ok(_) => Err("the demo listens on an IP address and a port".into()),
        Err(fault) => Err(fault.to_string()),
    }
}
