//! The command line: one file a command. Data goes to stdout, messages to stderr.

mod ask;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod find;
mod output;
mod purge;
mod run;
mod schema;
mod show;
mod source;
mod status;
mod table;
#[cfg(feature = "top")]
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Evenkeel: takes every connection, picks a healthy server, and keeps the service up.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance: with a configuration file, or with --listen and --backend or --files and no file at all
    Run(run::Run),
    /// Say what is wrong with a configuration file
    Check(check::Check),
    /// Print the effective configuration, defaults filled in
    Show(show::Show),
    /// Say where a request would go, and why
    Explain(explain::Explain),
    /// Show what a running process does: problems, listeners, pools and servers
    Status(status::Status),
    /// Watch what a running process does, in the terminal: problems, pools, servers and events
    #[cfg(feature = "top")]
    Top(top::Top),
    /// Have a running process forget what it has cached
    Purge(purge::Purge),
    /// Print the JSON Schema of the configuration file
    Schema(schema::Schema),
    /// See it work: three sample servers, the balancer, live traffic and a table of what happens; --tcp for connections
    #[cfg(feature = "demo")]
    Demo(evenkeel_demo::Options),
}

/// Runs the command that the command line asks for. A wrong command line ends with exit code 2.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Status(args) => status::run(&args),
        #[cfg(feature = "top")]
        Command::Top(args) => top::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Schema(args) => schema::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&options),
    }
}
