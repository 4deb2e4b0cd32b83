//! The configuration: what the file says, with spans, becomes what is true ([`Config`]), or [`Diagnostics`].

mod check;
mod declare;
mod diagnostic;
mod difference;
mod edit;
mod files;
mod keys;
mod model;
mod nearest;
mod no_toml;
mod owner;
mod read;
mod redact;
mod reference;
mod schema;
mod settings;
mod show;
mod simple;
mod stamp;
mod value;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use difference::{Change, Difference, Effect, Subject, difference, fixed_changes, keep_fixed};
pub use edit::{Edit, edit};
pub use files::FileFault;
pub use model::*;
pub use nearest::unknown_name;
pub use owner::FileOwner;
pub use read::host::HostMatch;
pub use redact::{REDACTED, Redactor};
pub use reference::reference;
pub use schema::schema;
pub use simple::{simple, simple_admin, simple_files};
pub use stamp::FileStamp;
pub use value::{Rate, parse_duration, show_duration};

use declare::Declared;

/// Bytes of a file at most.
const FILE_MAX: usize = 64 << 20;

/// A configuration that can be used, and what is suspicious in it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What is true.
    pub config: Config,
    /// What probably is not meant so.
    pub warnings: Diagnostics,
    /// Where each file of a `tls` is named.
    files: Vec<read::FileLink>,
}

/// Reads the text of a file; `file_name` is what the diagnostics call it. Paths in it that are relative to the file are
/// left as they are.
///
/// # Errors
/// All faults at once, warnings among them. A text that is not TOML yields its first syntax error alone.
pub fn parse(file_name: &str, text: &str) -> Result<Parsed, Diagnostics> {
    parse_in(PathBuf::new(), file_name, text)
}

/// As [`parse`]; the file lies in `folder`.
fn parse_in(folder: PathBuf, file_name: &str, text: &str) -> Result<Parsed, Diagnostics> {
    let entries = match toml::de::DeTable::parse(text) {
        Ok(entries) => entries,
        Err(fault) => {
            let diagnostic = no_toml::diagnostic(text, &fault);
            return Err(Diagnostics::new(file_name, text, vec![diagnostic]));
        }
    };
    let reader = read::Reader::new(folder, Config::SECTION);
    let root = read::Table::new(&reader, Config::SECTION, entries.get_ref(), read::Home::Process, 0..0);
    // What is faulty is left out, or stands at its default: every key of the root has one, or is a list.
    let config = Config::read_table(&root).expect("a configuration");
    let files = std::mem::take(&mut reader.links().files);
    check::check(&config, &reader);
    let faults = Diagnostics::new(file_name, text, reader.into_faults());
    if faults.has_errors() {
        return Err(faults);
    }
    Ok(Parsed { config, warnings: faults, files })
}

/// Reads a file.
///
/// # Errors
/// As [`parse`]; also when the file cannot be read, is above 64 MiB, or is not UTF-8.
pub fn load(path: &Path) -> Result<Parsed, Diagnostics> {
    let text = text_of(path)?;
    // Absolute, so that what `show` prints holds wherever it is put.
    let folder = std::path::absolute(path).ok().and_then(|path| Some(path.parent()?.to_owned()));
    parse_in(folder.unwrap_or_default(), &path.display().to_string(), &text)
}

/// Reads the text of a file of servers, which has `backends` as a pool has them; `file_name` is what the diagnostics call it.
///
/// # Errors
/// As [`parse`].
pub fn parse_servers(file_name: &str, text: &str) -> Result<Vec<Backend>, Diagnostics> {
    let entries = toml::de::DeTable::parse(text)
        .map_err(|fault| Diagnostics::new(file_name, text, vec![no_toml::diagnostic(text, &fault)]))?;
    let reader = read::Reader::new(PathBuf::new(), ServerList::SECTION);
    let table = read::Table::new(&reader, ServerList::SECTION, entries.get_ref(), read::Home::Process, 0..0);
    let list = ServerList::read_table(&table);
    let faults = Diagnostics::new(file_name, text, reader.into_faults());
    match list {
        Some(list) if !faults.has_errors() => Ok(list.backends),
        _ => Err(faults),
    }
}

/// Reads a file of servers.
///
/// # Errors
/// As [`load`].
pub fn load_servers(path: &Path) -> Result<Vec<Backend>, Diagnostics> {
    parse_servers(&path.display().to_string(), &text_of(path)?)
}

/// The text of a file.
fn text_of(path: &Path) -> Result<String, Diagnostics> {
    let name = path.display().to_string();
    let refuse = |message: String, help: &str| {
        let fault = Diagnostic::error(message);
        Diagnostics::new(&name, "", vec![if help.is_empty() { fault } else { fault.with_help(help) }])
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|fault| refuse(format!("cannot read {name}: {fault}"), ""))?;
    if bytes.len() > FILE_MAX {
        return Err(refuse(format!("{name} is above {}", value::show_size(FILE_MAX as u64)), ""));
    }
    String::from_utf8(bytes).map_err(|fault| {
        let good = &fault.as_bytes()[..fault.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        refuse(format!("{name} is not UTF-8: see line {line}"), "save it as UTF-8")
    })
}
