//! The command line: one file a command. Data goes to stdout, messages to stderr.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod run;
mod schema;
mod show;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use evenkeel_config::{Diagnostics, Parsed};

/// Done.
const DONE: u8 = 0;
/// The configuration or the request is wrong.
const WRONG: u8 = 1;

/// Evenkeel: takes every connection, picks a healthy server, and keeps the service up.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance: with a configuration file, or with --listen and --backend and no file at all
    Run(run::Run),
    /// Say what is wrong with a configuration file
    Check(check::Check),
    /// Print the effective configuration, defaults filled in
    Show(show::Show),
    /// Say where a request would go, and why
    Explain(explain::Explain),
    /// Print the JSON Schema of the configuration file
    Schema(schema::Schema),
    /// See it work: three sample servers, the balancer, live traffic and a table of what happens
    #[cfg(feature = "demo")]
    Demo(evenkeel_demo::Options),
}

/// The configuration file that is meant when none is named.
const CONFIG_DEFAULT: &str = "evenkeel.toml";

/// Where the configuration is.
#[derive(Debug, Args)]
struct Source {
    /// The configuration file
    #[arg(short, long = "config", value_name = "FILE", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
}

impl Source {
    /// Reads it; what is wrong with it goes to stderr.
    fn load(&self) -> Result<Parsed, ExitCode> {
        match evenkeel_config::load(&self.config) {
            Ok(parsed) => {
                complain(&parsed.warnings);
                Ok(parsed)
            }
            Err(diagnostics) => {
                complain(&diagnostics);
                Err(WRONG.into())
            }
        }
    }
}

/// Runs the command that the command line asks for. A wrong command line ends with exit code 2.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Schema(args) => schema::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&options),
    }
}

/// Writes diagnostics to stderr, if there are any.
fn complain(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        eprint!("{}", diagnostics.render(io::stderr().is_terminal()));
    }
}

/// Writes data to stdout. A reader that has had enough is no error.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) => DONE.into(),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE.into(),
        Err(error) => fail(&format!("cannot write to stdout: {error}")),
    }
}

/// Says why a command cannot be done, as clap and the diagnostics say it.
fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    WRONG.into()
}
