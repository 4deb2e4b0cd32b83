//! What the disk threads do: load objects, save them, remove files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use evenkeel_core::cache::PurgeVerdict;
use evenkeel_types::Time;

use super::area::Disk;
use super::format::{self, Decoded, PREFIX, Prefix};
use super::index::{Entry, LOADED_MAX, Name};
use crate::figures::add;
use crate::fill::{Fill, Phase};
use crate::head::Head;
use crate::key::Id;
use crate::object::{Object, OnDisk};
use crate::reader::Why;
use crate::store::Store;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// The most that is read at once in the hope that it is the whole head.
const FIRST_READ: usize = 8 << 10;

/// Brings what there is for a key into memory.
pub fn load<M: Clone + Send + Sync + 'static>(
    store: &Arc<Store<M>>,
    fill: &Arc<Fill<M>>,
    id: Id,
    entries: &[Arc<Entry>],
    now: Time,
) {
    let Some(disk) = store.disk() else { return };
    let mut objects = Vec::new();
    for entry in entries {
        let object = read(disk, entry).ok().flatten().filter(|object| {
            // The rules that an object is held against must be as many as when it was written.
            let is_known = object.head().sequence() <= store.purges.newest();
            is_known && object.head().key() == fill.key() && store.variant_id(object.head()) == entry.variant
        });
        match object {
            Some(object) if hold_loaded(store, &object) => objects.push(Arc::new(object)),
            _ => {
                lock(&disk.index).remove(entry);
                entry.remove_file(&disk.root);
            }
        }
    }
    add(&disk.read, objects.len() as u64);
    let is_in = store.insert_loaded(id, &objects, fill, now);
    fill.set_phase(if is_in { Phase::Again } else { Phase::Alone(Why::Failed) });
}

/// Holds an object against all purges. Returns whether it may be used.
fn hold_loaded<M: Clone + Send + Sync + 'static>(store: &Store<M>, object: &Object<M>) -> bool {
    let newest = store.purges.newest();
    match store.purges.judge_loaded(object.head()) {
        PurgeVerdict::Gone => return false,
        PurgeVerdict::Stale(since) => object.set_purged(since),
        PurgeVerdict::Live => {}
    }
    object.set_checked(newest);
    true
}

/// Reads an object; `None` if the file is damaged.
fn read<M: Clone>(disk: &Disk<M>, entry: &Arc<Entry>) -> io::Result<Option<Object<M>>> {
    let file = File::open(entry.path(&disk.root))?;
    let Some((prefix, decoded)) = read_head(disk, &file)? else { return Ok(None) };
    let Decoded { head, trailers, stamp } = decoded;
    if prefix.file_len() != Some(file.metadata()?.len()) || stamp != entry.stamp {
        return Ok(None);
    }
    let newer = if entry.has_head() { read_newer_head(disk, entry, prefix, &head) } else { None };
    let (head, trailers) = newer.unwrap_or((head, trailers));
    let fingerprint = entry.id.fingerprint();
    if prefix.body_len > LOADED_MAX {
        let file = OnDisk { entry: Arc::clone(entry), prefix, trailers };
        return Ok(Some(Object::on_disk(&head, file, fingerprint, 0)));
    }
    let mut pieces = Vec::new();
    for index in 0..prefix.body_len.div_ceil(format::PIECE as u64) {
        let Some(piece) = read_piece(&file, prefix, entry.stamp, index)? else { return Ok(None) };
        pieces.push(piece);
    }
    Ok(Some(Object::new(&head, pieces, trailers, fingerprint, 0)))
}

fn read_head<M>(disk: &Disk<M>, file: &File) -> io::Result<Option<(Prefix, Decoded<M>)>> {
    let mut bytes = vec![0; FIRST_READ];
    let mut len = 0;
    // Reads less at the end of a file.
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => break,
            n => len += n,
        }
    }
    let Some(prefix) = bytes.get(..len.min(PREFIX)).and_then(Prefix::read) else { return Ok(None) };
    bytes.resize(prefix.head_len, 0);
    if prefix.head_len > len {
        file.read_exact_at(&mut bytes[len..], len as u64)?;
    }
    Ok(format::decode_head(&bytes, &disk.codec).map(|decoded| (prefix, decoded)))
}

