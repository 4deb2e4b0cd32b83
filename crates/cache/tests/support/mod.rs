//! A store with a disk, and requests for what is in it.

#![allow(clippy::unwrap_used, dead_code)]

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_cache::{
    Codec, DiskLimits, Found, Joined, Limits, NewHead, Object, Piece, Reader, Store, Writer,
};
use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{HostId, TagId, UrlId};
use evenkeel_types::Time;

pub const NOW: Time = Time::from_millis(1_000);

/// The version of an object.
pub type Version = u64;
pub type Stored = Arc<Store<Version>>;

pub const CODEC: Codec<Version> = Codec {
    encode: |version, out| out.extend(version.to_le_bytes()),
    decode: |bytes| bytes.try_into().ok().map(u64::from_le_bytes),
};

/// A directory that is removed in the end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("evenkeel-cache-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Self(path)
    }

    /// All files of objects below it.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).unwrap().flatten().map(|entry| entry.path());
        let directories = entries.filter(|path| path.is_dir() && path.file_name().unwrap() != "tmp");
        directories
            .flat_map(|path| std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()))
            .collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Opens a store, once the one before has let go of the directory.
pub fn open(path: &Path, memory: u64, size: u64) -> Stored {
    let disk = DiskLimits { path: path.into(), size };
    let limits = Limits { capacity: memory, policy: Policy::S3Fifo };
    let mut opened = None;
    wait(|| {
        opened = Store::open(limits, &disk, CODEC).ok();
        opened.is_some()
    });
    let store = opened.unwrap();
    wait(|| store.is_walked());
    store
}

/// Waits for a condition, ten seconds at most.
pub fn wait(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "it does not come true");
        thread::sleep(Duration::from_millis(1));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub fn block<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(poll_fn(poll));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Stores a body under a key. Returns whether it is in memory.
pub fn put(store: &Stored, key: &str, version: Version, tags: &[TagId], body: &[u8]) -> bool {
    let leader = loop {
        match store.lookup(key.as_bytes(), NOW, |_| false) {
            Found::Nothing(leader) | Found::Marked(leader) => break leader,
            // An older version comes from the disk.
            Found::Filling(mut reader) | Found::Loading(mut reader) => drop(block(|cx| reader.poll_head(cx))),
            Found::Object(_) => return false,
        }
    };
    let (url, host) = (UrlId::whole("a.test", key, None), HostId::of("a.test"));
    let head = NewHead { url, host, path: key, tags, vary: b"", response: b"200 OK", meta: version };
    let Ok(mut writer) = leader.publish(head, u64::MAX) else { return false };
    for piece in body.chunks(50_000) {
        if writer.push(Bytes::copy_from_slice(piece), NOW).is_err() {
            return false;
        }
    }
    writer.finish(Bytes::new(), NOW).is_some()
}

/// Begins to store a body under a key that is not there.
pub fn publish(store: &Stored, key: &str, max: u64) -> Writer<Version> {
    let (Found::Nothing(leader) | Found::Marked(leader)) = store.lookup(key.as_bytes(), NOW, |_| false)
    else {
        panic!("{key} is there")
    };
    let (url, host) = (UrlId::whole("a.test", key, None), HostId::of("a.test"));
    let head = NewHead { url, host, path: key, tags: &[], vary: b"", response: b"200 OK", meta: 0 };
    leader.publish(head, max).unwrap()
}

/// What is stored under a key, in memory or on the disk.
pub fn find(store: &Stored, key: &str) -> Option<Arc<Object<Version>>> {
    for _ in 0..10 {
        match store.lookup(key.as_bytes(), NOW, |_| true) {
            Found::Object(hit) => return Some(hit.object),
            Found::Nothing(_) | Found::Marked(_) => return None,
            Found::Filling(mut reader) | Found::Loading(mut reader) => match block(|cx| reader.poll_head(cx))
            {
                Joined::Again => {}
                Joined::Object(object) => return Some(object),
                Joined::Head(_) | Joined::Alone(_) => return None,
            },
        }
    }
    panic!("{key}: looks again without an end");
}

/// What the store has for a key, once it is in memory.
pub fn look(store: &Stored, key: &str) -> Found<Version> {
    drop(find(store, key));
    store.lookup(key.as_bytes(), NOW, |_| true)
}

/// The body of an object from an offset on; `None` if it broke off.
pub fn body(store: &Stored, object: &Arc<Object<Version>>, offset: u64) -> Option<Vec<u8>> {
    if object.is_on_disk() {
        return read(store.read(object, offset)?);
    }
    let mut whole = Vec::new();
    while let Some(bytes) = object.chunk_at(offset + whole.len() as u64) {
        whole.extend_from_slice(&bytes);
    }
    Some(whole)
}

fn read(mut reader: Reader<Version>) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        match block(|cx| reader.poll_next(cx)) {
            Piece::Chunk(bytes) => whole.extend_from_slice(&bytes),
            Piece::End(_) => return Some(whole),
            Piece::Failed => return None,
        }
    }
}

/// A body that no other key or version has.
pub fn content(key: &str, version: Version, len: usize) -> Vec<u8> {
    let text = format!("{key} {version} {len};");
    text.bytes().cycle().take(len).collect()
}
