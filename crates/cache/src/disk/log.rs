//! The purges, written down, so that nothing that was purged comes back after a restart.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::record::{Record, decode, encode, take};

/// A file to which purges are appended.
#[derive(Debug)]
pub struct PurgeLog {
    file: File,
    path: PathBuf,
    /// Its length, in bytes.
    len: u64,
    /// A longer one is not begun.
    len_max: u64,
}

impl PurgeLog {
    /// The name of the file.
    const NAME: &str = "purges";
    /// A longer log is not begun: some 500,000 purges, which a start reads in a moment.
    const LEN_MAX: u64 = 32 << 20;
    /// Nor one that is a larger part of the disk cache.
    const PART: u64 = 32;

    /// Opens the log below `root`, of a cache of this size. Returns what it holds; `None` if it is damaged.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub fn open(root: &Path, size: u64) -> io::Result<(Self, Option<Vec<Record>>)> {
        let path = root.join(Self::NAME);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (len, len_max) = (bytes.len() as u64, Self::LEN_MAX.min(size / Self::PART));
        Ok((Self { file, path, len, len_max }, read_all(&bytes)))
    }

    /// Appends a purge.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let out = framed(record);
        self.len += out.len() as u64;
        self.file.write_all(&out)
    }

    /// Whether it is so long that only a purge of everything makes it shorter.
    pub fn is_full(&self) -> bool {
        self.len >= self.len_max
    }

    /// Forgets all purges but this one. A process that is killed meanwhile leaves the old log or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn restart(&mut self, record: &Record) -> io::Result<()> {
        let (out, new) = (framed(record), self.path.with_extension("new"));
        let mut file = OpenOptions::new().append(true).create(true).open(&new)?;
        file.set_len(0)?;
        file.write_all(&out)?;
        std::fs::rename(&new, &self.path)?;
        (self.file, self.len) = (file, out.len() as u64);
        Ok(())
    }

    /// A handle by which what was appended is brought to the disk, so that it survives a loss of power.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// A purge with its length and its checksum.
fn framed(record: &Record) -> Vec<u8> {
    let payload = encode(record);
    let mut out = (payload.len() as u32).to_le_bytes().to_vec();
    out.extend(&payload);
    out.extend(xxh3_64(&payload).to_le_bytes());
    out
}

fn read_all(mut bytes: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_le_bytes(take(&mut bytes)?) as usize;
        let (payload, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let sum: [u8; 8] = take(&mut bytes)?;
        (xxh3_64(payload).to_le_bytes() == sum).then_some(())?;
        records.push(decode(payload)?);
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use evenkeel_core::cache::{Scope, Strength, Wall};

    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_seen() {
        let scopes = [
            Scope::All,
            Scope::url("a.test", "/x", Some("y")),
            Scope::host("a.test").unwrap(),
            Scope::tag("red"),
            Scope::prefix("a.test", "/p/"),
        ];
        let root = std::env::temp_dir().join(format!("evenkeel-purge-log-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let records: Vec<Record> = (1..)
            .zip(scopes)
            .map(|(n, scope)| {
                (n, scope, if n % 2 == 0 { Strength::Hard } else { Strength::Soft(Wall::from_secs(n)) })
            })
            .collect();
        let (mut log, none) = PurgeLog::open(&root, 1 << 30).unwrap();
        assert_eq!(none, Some(Vec::new()));
        records.iter().for_each(|record| log.append(record).unwrap());
        assert_eq!(PurgeLog::open(&root, 1 << 30).unwrap().1, Some(records.clone()));
        let whole = std::fs::read(root.join("purges")).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            assert_ne!(read_all(&damaged), Some(records.clone()), "byte {at}");
        }
        log.restart(&records[0]).unwrap();
        assert_eq!(PurgeLog::open(&root, 1 << 30).unwrap().1, Some(records[..1].to_vec()));
        std::fs::remove_dir_all(root).unwrap();
    }
}
