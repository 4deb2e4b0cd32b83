//! `minigram doctor`: what is missing for the real engines.

use std::process::ExitCode;

use minigram::cluster::doctor::{Finding, examine_all, remedy};

/// Says which programs the real engines need and lack, and the command that installs them. Exit code 1 if any is missing.
#[derive(Debug, clap::Args)]
pub struct Doctor {}

impl Doctor {
    pub fn run(self) -> ExitCode {
        let findings = examine_all();
        for (requirement, finding) in &findings {
            let [major, minor] = requirement.at_least;
            let text = match finding {
                Finding::Fine(path, version) => format!("ok       {version:<10} {}", path.display()),
                Finding::Old(path, version) => {
                    format!("old      {version:<10} {}, {major}.{minor} or later is needed", path.display())
                }
                Finding::Broken(path) => {
                    format!("broken   {:<10} {}, which does not say its version", "", path.display())
                }
                Finding::Missing => format!("missing  {:<10} {}", "", requirement.purpose),
            };
            println!("{:<24} {text}", requirement.program);
        }
        match remedy(&findings) {
            None => {
                println!("\nNothing is missing: `minigram up --engines real` can start.");
                ExitCode::SUCCESS
            }
            Some(command) => {
                println!("\nThis installs what is missing:\n  {command}");
                println!("None of their own services is needed: MiniGram starts each program itself.");
                ExitCode::FAILURE
            }
        }
    }
}