/// Reads the head beside a file; `None` if it is damaged or of another one.
fn read_newer_head<M>(
    disk: &Disk<M>,
    entry: &Entry,
    of: Prefix,
    older: &Head<M>,
) -> Option<(Head<M>, Bytes)> {
    let file = File::open(entry.head_path(&disk.root)).ok()?;
    let (prefix, Decoded { head, trailers, stamp }) = read_head(disk, &file).ok()??;
    let is_of = (stamp, prefix.body_len) == (entry.stamp, of.body_len);
    (is_of && (head.key(), head.vary()) == (older.key(), older.vary())).then_some((head, trailers))
}

/// Reads a piece of a body; `None` if it is damaged.
pub fn read_piece(file: &File, prefix: Prefix, stamp: u64, index: u64) -> io::Result<Option<Bytes>> {
    let (offset, len) = prefix.piece(index);
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    if format::checked_piece(&bytes, (stamp, index)).is_none() {
        return Ok(None);
    }
    bytes.truncate(len - format::SUM);
    Ok(Some(bytes.into()))
}

/// Writes an object.
pub fn save<M: Clone + Send + Sync + 'static>(
    store: &Arc<Store<M>>,
    object: &Arc<Object<M>>,
    name: Name,
    now: Time,
) {
    let Some(disk) = store.disk() else { return };
    let Name { variant, stamp, .. } = name;
    let head = format::encode_head(object.head(), object.trailers(), object.body_len(), stamp, &disk.codec);
    let head = head.filter(|_| !disk.is_closed.load(Ordering::Acquire));
    let len = head.as_deref().and_then(Prefix::read).and_then(Prefix::file_len);
    let reserved = head.zip(len).and_then(|(head, len)| {
        let entry = Arc::new(Entry::new(name, len));
        let victims = lock(&disk.index).reserve(entry.bytes)?;
        Some((head, entry, victims))
    });
    let Some((head, entry, victims)) = reserved else {
        lock(&disk.index).give_up(variant, stamp);
        return;
    };
    disk.remove_files_now(&victims);
    let written = write(disk, object, head, &entry);
    let left = {
        let mut index = lock(&disk.index);
        index.release(entry.bytes);
        let mut left = if written.is_ok() {
            index.add_written(&entry, now)
        } else {
            index.give_up(variant, stamp);
            Vec::new()
        };
        left.extend(index.shrink());
        left
    };
    disk.remove_files_now(&left);
    match written {
        Ok(()) => disk.succeeded(),
        Err(error) => disk.failed("a response", &error),
    }
}

/// Writes a newer head beside a file.
pub fn save_head<M: Clone + Send + Sync + 'static>(
    store: &Arc<Store<M>>,
    entry: &Arc<Entry>,
    head: &[u8],
    stamp: u64,
) {
    let Some(disk) = store.disk() else { return };
    let (unfinished, path) = (disk.unfinished(stamp), entry.head_path(&disk.root));
    // Before it is there, so that no removal of the file forgets it.
    entry.set_head();
    let written = fs::write(&unfinished, head).and_then(|()| fs::rename(&unfinished, &path));
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    if !lock(&disk.index).holds(entry) {
        drop(fs::remove_file(&path));
    }
    match written {
        Ok(()) => disk.succeeded(),
        Err(error) => disk.failed("a response", &error),
    }
}

/// Writes a file under another name, and gives it its own when it is whole.
fn write<M>(disk: &Disk<M>, object: &Object<M>, head: Vec<u8>, entry: &Entry) -> io::Result<()> {
    let unfinished = disk.unfinished(entry.stamp);
    let written = write_all(&unfinished, object, head, entry.stamp)
        .and_then(|()| rename(&unfinished, &entry.path(&disk.root)));
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written
}

/// Gives a file that is whole its own name.
pub fn rename(unfinished: &Path, path: &Path) -> io::Result<()> {
    fs::rename(unfinished, path).or_else(|_| {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::rename(unfinished, path)
    })
}

fn write_all<M>(path: &Path, object: &Object<M>, head: Vec<u8>, stamp: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut out = head;
    let (mut piece, mut offset, mut index) = (Vec::with_capacity(format::PIECE), 0, 0);
    // The pieces in memory are of any size, those of the file are not.
    while let Some(bytes) = object.chunk_at(offset) {
        let taken = bytes.len().min(format::PIECE - piece.len());
        piece.extend_from_slice(&bytes[..taken]);
        offset += taken as u64;
        if piece.len() == format::PIECE || offset == object.body_len() {
            format::encode_piece(&piece, (stamp, index), &mut out);
            index += 1;
            file.write_all(&out)?;
            out.clear();
            piece.clear();
        }
    }
    file.write_all(&out)
}
