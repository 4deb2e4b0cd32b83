//! Opening files below a root without ever leaving it. Every function here may block, and runs on a thread where it may.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, fstatfs, openat, openat2, readlinkat,
};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// A rename elsewhere may disturb the kernel while it follows a path; so often it is asked again.
const TRIES: usize = 4;

/// Why there is nothing to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// There is no such file below the root, or none that is served.
    Missing,
    /// This process may not read it.
    Forbidden,
    /// There is no descriptor left for it.
    Exhausted,
    /// The root is not there, or the disk failed.
    Failed(Errno),
}

impl From<Errno> for DiskError {
    fn from(errno: Errno) -> Self {
        match errno {
            // The last two: it leads out of the root, or over a link of /proc.
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::XDEV | Errno::LOOP => Self::Missing,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Self::Exhausted,
            errno => Self::Failed(errno),
        }
    }
}

impl From<io::Error> for DiskError {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content changed last, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// When anything of it changed last.
    pub changed_ns: i128,
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        let ns = |seconds: i64, ns: u64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Identity {
    /// The same with another size.
    pub fn of_size(self, size: u64) -> Self {
        Self { size, ..self }
    }
}

/// What the file system says of whether a read would wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It says so, for each read.
    Reported,
    /// It never would: its files lie in memory.
    Never,
    /// It does not say: overlayfs, for example, as containers have it.
    Untold,
}

impl Waits {
    /// What holds of an open file.
    pub fn of(file: &File) -> Self {
        /// tmpfs and ramfs (`linux/magic.h`).
        const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
        let kind = fstatfs(file).map(|fs| fs.f_type as u32);
        if kind.is_ok_and(|kind| IN_MEMORY.contains(&kind)) {
            return Self::Never;
        }
        let mut byte = [0];
        match preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Self::Untold,
            _ => Self::Reported,
        }
    }
}

/// What is at a path.
#[derive(Debug)]
pub enum Place {
    /// A regular file.
    File(Identity),
    /// A directory.
    Directory,
}

/// A directory below which files are opened.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

