//! Bytes in a file that lies in memory and does not change: read as a slice, and sent by the kernel without a copy.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::descriptors::{files_max, for_file};

/// How many there are. Each takes a descriptor and one of the process's mappings.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A sealed memory file (`memfd_create(2)`) and its mapping.
#[derive(Debug)]
pub struct MemoryFile {
    file: File,
    map: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is read-only, the file behind it is sealed, and `map` is this value's own until it is dropped.
unsafe impl Send for MemoryFile {}
// SAFETY: as above; all methods read.
unsafe impl Sync for MemoryFile {}

impl MemoryFile {
    /// A file with these pieces, one behind the other. Copies them.
    ///
    /// # Errors
    /// `InvalidInput` for no bytes; the kernel's error if there is no memory; `EMFILE` if descriptors run short, or as many
    /// files as [`files_max`] exist already.
    pub fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Self> {
        let mut file = File::from(memfd_create("evenkeel", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        for_file(file.as_fd())?;
        let mut length = 0;
        for piece in pieces {
            file.write_all(piece)?;
            length += piece.len();
        }
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        if length == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if COUNT.fetch_add(1, Ordering::Relaxed) >= files_max() {
            COUNT.fetch_sub(1, Ordering::Relaxed);
            return Err(rustix::io::Errno::MFILE.into());
        }
        // SAFETY: a new mapping at a place that the kernel chooses; nothing else refers to it. The file has these bytes, and
        // its seals keep anyone from taking them away or changing them.
        let map = unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, &file, 0) };
        match map.map(|map| NonNull::new(map.cast())) {
            Ok(Some(map)) => Ok(Self { file, map, length }),
            failed => {
                COUNT.fetch_sub(1, Ordering::Relaxed);
                Err(failed.err().map_or_else(|| io::ErrorKind::OutOfMemory.into(), io::Error::from))
            }
        }
    }
}

impl AsRef<[u8]> for MemoryFile {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `map` is valid for `length` bytes until it is unmapped in `drop`, and the seals keep the bytes as they are.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.length) }
    }
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: it was mapped with this length, and no slice of it outlives this value.
        let _ = unsafe { munmap(self.map.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn pieces_are_one_behind_the_other_and_do_not_change() {
        let long = vec![7; 100_000];
        let file = MemoryFile::of([&b"abc"[..], b"", &long]).unwrap();
        assert_eq!(file.as_ref().len(), 100_003);
        assert!(file.as_ref().starts_with(b"abc\x07") && file.as_ref().ends_with(&[7; 100]));
        assert!(file.file.write_at(b"x", 0).is_err());
        assert!(file.file.set_len(0).is_err());
        assert!(MemoryFile::of([]).is_err());
    }

    #[test]
    fn each_is_counted_until_it_goes() {
        let files: Vec<_> = (0..files_max().min(20)).map(|_| MemoryFile::of([&b"a"[..]]).unwrap()).collect();
        assert!(COUNT.load(Ordering::Relaxed) >= files.len());
    }
}
