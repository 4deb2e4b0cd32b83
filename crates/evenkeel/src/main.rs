//! Evenkeel, the traffic tier of a horizontally scaled service.

mod admin;
mod background;
mod cache;
mod cli;
mod confirm;
mod control;
mod control_socket;
mod credentials;
mod discovery;
mod explain;
mod inherit;
mod log;
mod operator;
mod overload;
mod probes;
mod reload;
mod replay;
mod roots;
mod secret;
mod server_files;
mod servers;
mod serving;
mod start_error;
mod systemd;
mod traces;
mod turns;
mod upgrade;
mod watch;
mod wire;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    upgrade::binary::note_own();
    cli::main()
}