impl Root {
    /// Opens the directory, as it is now: what was in its place before is not of interest.
    ///
    /// # Errors
    /// It is not there, or cannot be entered.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::MFILE | Errno::NFILE => DiskError::Exhausted,
            errno => DiskError::Failed(errno),
        })?;
        Ok(Self { directory })
    }

    /// What is at a relative path; what is neither file nor directory is missing, and never opened for reading.
    ///
    /// # Errors
    /// There is nothing to serve.
    pub fn look(&self, path: &str) -> Result<Place, DiskError> {
        let stat = fstat(self.below(path, OFlags::PATH)?)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Place::File(Identity::of(&stat))),
            FileType::Directory => Ok(Place::Directory),
            _ => Err(DiskError::Missing),
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// There is none, or this process may not read it.
    pub fn open_file(&self, path: &str) -> Result<(File, Identity), DiskError> {
        let Place::File(_) = self.look(path)? else { return Err(DiskError::Missing) };
        // Should something else be there by now, then it is not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.below(path, flags)?);
        evenkeel_net::for_file(file.as_fd())?;
        let identity = identity(&file)?;
        Ok((file, identity))
    }

    /// Opens a directory for reading.
    ///
    /// # Errors
    /// There is none, or this process may not read it.
    pub fn open_directory(&self, path: &str) -> Result<OwnedFd, DiskError> {
        self.below(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn below(&self, path: &str, flags: OFlags) -> Result<OwnedFd, DiskError> {
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match openat2(&self.directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Ok(found) => return Ok(found),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // An absolute link may still lead to a place below the root; or the kernel, or what filters its calls, lacks
                // openat2.
                Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => return self.below_by_name(path, flags),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(DiskError::Failed(Errno::AGAIN))
    }

    /// Finds a file whatever leads to it, and then asks the kernel where it is: only below the root it is opened. So no
    /// change of a link can come between the question and the opening.
    fn below_by_name(&self, path: &str, flags: OFlags) -> Result<OwnedFd, DiskError> {
        let found = openat(&self.directory, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let (root, at) = (name_of(&self.directory)?, name_of(&found)?);
        if !Path::new(&at).starts_with(&root) {
            return Err(DiskError::Missing);
        }
        if flags.contains(OFlags::PATH) {
            return Ok(found);
        }
        let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
        Ok(openat(CWD, itself, flags | OFlags::CLOEXEC, Mode::empty())?)
    }
}

/// Where an open file is now; missing if it is gone.
fn name_of(file: &OwnedFd) -> Result<String, DiskError> {
    let name = readlinkat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
    let name = name.into_string().map_err(|_| DiskError::Missing)?;
    if name.ends_with(" (deleted)") || !name.starts_with('/') { Err(DiskError::Missing) } else { Ok(name) }
}

/// The state of an open file.
///
/// # Errors
/// It is no regular file.
pub fn identity(file: &File) -> Result<Identity, DiskError> {
    let stat = fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(DiskError::Missing);
    }
    Ok(Identity::of(&stat))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A folder with a root and something beside it, removed with the test.
    struct Sandbox(PathBuf);

    impl Sandbox {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("evenkeel-disk-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("root/deep")).unwrap();
            fs::write(folder.join("secret"), "secret").unwrap();
            fs::write(folder.join("root/a"), "a").unwrap();
            fs::write(folder.join("root/deep/b"), "b").unwrap();
            Self(folder)
        }

        fn root(&self) -> PathBuf {
            self.0.join("root")
        }
    }

    impl Drop for Sandbox {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(found: OwnedFd) -> String {
        let mut text = String::new();
        File::from(found).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_below_the_root() {
        let sandbox = Sandbox::new("links");
        let path = sandbox.root();
        symlink("deep/b", path.join("inside")).unwrap();
        symlink("../a", path.join("deep/up")).unwrap();
        symlink(path.join("a"), path.join("absolute")).unwrap();
        symlink("../secret", path.join("out")).unwrap();
        symlink(sandbox.0.join("secret"), path.join("absolute-out")).unwrap();
        symlink("/proc/self/root", path.join("magic")).unwrap();
        symlink("loop", path.join("loop")).unwrap();
        symlink("..", path.join("deep/parent")).unwrap();
        let root = Root::open(&path).unwrap();
        let flags = OFlags::RDONLY;
        for (name, expected) in
            [("a", "a"), ("inside", "b"), ("deep/up", "a"), ("absolute", "a"), ("deep/parent/a", "a")]
        {
            assert_eq!(read(root.below(name, flags).unwrap()), expected, "{name}");
            assert_eq!(read(root.below_by_name(name, flags).unwrap()), expected, "{name} by name");
        }
        for name in [
            "out",
            "absolute-out",
            "../secret",
            "deep/../../secret",
            "magic/etc/passwd",
            "loop",
            "a/b",
            "none",
            "deep/parent/../secret",
        ] {
            assert_eq!(root.below(name, flags).err(), Some(DiskError::Missing), "{name}");
            assert_eq!(root.below_by_name(name, flags).err(), Some(DiskError::Missing), "{name} by name");
        }
    }

    #[test]
    fn what_is_neither_file_nor_directory_is_missing_and_does_not_hang() {
        let sandbox = Sandbox::new("kinds");
        let path = sandbox.root();
        rustix::fs::mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
        symlink("/dev/zero", path.join("device")).unwrap();
        let root = Root::open(&path).unwrap();
        for name in ["fifo", "socket", "device"] {
            assert_eq!(root.look(name).err(), Some(DiskError::Missing), "{name}");
            assert_eq!(root.open_file(name).err(), Some(DiskError::Missing), "{name}");
        }
        assert!(matches!(root.look(""), Ok(Place::Directory)));
        assert!(matches!(root.look("deep"), Ok(Place::Directory)));
        assert_eq!(root.open_file("deep").err(), Some(DiskError::Missing));
        assert!(matches!(root.look("a"), Ok(Place::File(Identity { size: 1, .. }))));
        assert!(root.open_directory("deep").is_ok());
    }

    #[test]
    fn a_root_that_is_gone_is_our_fault() {
        let sandbox = Sandbox::new("gone");
        assert_eq!(Root::open(&sandbox.0.join("none")).err(), Some(DiskError::Failed(Errno::NOENT)));
        assert_eq!(Root::open(&sandbox.0.join("secret")).err(), Some(DiskError::Failed(Errno::NOTDIR)));
    }
}
