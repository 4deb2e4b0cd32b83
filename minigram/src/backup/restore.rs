//! Brings the databases and the pictures back to a chosen time.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, bail};

use super::base::Base;
use super::folder::Folder;
use super::pictures::{self, Copied};
use super::window::Window;
use crate::cluster::{ClusterSettings, Recovery, restore_nodes};
use crate::logs::{text_of, time_in};
use crate::up::state::State;

/// What of the state directory a restore replaces: the nodes, Patroni's memory of them, and what was cached of their data.
const REPLACED: [&str; 5] = ["node-a", "node-b", "node-c", "etcd", "redis-cache"];

/// To when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All transactions that were committed at this time or before, in milliseconds since the Unix epoch.
    Time(u64),
    /// All that the archive has.
    Latest,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let is_utc = text.ends_with('Z') && text.starts_with(|c: char| c.is_ascii_digit());
        let ms = if is_utc { time_in(text) } else { None };
        ms.map(Self::Time).ok_or_else(|| {
            format!("`{text}` is neither `latest` nor a time of UTC such as 2026-11-29T22:00:05Z")
        })
    }
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The engines' settings: where they keep everything.
    pub cluster: ClusterSettings,
    /// Where pictures are.
    pub pictures: PathBuf,
    /// To when.
    pub target: Target,
    /// Which history; the newest one if left out.
    pub timeline: Option<u32>,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The backup that it began with.
    pub base: Base,
    /// The pictures that came back.
    pub pictures: Copied,
    /// Where that is what the state directory had before, if it had anything.
    pub replaced: Option<PathBuf>,
}

/// Restores; the engines must not run, and are started as usual afterwards. If it fails, or the future is dropped, the state directory
/// is as it was.
///
/// # Errors
/// The target is not within a backup's window; the error says which there are.
pub async fn restore(restore: &Restore) -> anyhow::Result<Restored> {
    let folder = Folder::open(&restore.cluster.backup_directory())?;
    let _lock = folder.lock()?;
    let state = State::take(&restore.cluster.state)?;
    let windows = folder.windows(restore.timeline)?;
    let at = choose(&windows, restore.target)?;
    let (base, Some(window)) = &windows[at] else { bail!("the backup has no window") };

    let recovery = Recovery {
        base: base.postgres(),
        time: match restore.target {
            Target::Time(ms) => Some(text_of(ms)),
            Target::Latest => None,
        },
        timeline: window.timeline,
    };
    let mut aside = Aside::put(state.directory())?;
    if let Err(error) = restore_nodes(&restore.cluster, &recovery).await {
        let put_back = aside.put_back();
        return Err(match put_back {
            Ok(()) => error.context("the restore failed, and the state directory is as it was before"),
            Err(other) => error.context(format!(
                "what was there before is in {}, because it could not be put back: {other:#}",
                aside.folder.display()
            )),
        });
    }
    let mut pictures = Copied::default();
    // Later backups have pictures that were added between the one and the chosen time.
    for (base, _) in &windows[at..] {
        let back = pictures::bring_back(&base.pictures(), &restore.pictures)?;
        pictures.files = pictures.files.max(back.files);
        pictures.new += back.new;
        pictures.bytes += back.bytes;
    }
    Ok(Restored { base: base.clone(), pictures, replaced: aside.finish() })
}

/// Which backup to begin with: the newest one that leads to the target, because it needs the least of the archive.
fn choose(windows: &[(Base, Option<Window>)], target: Target) -> anyhow::Result<usize> {
    let leads = |window: &Option<Window>| match (window, target) {
        (None, _) => false,
        (Some(_), Target::Latest) => true,
        (Some(window), Target::Time(ms)) => window.contains(ms),
    };
    if let Some(at) = windows.iter().rposition(|(_, window)| leads(window)) {
        return Ok(at);
    }
    let mut message = match target {
        Target::Latest => String::from("no backup leads to the end of the archive"),
        Target::Time(ms) => format!("no backup leads to {}", text_of(ms)),
    };
    for (base, window) in windows {
        message += &match window {
            Some(window) => format!("\n  {}: {window}", base.name),
            None => format!("\n  {}: is of another history, or the archive lacks its log", base.name),
        };
    }
    if windows.is_empty() {
        message += ": there is none";
    } else if target != Target::Latest {
        message += "\n`--to latest` restores all that the archive has";
    }
    bail!(message)
}

