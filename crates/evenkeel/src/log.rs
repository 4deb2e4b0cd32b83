//! The log of the process: messages to stderr, of a level that can be changed while it runs.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, OnceLock, PoisonError};

use evenkeel_admin::LEVELS;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// The variable of the environment that sets the level at the start.
const VARIABLE: &str = "EVENKEEL_LOG";
/// The level when nothing is said.
const LEVEL_DEFAULT: &str = "info";

/// What `debug` comes to: our crates, whose names all begin so, at that level.
const OURS_AT_DEBUG: &str = "info,evenkeel=debug";

/// The target of lines that say who has changed what: they are logged at every level.
pub const AUDIT: &str = "audit";

static LOG: OnceLock<Log> = OnceLock::new();

/// The log of this process.
struct Log {
    filter: Handle<EnvFilter, Registry>,
    level: Mutex<String>,
}

/// Starts it; `EVENKEEL_LOG` sets the level.
///
/// # Errors
/// `EVENKEEL_LOG` is no level. As a filter it would be the name of a module, and hide all that is of others.
pub fn start() -> Result<(), String> {
    let wanted = std::env::var_os(VARIABLE).unwrap_or_default();
    let level = match wanted.to_string_lossy().to_ascii_lowercase() {
        nothing if nothing.is_empty() => LEVEL_DEFAULT.into(),
        level if LEVELS.contains(&level.as_str()) => level,
        _ => return Err(format!("{VARIABLE}={} is none of {}", wanted.display(), LEVELS.join(", "))),
    };
    let (layer, filter) = reload::Layer::new(filter_of(&level));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    tracing_subscriber::registry().with(layer).with(lines).init();
    // A process has one log.
    let _ = LOG.set(Log { filter, level: Mutex::new(level) });
    Ok(())
}

/// The level at this moment.
pub fn level() -> String {
    let level = LOG.get().map(|log| log.level.lock().unwrap_or_else(PoisonError::into_inner).clone());
    level.unwrap_or_else(|| "off".into())
}

/// Has it hold what `level` says from now on.
///
/// # Errors
/// The process has no log, as in the demo; or that is no level.
pub fn set_level(level: &str) -> Result<(), String> {
    let log = LOG.get().ok_or("this process has no log")?;
    if !LEVELS.contains(&level) {
        return Err(format!("{level} is none of {}", LEVELS.join(", ")));
    }
    log.filter.reload(filter_of(level)).map_err(|fault| fault.to_string())?;
    level.clone_into(&mut log.level.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// A message without the `error: ` that diagnostics begin with: what it becomes a part of says that already.
pub fn without_label(message: &str) -> &str {
    message.strip_prefix("error: ").unwrap_or(message)
}

fn filter_of(level: &str) -> EnvFilter {
    // `debug` is for decisions of ours; what libraries say of each frame and timer would bury them.
    let level = if level == "debug" { OURS_AT_DEBUG } else { level };
    EnvFilter::new(format!("{level},{AUDIT}=info"))
}
