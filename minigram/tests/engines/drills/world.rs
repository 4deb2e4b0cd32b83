//! A system with real engines, started as a user does it, and gone with the test.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use minigram::process::{Process, Program};
use minigram::up::running::Running;
use tempfile::TempDir;

use crate::programs::{MINIGRAM, evenkeel};

/// How long a start may take on a busy machine.
const START_BOUND: Duration = Duration::from_secs(180);

/// A running system.
pub struct World {
    pub state: PathBuf,
    _process: Process,
    _folder: TempDir,
}

impl World {
    pub async fn up() -> Self {
        // PostgreSQL runs as another user, who must be able to enter it.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let state = folder.path().join("state");
        let program = Program::new("minigram up", MINIGRAM, folder.path().join("up.log"))
            .args(["up", "--engines", "real", "--photos", "3", "--listen", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0"])
            .args(["--state".as_ref(), state.as_os_str(), "--evenkeel".as_ref(), evenkeel().as_os_str()]);
        let process = Process::start(&program).unwrap();
        let is_ready = || async { Running::read(&state).is_ok() };
        process.wait_until("the system is ready", START_BOUND, is_ready).await.unwrap();
        Self { state, _process: process, _folder: folder }
    }
}
