//! `evenkeel diff`: the configuration that a running process has in force, compared with what its file says now.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use evenkeel_config::{Difference, difference};
use serde_json::{Value, json};

use super::find::Running;
use super::output::{WRONG, complain, fail, print};
use super::plan::{changes, changes_of, in_force};

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    running: Running,
    /// Exit with code 1 if there is a difference
    #[arg(long)]
    exit_code: bool,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Diff) -> ExitCode {
    let answer = match args.running.find().and_then(|admin| admin.get("/config")) {
        Ok(answer) => answer,
        Err(why) => return fail(&why.to_string()),
    };
    let runtime = changes_of(&answer);
    let file = match of_file(&answer) {
        Ok(difference) => difference,
        Err(code) => return code,
    };
    let differs = !runtime.is_empty() || file.as_ref().is_some_and(|difference| !difference.is_empty());
    let printed = if args.json {
        let (generation, source) = (&answer["generation"], &answer["source"]);
        let file = file.as_ref().map(Difference::to_json);
        let shown = json!({ "generation": generation, "source": source, "runtime": runtime, "file": file });
        print(&format!("{shown:#}\n"))
    } else {
        print(&text(&answer, &runtime, file.as_ref()))
    };
    if args.exit_code && differs { WRONG.into() } else { printed }
}

/// What the file would change if it were loaded now; `None` if there is no file.
fn of_file(answer: &Value) -> Result<Option<Difference>, ExitCode> {
    let Some(source) = answer["source"].as_str() else { return Ok(None) };
    let old = in_force(answer)?;
    match evenkeel_config::load(Path::new(source)) {
        Ok(parsed) => Ok(Some(difference(&old, &parsed.config))),
        Err(diagnostics) => {
            complain(&diagnostics);
            Err(fail(&format!("a reload would fail, because {source} has these faults")))
        }
    }
}

fn text(answer: &Value, runtime: &[String], file: Option<&Difference>) -> String {
    let source = answer["source"].as_str();
    let mut text = match runtime {
        [] => "commands have changed nothing since the file was read\n".into(),
        changes => {
            let lines: Vec<String> = changes.iter().map(|change| format!("  {change}\n")).collect();
            let hint = if source.is_some() {
                "; `evenkeel save` writes those that it can into the file"
            } else {
                ""
            };
            format!("changes that commands have made{hint}:\n{}", lines.concat())
        }
    };
    let generation = &answer["generation"];
    text.push('\n');
    match (file, source) {
        (Some(file), Some(source)) if file.is_empty() => {
            text.push_str(&format!("{source} says what is in force (generation {generation})\n"));
        }
        (Some(file), Some(source)) => {
            text.push_str(&changes(
                file,
                &format!("{source} against what is in force (generation {generation})"),
            ));
        }
        _ => text.push_str("there is no configuration file: the process was started without one\n"),
    }
    text
}
