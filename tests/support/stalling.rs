//! A disk that a test can have hang: a file system of our own below a mount point, by the kernel's FUSE protocol
//! (`linux/fuse.h`, 7.31). It takes root, because a mount does.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::{Folder, eventually};

/// The kernel hands over no larger message with this setting of `max_write`.
const MESSAGE_MAX: usize = 128 * 1024;
const ROOT: u64 = 1;
const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
/// Several reads of a file, and several names of a directory, may be asked for at once.
const AT_ONCE: u32 = 1 | 1 << 18;

/// The disk. What hangs on it is released with it.
pub struct StallingDisk {
    folder: Folder,
    state: Arc<Mutex<State>>,
}

struct State {
    device: File,
    files: BTreeMap<String, Vec<u8>>,
    hangs: bool,
    /// What was asked for while it hangs.
    held: Vec<Vec<u8>>,
}

impl StallingDisk {
    /// One with these files; `None`, and a word on why, where the system lets nothing be mounted.
    pub fn mount(files: &[(&str, Vec<u8>)]) -> Option<Self> {
        let folder = Folder::new();
        let path = folder.path("disk");
        fs::create_dir(&path).unwrap();
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| eprintln!("skipped: no /dev/fuse: {error}")).ok()?;
        // The mount is by the file that it finds at descriptor 0.
        let mut mount = Command::new("mount");
        mount.args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "stalling", &path]);
        let mounted = mount.stdin(Stdio::from(device.try_clone().unwrap())).output().ok()?;
        if !mounted.status.success() {
            eprintln!("skipped: nothing can be mounted: {}", String::from_utf8_lossy(&mounted.stderr).trim());
            return None;
        }
        let reader = device.try_clone().unwrap();
        let files = files.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect();
        let state = Arc::new(Mutex::new(State { device, files, hangs: false, held: Vec::new() }));
        let serving = state.clone();
        thread::spawn(move || serve(reader, &serving));
        Some(Self { folder, state })
    }

    /// Where it is mounted.
    pub fn path(&self) -> String {
        self.folder.path("disk")
    }

    /// From now on it answers nothing.
    pub fn hang(&self) {
        self.lock().hangs = true;
    }

    /// It answers again, also what was asked for meanwhile.
    pub fn resume(&self) {
        let mut state = self.lock();
        state.hangs = false;
        for request in std::mem::take(&mut state.held) {
            state.answer(&request);
        }
    }

    /// How many calls of a process hang. Others may look at every disk that is mounted, such as `df`.
    pub fn held_by(&self, process: u32) -> usize {
        let is_thread = |id: u32| Path::new(&format!("/proc/{process}/task/{id}")).exists();
        self.lock().held.iter().filter(|request| is_thread(number(request, 32))).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for StallingDisk {
    fn drop(&mut self) {
        self.resume();
        // Lazily, because a process may still have files of it open.
        let _ = Command::new("umount").args(["-l", &self.path()]).status();
        let is_mounted = |path: &Path| {
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
            mounts.contains(path.to_str().unwrap())
        };
        let path = PathBuf::from(self.path());
        // The folder is removed next.
        eventually("the disk is gone", || !is_mounted(&path));
    }
}

fn serve(mut device: File, state: &Mutex<State>) {
    let mut buffer = vec![0; MESSAGE_MAX + 4096];
    // An error is the end of the mount.
    while let Ok(length @ 40..) = device.read(&mut buffer) {
        let request = &buffer[..length];
        let mut state = state.lock().unwrap();
        match number(request, 4) {
            FORGET | BATCH_FORGET | INTERRUPT => {}
            INIT => state.answer(request),
            _ if state.hangs => state.held.push(request.to_vec()),
            _ => state.answer(request),
        }
    }
}

impl State {
    fn answer(&mut self, request: &[u8]) {
        let outcome = self.outcome(request);
        let (error, body) = match outcome {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let mut message = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        message.extend(error.to_ne_bytes());
        message.extend(&request[8..16]);
        message.extend(body);
        // The process that asked may be gone.
        let _ = self.device.write(&message);
    }

    fn outcome(&self, request: &[u8]) -> Result<Vec<u8>, i32> {
        let (node, body) = (long(request, 16), &request[40..]);
        match number(request, 4) {
            INIT => Ok(greeting(number(body, 8))),
            LOOKUP => {
                let name = body.strip_suffix(&[0]).unwrap_or(body);
                let found = self.files.keys().position(|it| it.as_bytes() == name).ok_or(ENOENT)?;
                let node = found as u64 + 2;
                // The node, its generation, and how long name and attributes hold: not at all.
                Ok([&longs(&[node, 0, 0, 0, 0])[..], &self.attributes(node)?].concat())
            }
            GETATTR => Ok([&longs(&[0, 0])[..], &self.attributes(node)?].concat()),
            OPEN | OPENDIR => Ok(longs(&[node, 0])),
            READ => {
                let (offset, size) = (long(body, 8) as usize, number(body, 16) as usize);
                let content = self.content(node)?;
                let end = content.len().min(offset + size);
                Ok(content.get(offset..end).unwrap_or_default().to_vec())
            }
            STATFS => Ok(vec![0; 80]),
            RELEASE | RELEASEDIR => Ok(Vec::new()),
            _ => Err(ENOSYS),
        }
    }

    fn content(&self, node: u64) -> Result<&[u8], i32> {
        let at = usize::try_from(node).unwrap().checked_sub(2);
        at.and_then(|at| self.files.values().nth(at)).map(Vec::as_slice).ok_or(ENOENT)
    }

    fn attributes(&self, node: u64) -> Result<Vec<u8>, i32> {
        let (mode, size) = match node {
            ROOT => (0o040_755, 0),
            _ => (0o100_644, self.content(node)?.len() as u64),
        };
        let mut bytes = longs(&[node, size, size.div_ceil(512), 1, 1, 1]);
        for value in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0_u32] {
            bytes.extend(value.to_ne_bytes());
        }
        Ok(bytes)
    }
}

/// The version that is spoken, and so much read ahead as the kernel wants.
fn greeting(read_ahead: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let background = (64 << 16) | 64;
    for value in [7, 31, read_ahead, AT_ONCE, background, MESSAGE_MAX as u32, 1] {
        bytes.extend(value.to_ne_bytes());
    }
    bytes.resize(64, 0);
    bytes
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}
