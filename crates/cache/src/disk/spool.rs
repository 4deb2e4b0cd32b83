//! A body that memory has no room for goes to the disk while it arrives: the disk is one more reader of the fetch.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::cache::PurgeVerdict;
use evenkeel_types::Time;

use super::area::Disk;
use super::format::{self, PIECE};
use super::index::{Entry, Name};
use super::parked::Parked;
use super::run::rename;
use crate::fill::Fill;
use crate::head::Head;
use crate::key::Id;
use crate::reader::{Piece, Reader};
use crate::store::Store;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::sync::lock;

/// Room on the disk is taken in such steps, because the length of a body is not always known.
const STEP: u64 = 1 << 20;

/// A body on its way to the disk.
#[derive(Debug)]
pub(crate) struct Spool<M> {
    reader: Reader<M>,
    head: Arc<Head<M>>,
    name: Name,
    now: Time,
    file: Option<File>,
    /// The length of all that comes before the body.
    head_len: u64,
    /// The length of the body so far.
    len: u64,
    /// What is not yet a whole piece of the file.
    piece: Vec<u8>,
    /// The room that was taken.
    reserved: u64,
}

/// Why a body is not kept on the disk.
enum Unkept {
    /// It has no room, or no reader wants it any more.
    Unwanted,
    /// It could not be written.
    Failed(io::Error),
}

impl From<io::Error> for Unkept {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Has the disk read a fetch from its beginning. Returns whether it does.
    pub(crate) fn spool(
        self: &Arc<Self>,
        id: Id,
        fill: &Arc<Fill<M>>,
        head: &Arc<Head<M>>,
        now: Time,
    ) -> bool {
        let Some(disk) = self.own_disk().filter(|disk| !disk.is_closed.load(Ordering::Acquire)) else {
            return false;
        };
        let (variant, url) = (self.variant_id(head), self.url_hash(head.url()));
        let stamp = disk.stamp.fetch_add(1, Ordering::AcqRel) + 1;
        // The first of several that fetch the same for longer than others wait for it is the first to have it whole.
        let name = Name { id, variant, url, stamp };
        if !lock(&disk.index).expect_first(name) {
            return false;
        }
        let Some(reader) = Reader::spool(fill, &self.purges) else {
            lock(&disk.index).give_up(variant, stamp);
            return false;
        };
        let (head, file, piece) = (Arc::clone(head), None, Vec::with_capacity(PIECE));
        let (head_len, len, reserved) = (0, 0, 0);
        let spool = Box::new(Spool { reader, head, name, now, file, head_len, len, piece, reserved });
        let store = Arc::clone(self);
        disk.pool.resume(Box::new(move || spool.run(&store)));
        true
    }
}

impl<M: Clone + Send + Sync + 'static> Spool<M> {
    /// Writes on until there is no more for now, or the body is whole.
    fn run(mut self: Box<Self>, store: &Arc<Store<M>>) {
        let Some(disk) = store.disk() else { return };
        loop {
            let (parked, waker) = Parked::new(store, Self::run);
            let written = match self.reader.poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Piece::Chunk(bytes)) => self.append(disk, &bytes),
                Poll::Ready(Piece::End(trailers)) => return self.end(store, disk, &trailers),
                Poll::Ready(Piece::Failed) => Err(Unkept::Unwanted),
                Poll::Pending => match parked.park(self) {
                    None => return,
                    Some(woken) => {
                        self = woken;
                        continue;
                    }
                },
            };
            if let Err(why) = written {
                return self.give_up(disk, &why);
            }
        }
    }

    fn append(&mut self, disk: &Disk<M>, bytes: &Bytes) -> Result<(), Unkept> {
        if self.file.is_none() {
            let mut file = File::create_new(disk.unfinished(self.name.stamp))?;
            let head = self.encoded(disk).ok_or(Unkept::Unwanted)?;
            self.head_len = head.len() as u64;
            file.write_all(&head)?;
            self.file = Some(file);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (taken, after) = rest.split_at(rest.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(taken);
            rest = after;
            if self.piece.len() == PIECE {
                self.write_piece(disk)?;
            }
        }
        Ok(())
    }

    /// Writes what there is of a piece.
    fn write_piece(&mut self, disk: &Disk<M>) -> Result<(), Unkept> {
        let index = self.len / PIECE as u64;
        self.len += self.piece.len() as u64;
        // The checksums come to a 8,192th.
        if self.len + self.len / 4_096 + self.head_len > self.reserved {
            let mut index = lock(&disk.index);
            let victims = index.reserve_more(self.reserved, STEP).ok_or(Unkept::Unwanted)?;
            drop(index);
            self.reserved += STEP;
            disk.remove_files_now(&victims);
        }
        let mut out = Vec::with_capacity(PIECE + format::SUM);
        format::encode_piece(&self.piece, (self.name.stamp, index), &mut out);
        self.piece.clear();
        self.file.as_mut().ok_or(Unkept::Unwanted)?.write_all(&out)?;
        Ok(())
    }

    fn encoded(&self, disk: &Disk<M>) -> Option<Vec<u8>> {
        format::encode_head(&self.head, &[], self.len, self.name.stamp, &disk.codec)
    }

    /// The body is whole: it is found from now on.
    fn end(mut self, store: &Arc<Store<M>>, disk: &Disk<M>, trailers: &Bytes) {
        let entry = match self.written(store, disk, trailers) {
            Ok(entry) => entry,
            Err(why) => return self.give_up(disk, &why),
        };
        let left = {
            let mut index = lock(&disk.index);
            index.release(self.reserved);
            let mut left = index.add_written(&entry, self.now);
            left.extend(index.shrink());
            left
        };
        disk.remove_files_now(&left);
        disk.succeeded();
        store.leave_to_disk(self.name.id, &self.head);
    }

    /// Writes what is missing, and gives the file its name.
    fn written(
        &mut self,
        store: &Arc<Store<M>>,
        disk: &Disk<M>,
        trailers: &Bytes,
    ) -> Result<Arc<Entry>, Unkept> {
        // Their length would have had to be known at the beginning.
        let is_wanted = trailers.is_empty() && store.purges.judge_new(&self.head) == PurgeVerdict::Live;
        if !is_wanted {
            return Err(Unkept::Unwanted);
        }
        if !self.piece.is_empty() {
            self.write_piece(disk)?;
        }
        let head = self.encoded(disk).filter(|head| head.len() as u64 == self.head_len);
        let (head, file) = head.zip(self.file.take()).ok_or(Unkept::Unwanted)?;
        file.write_all_at(&head, 0)?;
        let entry = Entry::new(self.name, file.metadata()?.len());
        rename(&disk.unfinished(self.name.stamp), &entry.path(&disk.root))?;
        Ok(Arc::new(entry))
    }

    fn give_up(self, disk: &Disk<M>, why: &Unkept) {
        drop(std::fs::remove_file(disk.unfinished(self.name.stamp)));
        let mut index = lock(&disk.index);
        index.release(self.reserved);
        index.give_up(self.name.variant, self.name.stamp);
        drop(index);
        if let Unkept::Failed(error) = why {
            disk.failed("a response", error);
        }
    }
}
