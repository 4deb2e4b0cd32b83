//! Keeps what a stored body was compressed to: at once, or as it was recorded while one client was sent it.

use bytes::Bytes;
use evenkeel_core::cache::evict::Resident as _;
use evenkeel_core::encoding::Encoding;

use crate::chunks::Chunks;
use crate::coded::Coded;
use crate::object::Object;
use crate::room::Room;
use crate::store::Store;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Keeps a compressed form of an object's body, which serves later requests for that coding. It is not kept if the
    /// object has left the store or has one of that level or a higher one, or if there is no room. Returns whether it was
    /// kept.
    pub fn keep_coded(&self, object: &Object<M>, encoding: Encoding, level: u32, body: Bytes) -> bool {
        self.keep(object, encoding, Coded::new(vec![body], level))
    }

    fn keep(&self, object: &Object<M>, encoding: Encoding, coded: Coded) -> bool {
        let (bytes, level, bodies) = (coded.memory(), coded.level(), object.coded_bodies());
        let mut order = self.order();
        let is_wanted = object.is_in_order() && bodies.wants(encoding, level);
        if !is_wanted || object.bytes() + bytes > self.largest() {
            return false;
        }
        let (room, victims) = self.evict(&mut order, bytes);
        // The object itself may have made room.
        let is_kept = room == Room::Fits && object.is_in_order();
        let mut replaced = None;
        if is_kept {
            let before = object.bytes();
            replaced = bodies.replace(encoding, coded);
            order.eviction.resized(object.slot(), before, object.bytes());
        }
        drop(order);
        self.pinned.add_coded(replaced);
        self.leave_table(&victims);
        is_kept
    }

    /// Records what an encoder makes of an object's body at this level. `None` if it is of no use: it is there already,
    /// another request records it, or the body has trailers, which are not sent behind a length, or is on the disk, which is
    /// there to spare memory.
    pub fn record(
        self: &Arc<Self>,
        object: &Arc<Object<M>>,
        encoding: Encoding,
        level: u32,
    ) -> Option<Recorder<M>> {
        let is_fit = object.is_in_order() && object.trailers().is_empty() && !object.is_on_disk();
        let is_wanted = is_fit && object.coded_bodies().wants(encoding, level);
        (is_wanted && object.coded_bodies().claim(encoding)).then(|| Recorder {
            store: Arc::clone(self),
            object: Arc::clone(object),
            encoding,
            level,
            chunks: Chunks::default(),
            counted: 0,
            is_over: false,
        })
    }
}

/// Records a compressed body while it is sent, and keeps it when it is whole. Dropping it before the end forgets it.
#[derive(Debug)]
pub struct Recorder<M: Clone + Send + Sync + 'static> {
    store: Arc<Store<M>>,
    object: Arc<Object<M>>,
    encoding: Encoding,
    level: u32,
    chunks: Chunks,
    /// Its part of what is in transit, in bytes.
    counted: u64,
    /// It will not be kept.
    is_over: bool,
}

impl<M: Clone + Send + Sync + 'static> Recorder<M> {
    /// Appends a piece, which is copied.
    pub fn push(&mut self, piece: &[u8]) {
        if self.is_over {
            return;
        }
        let is_shorter = self.chunks.end() + (piece.len() as u64) < self.object.body_len();
        let bytes = piece.len() as u64 + Chunks::OVERHEAD;
        if self.object.is_gone() || !is_shorter || !self.store.reserve(bytes) {
            self.is_over = true;
            self.chunks.clear();
            return self.uncount(0);
        }
        self.counted += bytes;
        self.chunks.push(Bytes::copy_from_slice(piece), true);
        self.uncount(self.chunks.memory());
    }

    /// The compressed body is whole. Returns whether it was kept.
    pub fn finish(mut self) -> bool {
        if self.is_over {
            return false;
        }
        let coded = Coded::new(self.chunks.finish(), self.level);
        // The object counts it from now on.
        self.uncount(0);
        self.store.keep(&self.object, self.encoding, coded)
    }

    /// Counts no more than `bytes`.
    fn uncount(&mut self, bytes: u64) {
        if let Some(surplus) = self.counted.checked_sub(bytes) {
            self.store.filling.fetch_sub(surplus, Ordering::AcqRel);
            self.counted = bytes;
        }
    }
}

impl<M: Clone + Send + Sync + 'static> Drop for Recorder<M> {
    fn drop(&mut self) {
        self.uncount(0);
        self.object.coded_bodies().release(self.encoding);
    }
}
