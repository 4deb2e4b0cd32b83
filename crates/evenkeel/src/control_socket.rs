//! The control socket: a unix socket named by the pid, in a directory of the user's own, by which commands find running
//! processes and the kernel says who asks.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{env, process};

use evenkeel_config::ControlSocket as Setting;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::geteuid;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;
/// Where a service of systemd with `RuntimeDirectory=evenkeel` has its sockets.
const SERVICE_DIRECTORY: &str = "/run/evenkeel";
/// Entries of one directory that a command looks at.
const SOCKETS_MAX: usize = 1_000;

/// The control socket of this process. Dropping it removes the file.
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // After an upgrade, the new process may have put its own socket in this place.
        if file(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A control socket under a passing name, by which no command finds it. Dropping it removes the file.
pub struct Unnamed {
    passing: PathBuf,
    path: PathBuf,
    file: (u64, u64),
}

impl Unnamed {
    /// Gives it its name. It replaces a socket that an ended process left behind, and at an upgrade that of the old process: this process
    /// has bound its listeners by then, so no other process can need the name.
    ///
    /// # Errors
    /// The file cannot be renamed; in words.
    pub fn named(self) -> Result<ControlSocket, String> {
        let (path, file) = (self.path.clone(), self.file);
        fs::rename(&self.passing, &path).map_err(|why| cannot_open(&path, &why))?;
        Ok(ControlSocket { path, file })
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // There is none any more once it has its name.
        let _ = fs::remove_file(&self.passing);
    }
}

/// Binds the control socket, without its name yet; none if the setting says so.
///
/// # Errors
/// The directory or the socket cannot be made; in words.
pub fn open(setting: &Setting) -> Result<Option<(Unnamed, UnixListener)>, String> {
    let path = match setting {
        Setting::Off => return Ok(None),
        Setting::Path(path) => path.clone(),
        Setting::Auto => {
            let directory = own_directory();
            prepare(&directory)
                .map_err(|why| format!("cannot open a control socket in {}: {why}", directory.display()))?;
            drop(alive(&directory));
            directory.join(format!("{}.sock", process::id()))
        }
    };
    let opened = listen_for(&path).map_err(|why| cannot_open(&path, &why))?;
    Ok(Some(opened))
}

fn cannot_open(path: &Path, why: &io::Error) -> String {
    format!("cannot open the control socket {}: {why}", path.display())
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A socket of mode 0600 that is to have this name, and is listening by then.
fn listen_for(path: &Path) -> io::Result<(Unnamed, UnixListener)> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| !is_socket(&metadata)) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file at this path is not a socket"));
    }
    let name = path.file_name().unwrap_or_default();
    remove_left_over(path.parent().unwrap_or(Path::new(".")), name);
    let mut own = name.to_owned();
    own.push(format!(".{}", process::id()));
    let passing = path.with_file_name(own);
    // Left over from a process with the same pid.
    let _ = fs::remove_file(&passing);
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(&passing)?)?;
    let unnamed = Unnamed { file: file(&passing)?, passing, path: path.into() };
    fs::set_permissions(&unnamed.passing, Permissions::from_mode(0o600))?;
    listen(&socket, BACKLOG)?;
    Ok((unnamed, UnixListener::from(socket)))
}

/// Removes sockets with passing names, which processes have left behind that were ended before they served.
fn remove_left_over(directory: &Path, name: &OsStr) {
    let is_passing = |other: &OsStr| {
        let rest = other.as_bytes().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
        rest.is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().take(SOCKETS_MAX) {
        if is_passing(&entry.file_name()) {
            connect_or_remove(&entry.path());
        }
    }
}

/// Whether a process listens at a socket; its file is removed if none does.
fn connect_or_remove(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                let _ = fs::remove_file(path);
            }
            false
        }
    }
}

/// The directory in which this process has its socket.
fn own_directory() -> PathBuf {
    runtime_directory().or_else(session_directory).unwrap_or_else(temporary_directory)
}

/// What systemd gives a service with `RuntimeDirectory=`: the first of a list.
fn runtime_directory() -> Option<PathBuf> {
    let names = env::var_os("RUNTIME_DIRECTORY")?;
    env::split_paths(&names).next().filter(|path| path.is_absolute())
}

fn session_directory() -> Option<PathBuf> {
    let directory = env::var_os("XDG_RUNTIME_DIR").filter(|name| !name.is_empty())?;
    Some(within(directory.into()))
}

fn within(directory: PathBuf) -> PathBuf {
    directory.join("evenkeel")
}

fn temporary_directory() -> PathBuf {
    format!("/tmp/evenkeel-{}", geteuid().as_raw()).into()
}

/// Makes a directory of mode 0700 if there is none, and checks it.
fn prepare(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check(&fs::symlink_metadata(directory)?, geteuid().as_raw()).map_err(io::Error::other)
}

/// Refuses a directory in which a user other than `owner` could put a socket of its own: `/tmp` is open to all.
fn check(metadata: &Metadata, owner: u32) -> Result<(), String> {
    if !metadata.is_dir() {
        return Err("it is not a directory".into());
    }
    if metadata.uid() != owner {
        return Err(format!("it belongs to uid {}, and this process to uid {owner}", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("others may write to it: its mode is {:o}", metadata.mode() & 0o7777));
    }
    Ok(())
}

fn is_socket(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_socket()
}

/// The control sockets of all running processes that this user may reach, by pid. Sockets that dead processes left
/// behind are removed.
pub fn running() -> Vec<(u32, PathBuf)> {
    let directories = directories().into_iter().filter(|directory| is_sound(directory));
    let mut found: Vec<_> = directories.flat_map(|directory| alive(&directory)).collect();
    found.sort();
    found.dedup();
    found
}

/// The sockets in a directory at which a process listens; the others are removed.
fn alive(directory: &Path) -> Vec<(u32, PathBuf)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    for entry in entries.flatten().take(SOCKETS_MAX) {
        let name = entry.file_name();
        let Some((pid, rest)) = name.to_str().and_then(|name| name.split_once(".sock")) else { continue };
        let (Ok(pid), path) = (pid.parse::<u32>(), entry.path()) else { continue };
        // One of a process that does not serve yet is not found, but is not left behind either.
        let is_passing = rest.strip_prefix('.').is_some_and(|rest| rest.parse::<u32>().is_ok());
        if !rest.is_empty() && !is_passing {
            continue;
        }
        let is_alive = connect_or_remove(&path);
        found.extend((is_alive && !is_passing).then_some((pid, path)));
    }
    found
}

/// Whether only its owner can have put files there. The directory of a service belongs to the user of the service.
fn is_sound(directory: &Path) -> bool {
    let us = geteuid().as_raw();
    let is_service = us == 0 && !directory.starts_with("/tmp");
    let sound = |metadata: Metadata| check(&metadata, if is_service { metadata.uid() } else { us }).is_ok();
    fs::symlink_metadata(directory).is_ok_and(sound)
}

/// Where processes of this user have their sockets. With `$RUNTIME_DIRECTORY` that directory alone.
fn directories() -> Vec<PathBuf> {
    if let Some(directory) = runtime_directory() {
        return vec![directory];
    }
    let session = within(format!("/run/user/{}", geteuid().as_raw()).into());
    let mut directories = vec![own_directory(), session, temporary_directory(), SERVICE_DIRECTORY.into()];
    directories.dedup();
    directories
}
