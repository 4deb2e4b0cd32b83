//! The archive of PostgreSQL's write-ahead log, in the backup directory: with it a backup can be brought to any time since.
//!
//! Every node archives what it has (`archive_mode` is `always`), so that a failover leaves no gap.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::layout::Layout;
use super::settings::ClusterSettings;

/// What PostgreSQL calls for each piece.
const SCRIPT: &str = include_str!("archive-wal.sh");
/// Its name in the state directory.
const SCRIPT_FILE: &str = "archive-wal";
/// The folder of the pieces, in the backup directory.
pub const WAL: &str = "wal";
/// The file in the backup directory that says which database it is of.
const SYSTEM_FILE: &str = "system";

/// The archive of a cluster.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
    script: PathBuf,
    every: Duration,
}

impl Archive {
    /// Makes the directories and the script.
    pub fn prepare(layout: &Layout, settings: &ClusterSettings) -> anyhow::Result<Self> {
        let root = settings.backup_directory();
        let make = || -> std::io::Result<PathBuf> {
            fs::create_dir_all(&root)?;
            root.canonicalize()
        };
        let root =
            make().with_context(|| format!("the backup directory {} cannot be made", root.display()))?;
        layout.folder_at(&root.join(WAL))?;
        layout.check_access_to(&root)?;
        let script = layout.root().join(SCRIPT_FILE);
        fs::write(&script, SCRIPT)
            .and_then(|()| fs::set_permissions(&script, Permissions::from_mode(0o755)))
            .with_context(|| format!("{} cannot be written", script.display()))?;
        Ok(Self { root, script, every: settings.archive_every })
    }

    /// The backup directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a node's configuration says of it.
    pub fn parameters(&self) -> Vec<(&'static str, Value)> {
        let [script, wal] = [quoted(&self.script), quoted(&self.root.join(WAL))];
        vec![
            ("archive_mode", json!("always")),
            ("archive_command", json!(format!("{} \"%p\" \"%f\" {}", percent(&script), percent(&wal)))),
            ("archive_timeout", json!(format!("{}s", self.every.as_secs().max(1)))),
        ]
    }

    /// The command by which PostgreSQL takes a piece out of it.
    pub fn restore_command(&self) -> String {
        format!("cp -- {}/\"%f\" \"%p\"", percent(&quoted(&self.root.join(WAL))))
    }

    /// Fails before a new database would write into the archive of another one.
    pub fn check_new(&self, has_data: bool) -> anyhow::Result<()> {
        ensure!(
            has_data || !self.root.join(SYSTEM_FILE).exists(),
            "{} has the backups of a database, and the state directory has none: `minigram restore` brings it back, or choose another \
             --backup for a new one",
            self.root.display()
        );
        Ok(())
    }

    /// Notes which database it is of, or fails if that is another one.
    pub fn claim(&self, system: &str) -> anyhow::Result<()> {
        let file = self.root.join(SYSTEM_FILE);
        match fs::read_to_string(&file) {
            Ok(noted) => ensure!(
                noted.trim() == system,
                "{} has the backups of another database ({}, and this one is {system}): choose another --backup",
                self.root.display(),
                noted.trim()
            ),
            Err(_) => {
                fs::write(&file, system).with_context(|| format!("{} cannot be written", file.display()))?;
            }
        }
        Ok(())
    }
}

/// A path as one word of a shell.
pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// As PostgreSQL's commands write it, in which % has a meaning.
fn percent(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_piece_is_archived_once_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (wal, piece) = (folder.path().join("it's an archive"), folder.path().join("piece"));
        fs::create_dir(&wal).unwrap();
        let archive = |name: &str, content: &[u8]| {
            fs::write(&piece, content).unwrap();
            let mut command = Command::new("sh");
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/archive-wal.sh");
            command.arg(script).arg(&piece).arg(name).arg(&wal).output().unwrap().status.success()
        };
        assert!(archive("000000010000000000000001", b"one"));
        assert!(archive("000000010000000000000001", b"one"), "the same content is fine");
        assert!(!archive("000000010000000000000001", b"two"), "other content is refused");
        assert_eq!(fs::read(wal.join("000000010000000000000001")).unwrap(), b"one");
        assert!(archive("000000010000000000000002.partial", b"one"));
        assert!(archive("000000010000000000000002.partial", b"two"), "recovery does not read it");
        assert_eq!(fs::read(wal.join("000000010000000000000002.partial")).unwrap(), b"one");
        let left = fs::read_dir(&wal).unwrap().flatten();
        let left = left.filter(|it| it.file_name().to_string_lossy().starts_with(".new"));
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn paths_are_words_for_the_shell_and_for_postgres() {
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
        assert_eq!(percent("'/50%'"), "'/50%%'");
    }
}