/// What the state directory had before.
struct Aside {
    state: PathBuf,
    folder: PathBuf,
    names: Vec<&'static str>,
    /// True when it stays aside, or is back.
    is_done: bool,
}

impl Aside {
    fn put(state: &Path) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let folder = state.join(format!("replaced-{now}"));
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let mut aside = Self { state: state.to_owned(), folder, names: Vec::new(), is_done: false };
        for name in REPLACED {
            let from = state.join(name);
            if from.exists() {
                fs::rename(&from, aside.folder.join(name))
                    .with_context(|| format!("{} cannot be put aside", from.display()))?;
                aside.names.push(name);
            }
        }
        Ok(aside)
    }

    fn put_back(&mut self) -> anyhow::Result<()> {
        self.is_done = true;
        for name in REPLACED {
            let failed = self.state.join(name);
            if failed.exists() {
                fs::remove_dir_all(&failed).with_context(|| failed.display().to_string())?;
            }
        }
        for name in &self.names {
            let to = self.state.join(name);
            fs::rename(self.folder.join(name), &to).with_context(|| to.display().to_string())?;
        }
        fs::remove_dir(&self.folder).with_context(|| self.folder.display().to_string())
    }

    /// Where it is; `None` if there was nothing.
    fn finish(mut self) -> Option<PathBuf> {
        self.is_done = true;
        // It is removed if it is empty.
        fs::remove_dir(&self.folder).is_err().then(|| self.folder.clone())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_done
            && let Err(error) = self.put_back()
        {
            tracing::error!("what was in {} could not be put back: {error:#}", self.folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::Note;
    use super::*;

    fn base(name: &str, from_ms: u64, until_ms: u64) -> (Base, Option<Window>) {
        let note = Note {
            ended_ms: from_ms,
            timeline: 1,
            start: 0,
            end: 0,
            node: String::new(),
            bytes: 0,
            pictures: 0,
        };
        let window = Some(Window { from_ms, until_ms, timeline: 1 });
        (Base { name: name.into(), path: name.into(), note }, window)
    }

    #[test]
    fn the_newest_backup_before_the_target_is_the_beginning() {
        let windows = [base("a", 10, 90), base("b", 50, 90), (base("c", 60, 90).0, None)];
        let at = |target| choose(&windows, target).ok();
        assert_eq!(at(Target::Time(49)), Some(0));
        assert_eq!(at(Target::Time(50)), Some(1));
        assert_eq!(at(Target::Latest), Some(1));
        let error = choose(&windows, Target::Time(91)).unwrap_err().to_string();
        assert!(error.contains("b: 1970-01-01T00:00:00.050Z to 1970-01-01T00:00:00.090Z"), "{error}");
        assert!(error.contains("c: is of another history") && error.contains("--to latest"), "{error}");
        assert!(choose(&[], Target::Latest).is_err());
    }

    #[test]
    fn a_target_is_a_time_of_utc_or_the_end() {
        assert_eq!("2026-11-29T22:02:26.445Z".parse(), Ok(Target::Time(1_795_989_746_445)));
        assert_eq!("latest".parse(), Ok(Target::Latest));
        for wrong in
            ["2026-11-29T22:02:26", "2026-11-29T22:02:26+01:00", "yesterday", "at 2026-11-29T22:02:26Z"]
        {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_put_aside_comes_back() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("node-a/data");
        fs::create_dir(state.path().join("node-a")).unwrap();
        fs::write(&file, "before").unwrap();
        let mut aside = Aside::put(state.path()).unwrap();
        assert!(!file.exists());
        fs::create_dir_all(state.path().join("etcd/new")).unwrap();
        aside.put_back().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        assert!(!state.path().join("etcd").exists());
        assert!(Aside::put(&state.path().join("node-a")).unwrap().finish().is_none(), "nothing was there");
    }
}
