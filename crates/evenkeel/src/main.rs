//! Evenkeel, the traffic tier of a horizontally scaled service.

mod cli;
mod control;
mod credentials;
mod fleet;
mod overload;
mod reload;
mod secret;
mod wire;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
