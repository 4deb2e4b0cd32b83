//! What commands that change a running process have in common: which process, the reason, and how the outcome is printed.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::ask::{Admin, Unanswered};
use super::find::Running;
use super::output::{fail, print};

/// Which process is changed, and why.
#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    running: Running,
    /// The reason, for the log of the process and its events
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Print the answer of the admin API as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Change {
    /// The process, with the reason for the change.
    pub(super) fn find(&self) -> Result<Admin, Unanswered> {
        Ok(Admin { why: self.why.clone(), ..self.running.find()? })
    }

    /// Sends the request, and prints the answer: as JSON with `--json`, else in words.
    pub(super) fn carry_out(
        &self,
        ask: impl FnOnce(&Admin) -> Result<Value, Unanswered>,
        words: impl FnOnce(&Value) -> String,
    ) -> ExitCode {
        match self.find().and_then(|admin| ask(&admin)) {
            Ok(answer) => self.show(&answer, words),
            Err(why) => fail(&why.to_string()),
        }
    }

    /// Prints an answer.
    pub(super) fn show(&self, answer: &Value, words: impl FnOnce(&Value) -> String) -> ExitCode {
        if self.json { print(&format!("{answer:#}\n")) } else { print(&format!("{}\n", words(answer))) }
    }
}

/// A name as a segment of a path.
pub(super) fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encode).collect()
}

/// The path of a server.
pub(super) fn server_path(pool: &str, server: &str) -> String {
    format!("/pools/{}/servers/{}", segment(pool), segment(server))
}
