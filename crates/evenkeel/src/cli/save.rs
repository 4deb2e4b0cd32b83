//! `evenkeel save`: writes what commands have changed into the configuration file, whose comments and layout stay.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use evenkeel_config::{Action, Backend, Config, Edit, Effect, difference, edit};
use evenkeel_types::{Address, PoolName};
use serde_json::Value;

use super::find::Running;
use super::output::{complain, fail, print};
use super::plan::in_force;
use super::source::CONFIG_DEFAULT;
use crate::credentials::load_config;

/// What is to be done after a save.
const NEXT: &str = "next: `evenkeel reload`, so that the process runs with this file";

#[derive(Debug, Args)]
pub struct Save {
    /// Write the result to this file, and leave the file of the process as it is
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Write even if the file differs from what is in force
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    running: Running,
}

pub fn run(args: &Save) -> ExitCode {
    match save(args) {
        Ok(text) => print(&text),
        Err(code) => code,
    }
}

fn save(args: &Save) -> Result<String, ExitCode> {
    if let Some(wrong) = args.to.as_deref().and_then(wrong_with) {
        return Err(fail(&wrong));
    }
    let answer = args.running.find_to_change().and_then(|admin| admin.get("/config"));
    let answer = answer.map_err(|why| fail(&why.to_string()))?;
    let source = answer["source"].as_str().ok_or_else(|| {
        fail("there is no configuration file to write to: the process was started without one")
    })?;
    // A link stays a link.
    let source = fs::canonicalize(source).map_err(|error| fail(&format!("cannot find {source}: {error}")))?;
    let name = source.display();
    let before =
        fs::read_to_string(&source).map_err(|error| fail(&format!("cannot read {name}: {error}")))?;
    let file = loaded(&source)?;
    let (in_force, others) = with_saved(&answer, in_force(&answer)?, &file);
    let changes = difference(&in_force, &file).changes;
    // What waits for a restart is in the file already.
    if !args.force && changes.iter().any(|change| change.effect != Effect::Restart) {
        return Err(fail(&format!(
            "{name} differs from what is in force: `evenkeel diff` shows how; reload it first, or write with `--force`"
        )));
    }
    let (edits, skipped) = edits(&answer, &file);
    for change in skipped {
        eprintln!("warning: not saved, because the file has no key for it: {change}");
    }
    if edits.is_empty() {
        let is_saved = answer["changes"].as_array().is_some_and(|all| all.len() > others.len());
        return Ok(match is_saved {
            true => format!("{name} has what commands have changed already; {NEXT}\n"),
            false => format!("commands have changed nothing that {name} has a key for\n"),
        });
    }
    let after = edit(&before, &edits).map_err(|why| fail(&format!("{name}: {why}")))?;
    let target = args.to.clone().unwrap_or_else(|| source.clone());
    let written = replace(&target, &after, || {
        let is_same = fs::read_to_string(&source).is_ok_and(|now| now == before);
        if is_same { Ok(()) } else { Err(format!("another program has changed {name} meanwhile")) }
    });
    written.map_err(|code| code.unwrap_or_else(|why| fail(&why)))?;
    let mut text = report(&file, &target);
    if args.to.is_none() {
        text.push_str(&format!("{NEXT}\n"));
    }
    Ok(text)
}

/// Why nothing can be written there, as far as the path itself says it.
fn wrong_with(target: &Path) -> Option<String> {
    let name = target.display();
    if target.is_dir() {
        let file = target.join(CONFIG_DEFAULT);
        return Some(format!("`--to {name}` is a directory: name a file in it, as in {}", file.display()));
    }
    let is_folder = target.as_os_str().as_encoded_bytes().ends_with(b"/");
    let folder = if is_folder { target } else { folder_of(target) };
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("`--to {name}`: {} is a file, and no directory", folder.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("`--to {name}`: there is no directory {}: create it first", folder.display()))
        }
        Err(error) => Some(format!("`--to {name}`: cannot read {}: {error}", folder.display())),
    }
}

/// The directory that a file is in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The changes from the previous file to the one that was written.
fn report(before: &Config, target: &Path) -> String {
    let mut text = format!("written to {}:\n", target.display());
    if let Ok(parsed) = evenkeel_config::load(target) {
        for change in difference(before, &parsed.config).changes {
            text.push_str(&format!("  {}\n", change.sentence));
        }
    }
    text
}

fn loaded(path: &Path) -> Result<Config, ExitCode> {
    evenkeel_config::load(path).map(|parsed| parsed.config).map_err(|diagnostics| {
        complain(&diagnostics);
        fail(&format!("{} has faults: correct them first", path.display()))
    })
}

/// The configuration in force with those changes by commands that the `file` has by now, and in words those that it does not have:
/// what lies between the first and the file is what a reload changes.
pub(super) fn with_saved(answer: &Value, mut in_force: Config, file: &Config) -> (Config, Vec<String>) {
    let list = |key: &str| answer[key].as_array().map_or(&[][..], Vec::as_slice);
    let mut others = Vec::new();
    for (change, what) in list("runtime").iter().zip(list("changes")) {
        let is_saved = matches!(of_change(change, file), Some(None));
        if !(is_saved && take_in(change, &mut in_force, file)) {
            others.push(what.as_str().unwrap_or_default().to_owned());
        }
    }
    (in_force, others)
}

