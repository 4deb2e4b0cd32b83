//! The command line: one file a command. Data goes to stdout, messages to stderr.

mod ask;
mod check;
mod completions;
mod confirm;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod explain;
mod find;
mod output;
mod plan;
mod purge;
mod reload;
mod run;
mod save;
mod schema;
mod show;
mod source;
mod status;
mod table;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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
    /// Say what a new configuration would change, and where the requests seen now would go
    Plan(plan::Plan),
    /// Compare what a running process has with its configuration file
    Diff(diff::Diff),
    /// Write what commands have changed into the configuration file
    Save(save::Save),
    /// Have a running process read its configuration file again
    Reload(reload::Reload),
    /// Keep a configuration that was reloaded with --confirm, or have the one before back
    Confirm(confirm::Confirm),
    /// Show what a running process does: problems, listeners, pools and servers
    Status(status::Status),
    /// Tell what happened to a request, and who was at fault
    Why(why::Why),
    /// Have a running process forget what it has cached
    Purge(purge::Purge),
    /// Print the JSON Schema of the configuration file
    Schema(schema::Schema),
    /// Print what a shell needs to complete the command line
    Completions(completions::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Manual(completions::Manual),
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
        Command::Plan(args) => plan::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Save(args) => save::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Confirm(args) => confirm::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::print(&args, Cli::command()),
        Command::Manual(args) => completions::manual(&args, Cli::command()),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&options),
    }
}
