//! How far the input has been read: where in which frame, and what of it is kept until the rest comes.

use evenkeel_types::Time;

use crate::frame::kind;
use crate::streams::StreamId;

/// Bytes of the buffer for frames in pieces that are kept when it is empty.
pub(super) const KEPT: usize = 64;

/// How far the input has been read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) stage: Stage,
    /// A frame, or its header, that has not come as a whole. Of DATA never more than the header and the length of the
    /// padding.
    pub(super) partial: Vec<u8>,
    /// A field block that has not come as a whole.
    pub(super) block: Option<Box<Block>>,
    /// True once the first frame, SETTINGS, has come.
    pub(super) is_greeted: bool,
    /// Since when a head has begun and not ended.
    pub(super) head_since: Option<Time>,
}

/// A field block in several frames.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) frames: usize,
    pub(super) bytes: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// The client's preface, of which so many bytes have come.
    Preface(usize),
    Frame,
    Data(Data),
    /// So many bytes that are of no interest.
    Skip(usize),
}

/// The rest of a DATA frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    pub(super) stream: StreamId,
    pub(super) left: usize,
    pub(super) padding: usize,
    pub(super) ends: bool,
}

impl Reader {
    pub(super) fn new(is_server: bool) -> Self {
        let stage = if is_server { Stage::Preface(0) } else { Stage::Frame };
        Self { stage, partial: Vec::new(), block: None, is_greeted: false, head_since: None }
    }

    pub(super) fn shrink(&mut self) {
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }

    pub(super) fn memory(&self) -> usize {
        let block = self.block.as_ref().map_or(0, |block| block.bytes.capacity() + size_of::<Block>());
        self.partial.capacity() + block
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.stage = if bytes > 0 { Stage::Skip(bytes) } else { Stage::Frame };
    }

    pub(super) fn deliver(&mut self, data: Data) {
        self.stage = Stage::Data(data);
    }

    /// True while a head has begun and not ended, or a frame whose type is not known yet.
    pub(super) fn is_in_head(&self) -> bool {
        let is_partial_head = match self.partial.get(3) {
            Some(found) => matches!(*found, kind::HEADERS | kind::CONTINUATION),
            None => !self.partial.is_empty(),
        };
        is_partial_head || self.block.is_some()
    }
}
