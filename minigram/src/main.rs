//! The command `minigram`: starts the application and its parts, and tries them.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("minigram: {error:#}");
            ExitCode::FAILURE
        }
    }
}
