//! The command line: one file a command. Data goes to stdout, messages to stderr.

mod ask;
#[cfg(feature = "bench")]
mod bench;
mod change;
mod check;
mod completions;
mod confirm;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod drain;
mod explain;
mod find;
mod output;
mod plan;
mod purge;
mod reload;
mod run;
mod save;
mod schema;
mod server;
mod show;
mod source;
mod status;
mod table;
mod time;
#[cfg(feature = "top")]
mod top;
mod upgrade;
mod why;

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

/// Evenkeel: a load balancer that sends each request to a healthy server, and says why it chose that one.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the balancer: with a configuration file, or with --listen and --backend or --files and no file at all
    Run(run::Run),
    /// Show all faults of a configuration file
    Check(check::Check),
    /// Print the effective configuration, defaults filled in
    Show(show::Show),
    /// Show where a request would go, and why
    Explain(explain::Explain),
    /// Show what a new configuration would change, and where the requests seen now would go
    Plan(plan::Plan),
    /// Compare the configuration that a running process has in force with its file
    Diff(diff::Diff),
    /// Write what commands have changed into the configuration file
    Save(save::Save),
    /// Have a running process read its configuration file again
    Reload(reload::Reload),
    /// Keep a configuration that was reloaded with --confirm, or go back to the previous one
    Confirm(confirm::Confirm),
    /// Show what a running process does: problems, listeners, pools and servers
    Status(status::Status),
    /// List, add and remove the servers of a running process
    #[command(subcommand)]
    Server(server::Command),
    /// Give a server no new requests, and wait until it has finished those that it has
    Drain(drain::Drain),
    /// Take a server out for maintenance: no new requests, no checks; WebSockets and relayed connections end at once
    Disable(server::Disable),
    /// Take a server back that was drained or disabled
    Enable(server::Enable),
    /// Change the weight of a server
    Weight(server::Weight),
    /// Change the weights of a route's split: ROUTE POOL=WEIGHT ...
    Split(server::Split),
    /// Change the level of a running process's log
    LogLevel(server::LogLevel),
    /// Watch what a running process does, in the terminal: problems, pools, servers and events
    #[cfg(feature = "top")]
    Top(top::Top),
    /// Put load on a server, at a rate or over connections, and show latencies and errors
    #[cfg(feature = "bench")]
    Bench(Box<bench::Bench>),
    /// Show what happened to a request, and who was at fault
    Why(why::Why),
    /// Purge cached responses of a running process
    Purge(purge::Purge),
    /// Replace a running process by a new one, of the binary that is now in its place or of another one, without loss
    Upgrade(upgrade::Upgrade),
    /// Print the JSON Schema of the configuration file
    Schema(schema::Schema),
    /// Print a script by which a shell completes the command line
    Completions(completions::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Manual(completions::Manual),
    /// Show the balancer at work: three sample servers, live traffic and a table of what happens; --tcp for connections
    #[cfg(feature = "demo")]
    Demo(evenkeel_demo::Options),
}

/// Runs the command of the command line. A wrong command line ends with exit code 2.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match cli.command {
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
        Command::Server(command) => server::run(&command),
        Command::Drain(args) => drain::run(&args),
        Command::Disable(args) => args.run(),
        Command::Enable(args) => args.run(),
        Command::Weight(args) => args.run(),
        Command::Split(args) => args.run(),
        Command::LogLevel(args) => args.run(),
        #[cfg(feature = "top")]
        Command::Top(args) => top::run(&args),
        #[cfg(feature = "bench")]
        Command::Bench(args) => bench::run(*args),
        Command::Why(args) => why::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::print(&args, Cli::command()),
        Command::Manual(args) => completions::manual(&args, Cli::command()),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&options),
    }
}

/// Says what is wrong with the command line, or prints the help that it asks for.
fn refuse(error: &clap::Error) -> ExitCode {
    let Some(option) = repeated(error) else { error.exit() };
    let what = match option.as_str() {
        "--config <FILE>" => {
            "name one file. Files are not combined: put all into one file, or run the command once for each file"
        }
        _ => "give it once",
    };
    output::fail(&format!("`{option}` is given more than once: {what}"));
    output::COMMAND_LINE_WRONG.into()
}

/// The option that was given more than once, if that is what is wrong: clap says that it conflicts with itself.
fn repeated(error: &clap::Error) -> Option<String> {
    let of = |kind| error.get(kind).map(ToString::to_string);
    let option = of(ContextKind::InvalidArg)?;
    let is_itself = error.kind() == ErrorKind::ArgumentConflict && of(ContextKind::PriorArg)? == option;
    is_itself.then_some(option)
}
