//! The control socket: a unix socket named by the pid, in a directory of the user's own, by which commands find running
//! processes and the kernel says who asks.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
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

/// Binds the control socket; none if the setting says so.
///
/// # Errors
/// The directory or the socket cannot be made; in words.
pub fn open(setting: &Setting) -> Result<Option<(ControlSocket, UnixListener)>, String> {
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
    let listener = listen_at(&path).and_then(|listener| Ok((file(&path)?, listener)));
    let (file, listener) =
        listener.map_err(|why| format!("cannot open the control socket {}: {why}", path.display()))?;
    Ok(Some((ControlSocket { path, file }, listener)))
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A socket of mode 0600 that is listening when it first has its name. It replaces a socket that an ended process left behind, and
/// at an upgrade that of the old process: this process has bound its listeners by then, so no other process can need the name.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| !is_socket(&metadata)) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file at this path is not a socket"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", process::id()));
    let passing = path.with_file_name(name);
    // Left over from a process with the same pid.
    let _ = fs::remove_file(&passing);
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(&passing)?)?;
    let named = fs::set_permissions(&passing, Permissions::from_mode(0o600))
        .and_then(|()| Ok(listen(&socket, BACKLOG)?))
        .and_then(|()| fs::rename(&passing, path));
    named.inspect_err(|_| drop(fs::remove_file(&passing)))?;
    Ok(UnixListener::from(socket))
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
        let pid = name.to_str().and_then(|name| name.strip_suffix(".sock")?.parse::<u32>().ok());
        let Some(pid) = pid else { continue };
        let path = entry.path();
        match UnixStream::connect(&path) {
            Ok(_) => found.push((pid, path)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = fs::remove_file(&path);
            }
            Err(_) => {}
        }
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
