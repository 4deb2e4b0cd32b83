//! A body that is sent from the disk, piece by piece, as fast as its reader takes it.

use std::fs::File;
use std::task::{Context, Poll};

use super::format::{PIECE, Prefix};
use super::parked::Parked;
use super::run::read_piece;
use crate::chunks::Chunks;
use crate::fill::{Fill, Phase, Progress};
use crate::head::Head;
use crate::object::Object;
use crate::reader::Reader;
use crate::store::Store;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// A reader is at most so many bytes behind.
const WINDOW: u64 = 2 * PIECE as u64;

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Stream<M> {
    fill: Arc<Fill<M>>,
    object: Arc<Object<M>>,
    file: Option<File>,
    prefix: Prefix,
    next: u64,
}

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Reads the body of an object that is on the disk, from an offset on. The reader's head is there at once. `None` if the
    /// body is in memory, if its file has made room for others, or if too many wait for the disk: then fetch it, alone.
    pub fn read(self: &Arc<Self>, object: &Arc<Object<M>>, offset: u64) -> Option<Reader<M>> {
        let (disk, on_disk) = (self.disk()?, object.file()?);
        if !lock(&disk.index).holds(&on_disk.entry) {
            self.drop_object(object);
            return None;
        }
        let head: Head<M> = object.head().clone();
        let flight = self.flights.begin(|| self.purges.newest());
        let fill = Fill::new(head.key(), flight, None, Arc::clone(&self.filling));
        let fill = Arc::new(fill);
        fill.set_phase(Phase::Open(Arc::new(head)));
        let mut reader = Reader::join(&fill, &self.purges)?;
        fill.pass(WINDOW);
        let next = offset / PIECE as u64;
        reader.skip(offset % PIECE as u64);
        let prefix = on_disk.prefix;
        let stream = Stream { fill, object: Arc::clone(object), file: None, prefix, next };
        let (store, stream) = (Arc::clone(self), Box::new(stream));
        disk.pool.read(Box::new(move || stream.run(&store))).then_some(reader)
    }
}

impl<M: Clone + Send + Sync + 'static> Stream<M> {
    /// Reads on until the reader is far enough behind, has left, or has everything.
    pub fn run(mut self: Box<Self>, store: &Arc<Store<M>>) {
        loop {
            let (parked, waker) = Parked::new(store, Self::run);
            match self.fill.poll_ready(&Context::from_waker(&waker), || false) {
                Poll::Ready(Progress::Abandoned) => return,
                Poll::Ready(Progress::Going) => {
                    if !self.step(store) {
                        return;
                    }
                }
                Poll::Pending => match parked.park(self) {
                    None => return,
                    Some(woken) => self = woken,
                },
            }
        }
    }

    /// Sends a piece. Returns whether there are more.
    fn step(&mut self, store: &Arc<Store<M>>) -> bool {
        if self.next * PIECE as u64 >= self.prefix.body_len {
            let trailers = bytes::Bytes::copy_from_slice(self.object.trailers());
            self.fill.complete(Arc::new(self.object.head().clone()), trailers, None);
            return false;
        }
        let piece = self.piece(store);
        let Some(piece) = piece.ok().flatten() else {
            // What has been sent cannot be taken back: the reader breaks off.
            store.drop_object(&self.object);
            self.fill.set_phase(Phase::Broken);
            return false;
        };
        self.next += 1;
        let counted = piece.len() as u64 + Chunks::OVERHEAD;
        store.filling.fetch_add(counted, Ordering::AcqRel);
        self.fill.push(piece, counted) == Progress::Going
    }

    fn piece(&mut self, store: &Arc<Store<M>>) -> std::io::Result<Option<bytes::Bytes>> {
        let (Some(disk), Some(on_disk)) = (store.disk(), self.object.file()) else { return Ok(None) };
        let entry = &on_disk.entry;
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(entry.path(&disk.root))?,
        };
        let piece = read_piece(&file, self.prefix, entry.stamp, self.next);
        self.file = Some(file);
        piece
    }
}