/// Makes a change by a command as the file has it; false if it does not concern what is in force.
fn take_in(change: &Value, in_force: &mut Config, file: &Config) -> bool {
    let is_it = |key: &str, name: &str| change[key].as_str() == Some(name);
    if let Some(route) = in_force.routes.iter_mut().find(|route| is_it("route", route.name.as_str())) {
        let saved = file.routes.iter().find(|saved| saved.name == route.name);
        return saved.map(|saved| route.action = saved.action.clone()).is_some();
    }
    let Some(pool) = in_force.pools.iter_mut().find(|pool| is_it("pool", pool.name.as_str())) else {
        return false;
    };
    let is_server = |server: &Backend| is_it("server", server.id.as_str());
    let place = pool.backends.iter().position(is_server);
    let of_file = file.pools.iter().find(|it| it.name == pool.name);
    let saved = of_file.and_then(|pool| pool.backends.iter().find(|server| is_server(server)));
    match (place, saved) {
        (Some(place), Some(saved)) => pool.backends[place].weight = saved.weight,
        (Some(place), None) => drop(pool.backends.remove(place)),
        (None, Some(saved)) => pool.backends.push(saved.clone()),
        (None, None) => return false,
    }
    true
}

/// What can be written, and in words what cannot. What the file says already is neither.
fn edits(answer: &Value, file: &Config) -> (Vec<Edit>, Vec<String>) {
    let list = |key: &str| answer[key].as_array().map_or(&[][..], Vec::as_slice);
    let (mut edits, mut skipped) = (Vec::new(), Vec::new());
    for (change, what) in list("runtime").iter().zip(list("changes")) {
        match of_change(change, file) {
            Some(Some(edit)) => edits.push(edit),
            Some(None) => {}
            None => skipped.push(what.as_str().unwrap_or_default().to_owned()),
        }
    }
    (edits, skipped)
}

/// The edit that a change is; an empty one if the file has it already; `None` if it cannot have it.
fn of_change(change: &Value, file: &Config) -> Option<Option<Edit>> {
    if change["kind"] == "split" {
        return split(change, file);
    }
    let text = |key: &str| change[key].as_str();
    let number = |key: &str| change[key].as_u64().and_then(|number| u32::try_from(number).ok());
    let (pool, id) = (text("pool")?.to_owned(), text("server")?.to_owned());
    let servers = &file.pools.iter().find(|it| it.name.as_str() == pool)?.backends;
    let present = servers.iter().find(|server| server.id.as_str() == id);
    match text("kind")? {
        "server-added" => {
            let mut server = Backend::new(Address::backend(text("address")?).ok()?);
            server.id = id.as_str().into();
            server.weight = number("weight").unwrap_or(1);
            server.backup = change["backup"] == true;
            server.max_connections = number("max_connections");
            Some((present != Some(&server)).then_some(Edit::AddServer { pool, server }))
        }
        "server-removed" => Some(present.map(|_| Edit::RemoveServer { pool, id })),
        "weight" => {
            let weight = number("weight")?;
            // A discovered server is not in the file.
            let is_other = present?.weight != weight;
            Some(is_other.then_some(Edit::Weight { pool, id, weight }))
        }
        _ => None,
    }
}

/// The same for weights of a route's split.
fn split(change: &Value, file: &Config) -> Option<Option<Edit>> {
    let name = change["route"].as_str()?;
    let route = file.routes.iter().position(|route| route.name.as_str() == name)?;
    let Action::Split(shares) = &file.routes[route].action else { return None };
    let weight = |weight: &Value| weight.as_u64().and_then(|weight| u32::try_from(weight).ok());
    let wanted = change["weights"].as_object()?.iter();
    let weights: Vec<(String, u32)> =
        wanted.map(|(pool, it)| Some((pool.clone(), weight(it)?))).collect::<Option<_>>()?;
    let of = |pool: &PoolName| weights.iter().find(|(of, _)| of == pool.as_str()).map(|(_, weight)| *weight);
    let is_other = shares.iter().any(|(pool, weight)| of(pool).is_some_and(|wanted| wanted != *weight));
    Some(is_other.then_some(Edit::Split { route, weights }))
}

/// Puts a text in the place of a file, or creates it: whole or not at all. Just before, `check` must agree.
///
/// # Errors
/// Nothing has changed. Why; or an exit code, if that was said already.
fn replace(
    target: &Path,
    text: &str,
    check: impl FnOnce() -> Result<(), String>,
) -> Result<(), Result<ExitCode, String>> {
    let name = target.display();
    let folder = folder_of(target);
    let file_name =
        target.file_name().ok_or_else(|| Err(format!("{name} is not the name of a file")))?.to_string_lossy();
    let new = New(folder.join(format!(".{file_name}.{}.new", std::process::id())));
    let cannot = |what: &str, error: &io::Error| Err(format!("cannot {what}: {error}; {name} is as it was"));
    let old = fs::metadata(target).ok();
    new.write(text, old.as_ref()).map_err(|error| cannot(&format!("write {}", new.0.display()), &error))?;
    // Beside the old one, so that the files that it names are found.
    if let Err(diagnostics) = load_config(&new.0) {
        complain(&diagnostics);
        return Err(Ok(fail(&format!("the result would have these faults; {name} is as it was"))));
    }
    check().map_err(|why| Err(format!("{why}; the file is as it was")))?;
    fs::rename(&new.0, target).map_err(|error| cannot(&format!("replace {name}"), &error))?;
    // The name is on the disk once its folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| {
        Err(format!(
            "{name} is written, but may be lost if the machine fails now: cannot sync its folder: {error}"
        ))
    })
}

/// A file that replaces another one. Dropping this removes it, unless it has done so.
struct New(PathBuf);

impl New {
    /// Writes it to the disk, with the mode and owner of `old`.
    fn write(&self, text: &str, old: Option<&Metadata>) -> io::Result<()> {
        let mut file = File::create_new(&self.0)?;
        if let Some(old) = old {
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

impl Drop for New {
    fn drop(&mut self) {
        // After the rename there is no file of this name.
        let _ = fs::remove_file(&self.0);
    }
}
