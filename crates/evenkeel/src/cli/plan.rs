//! `evenkeel plan`: what a new configuration would change, and where the requests that a process has seen would go.

mod taken;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use evenkeel_config::{Action, Config, Difference, Redactor, difference};
use evenkeel_core::plan::{Comparison, Group};
use serde_json::{Value, json};

use self::taken::{Taken, taken};
use super::ask::Admin;
use super::find::Running;
use super::output::{WRONG, complain, fail, print};
use super::save::with_saved;
use super::source::Source;
use crate::credentials::load_config;
use crate::replay::{replay, samples};

/// The most requests that are replayed: the newest.
const SAMPLES_MAX: usize = 1000;

#[derive(Debug, Args)]
pub struct Plan {
    /// The new configuration file
    new: PathBuf,
    #[command(flatten)]
    running: Running,
    /// Exit with code 1 if a request that is served now would be refused, match no route, or reach no listener
    #[arg(long)]
    fail_on_loss: bool,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

/// What is in force now.
struct Old {
    config: Config,
    /// Where it comes from.
    name: String,
    /// What commands have changed; a reload keeps it.
    runtime: Vec<String>,
    /// The splits among that, by route.
    splits: BTreeMap<String, BTreeMap<String, u32>>,
    /// The requests that the process has kept; `None` without a process.
    requests: Option<Value>,
    /// Addresses that a reload could not open.
    taken: Vec<Taken>,
}

/// The result of the plan.
struct Seen {
    difference: Difference,
    replayed: Option<Replayed>,
}

struct Replayed {
    comparison: Comparison,
    /// Requests that the process has kept and that cannot be replayed.
    others: usize,
}

pub fn run(args: &Plan) -> ExitCode {
    let new = match load_config(&args.new) {
        Ok(parsed) => {
            complain(&parsed.warnings);
            parsed.config
        }
        Err(diagnostics) => {
            complain(&diagnostics);
            return WRONG.into();
        }
    };
    let old = match old(&args.running, (&args.new, &new)) {
        Ok(old) => old,
        Err(code) => return code,
    };
    let seen = match plan(&old, &new) {
        Ok(seen) => seen,
        Err(error) => return fail(&error),
    };
    let name = args.new.display().to_string();
    let printed = if args.json {
        print(&format!("{:#}\n", as_json(&old, &seen)))
    } else {
        print(&text(&old, &name, &seen))
    };
    let lost = seen.replayed.as_ref().map_or(0, |replayed| replayed.comparison.lost());
    if args.fail_on_loss && lost > 0 {
        return WRONG.into();
    }
    printed
}

/// What is in force: in the process that is meant, or in the file that is named if no process runs it. That is another one than
/// the `new` one.
fn old(running: &Running, (new, config): (&Path, &Config)) -> Result<Old, ExitCode> {
    let refuse = |why: &dyn Display| fail(&why.to_string());
    let asked = running.find().and_then(|admin| admin.get("/config").map(|answer| (admin, answer)));
    let file = running.file();
    let is_meant =
        |answer: &Value| running.is_addressed() || !running.names_file() || runs(answer, file.as_deref());
    match (asked, &file) {
        (Ok((admin, answer)), _) if is_meant(&answer) => of_process(&admin, &answer, config),
        (Err(why), _) if running.is_addressed() => Err(refuse(&why)),
        (_, Some(file)) if new.canonicalize().ok() == file.canonicalize().ok() => Err(fail(&format!(
            "no process runs {}, so there is nothing to compare it with: name the file before with `-c OLD.toml`, or \
             a process by its admin API with `--admin ADDRESS`",
            new.display()
        ))),
        (_, Some(file)) => {
            eprintln!("note: no process runs {}; comparing the two files only", file.display());
            let config = Source { config: file.clone() }.load()?.config;
            Ok(Old {
                config,
                name: file.display().to_string(),
                runtime: Vec::new(),
                splits: BTreeMap::new(),
                requests: None,
                taken: Vec::new(),
            })
        }
        (Err(why), None) => Err(refuse(&why)),
        (Ok((admin, answer)), None) => of_process(&admin, &answer, config),
    }
}

/// True if the process runs this file.
fn runs(answer: &Value, file: Option<&Path>) -> bool {
    let canonical = |path: &Path| path.canonicalize().ok();
    let source = answer["source"].as_str().and_then(|source| canonical(Path::new(source)));
    source.is_some() && source == file.and_then(canonical)
}

fn of_process(admin: &Admin, answer: &Value, new: &Config) -> Result<Old, ExitCode> {
    let requests = admin.get(&format!("/requests?heads=true&limit={SAMPLES_MAX}")).inspect_err(|why| {
        eprintln!(
            "warning: no request is replayed, because the process does not list those in its flight recorder: {why}"
        );
    });
    let (config, runtime) = with_saved(answer, in_force(answer)?, new);
    let taken = admin.get("/status").map_or_else(|_| Vec::new(), |status| taken(&status, &config, new));
    taken.iter().for_each(|taken| eprintln!("warning: {taken}"));
    let splits = splits_of(answer);
    let name = "the running process".into();
    Ok(Old { config, name, runtime, splits, requests: requests.ok(), taken })
}

/// The configuration in force, as `GET /config` shows it.
pub(super) fn in_force(answer: &Value) -> Result<Config, ExitCode> {
    let text = answer["text"].as_str().unwrap_or_default();
    let parsed = evenkeel_config::parse("the configuration in force", text).map_err(|diagnostics| {
        complain(&diagnostics);
        fail("cannot read the configuration of the running process: is it of another version than this command?")
    })?;
    Ok(parsed.config)
}

/// What commands have changed, as `GET /config` shows it.
pub(super) fn changes_of(answer: &Value) -> Vec<String> {
    let changes = answer["changes"].as_array().map_or(&[][..], Vec::as_slice);
    changes.iter().filter_map(|change| change.as_str().map(str::to_owned)).collect()
}

/// The weights of the splits that commands have changed, as `GET /config` shows them.
fn splits_of(answer: &Value) -> BTreeMap<String, BTreeMap<String, u32>> {
    let changes = answer["runtime"].as_array().map_or(&[][..], Vec::as_slice);
    let split = |change: &Value| {
        let weight =
            |(pool, weight): (&String, &Value)| Some((pool.clone(), weight.as_u64()?.try_into().ok()?));
        let weights = change["weights"].as_object()?.iter().filter_map(weight).collect();
        Some((change["route"].as_str()?.to_owned(), weights))
    };
    changes.iter().filter_map(split).collect()
}

/// Both configurations as requests meet them: with the weights that commands have set for splits, which a reload keeps where the
/// new file says the same of the split as the old one.
fn as_met(old: &Old, new: &Config) -> (Config, Config) {
    // The requests and the configuration in force come redacted; a secret that stays must not look like a change.
    let redactor = Redactor::of(&[&old.config, new]);
    let (mut before, mut after) = (old.config.redacted(&redactor), new.redacted(&redactor));
    for route in &mut before.routes {
        let (Some(set), Action::Split(shares)) = (old.splits.get(route.name.as_str()), &mut route.action)
        else {
            continue;
        };
        let configured = shares.clone();
        shares
            .iter_mut()
            .for_each(|(pool, weight)| *weight = set.get(pool.as_str()).copied().unwrap_or(*weight));
        let same = after.routes.iter_mut().find(|same| same.name == route.name);
        match same.map(|same| &mut same.action) {
            Some(Action::Split(after)) if *after == configured => after.clone_from(shares),
            _ => {}
        }
    }
    (before, after)
}

fn plan(old: &Old, new: &Config) -> Result<Seen, String> {
    let difference = difference(&old.config, new);
    let replayed = match &old.requests {
        None => None,
        Some(answer) => {
            let (samples, others) = samples(answer);
            let (before, after) = as_met(old, new);
            Some(Replayed { comparison: replay(&before, &after, &samples)?, others })
        }
    };
    Ok(Seen { difference, replayed })
}

fn as_json(old: &Old, seen: &Seen) -> Value {
    let group = |group: &&Group| {
        let examples: Vec<Value> = group
            .examples
            .iter()
            .map(|example| {
                let (from, to) = example.targets.clone().unzip();
                json!({ "id": example.id, "request": example.request, "target_from": from, "target_to": to })
            })
            .collect();
        json!({
            "shift": group.shift.word(),
            "from": group.from,
            "to": group.to,
            "requests": group.count,
            "examples": examples,
        })
    };
    let traffic = seen.replayed.as_ref().map(|Replayed { comparison, others }| {
        json!({
            "requests": comparison.requests,
            "unchanged": comparison.unchanged,
            "lost": comparison.lost(),
            "groups": comparison.groups().iter().map(group).collect::<Vec<_>>(),
            "ungrouped": comparison.ungrouped,
            "not_replayed": others,
        })
    });
    let taken: Vec<Value> = old.taken.iter().map(Taken::to_json).collect();
    let changes = seen.difference.to_json();
    json!({ "changes": changes, "runtime": old.runtime, "addresses_in_use": taken, "traffic": traffic })
}

fn text(old: &Old, new: &str, seen: &Seen) -> String {
    let mut text = changes(&seen.difference, &format!("{new} against {}", old.name));
    if !old.runtime.is_empty() {
        text.push_str("\nset by commands; a reload keeps it:\n");
        old.runtime.iter().for_each(|change| text.push_str(&format!("  {change}\n")));
    }
    if let Some(replayed) = &seen.replayed {
        text.push('\n');
        text.push_str(&traffic(replayed));
    }
    text
}

/// The changes, and what they do to traffic; `what` is compared.
pub(super) fn changes(difference: &Difference, what: &str) -> String {
    if difference.is_empty() {
        return format!("{what}: no change\n");
    }
    let count = difference.changes.len();
    let mut text = format!("{what}: {count} change{}\n", if count == 1 { "" } else { "s" });
    for change in &difference.changes {
        text.push_str(&format!("  {}\n", change.sentence));
    }
    text.push_str("\nwhat a reload does:\n");
    for effect in difference.effects() {
        let of: Vec<String> = difference
            .changes
            .iter()
            .filter(|it| it.effect == effect)
            .map(|it| it.subject_and_key())
            .collect();
        text.push_str(&format!("  {effect}\n    {}\n", few(&of)));
    }
    text
}

/// The first few of a list.
fn few(items: &[String]) -> String {
    const SHOWN_MAX: usize = 4;
    let mut shown = items.to_vec();
    shown.dedup();
    let others = shown.len().saturating_sub(SHOWN_MAX);
    shown.truncate(SHOWN_MAX);
    let rest = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

fn traffic(replayed: &Replayed) -> String {
    let Replayed { comparison, others } = replayed;
    if comparison.requests == 0 {
        return "traffic: the flight recorder of the process has no request that can be replayed\n".into();
    }
    let mut text = format!(
        "traffic: {} requests that the process has kept, replayed through both configurations\n{:>7} would be answered as now\n",
        comparison.requests, comparison.unchanged
    );
    for group in comparison.groups() {
        let way = match group.from.as_str() {
            "" => group.to.clone(),
            from => format!("{from} -> {}", group.to),
        };
        text.push_str(&format!("{:>7} {}\n          {way}\n", group.count, group.shift.describe()));
        for example in &group.examples {
            text.push_str(&format!("            {} {}", example.id, example.request));
            if let Some((from, to)) = &example.targets {
                text.push_str(&format!(" ({from} -> {to})"));
            }
            text.push('\n');
        }
    }
    if comparison.ungrouped > 0 {
        text.push_str(&format!("{:>7} change in further ways\n", comparison.ungrouped));
    }
    if *others > 0 {
        text.push_str(&format!("{others:>7} could not be replayed\n"));
    }
    text.push_str("rate limits and the choice of a server depend on the moment and are not replayed\n");
    text
}
