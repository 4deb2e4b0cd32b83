//! A file as it was when it was read: what its responses say of it, and its bytes or a descriptor for them.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use evenkeel_config::Encoding;
use evenkeel_core::files::content_type;

use super::disk::{DiskError, Identity, Place, Root, Waits, identity};
use crate::http::write;

/// Files up to this size are kept in memory.
pub const MEMORY_MAX: u64 = 64 * 1024;
/// So often a file is read that changes while it is.
const TRIES: usize = 3;
/// A file that changed so shortly before it was read may change again without a sign of it, because its time is coarse.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// A file in one coding.
#[derive(Debug)]
pub struct Version {
    /// Its state when it was read.
    pub identity: Identity,
    /// Its bytes.
    pub content: Content,
    /// `ETag`, with its quotes.
    pub etag: String,
    /// The fields that a 304 has as well: `ETag` and `Last-Modified`.
    pub shared: Vec<u8>,
    /// Fields that only a response with the file has: `Content-Encoding` and `Accept-Ranges`.
    pub own: Vec<u8>,
    /// `Content-Type` of the file itself.
    pub content_type: String,
    /// Its content can be trusted as long as its identity is the same.
    is_settled: bool,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Content {
    /// All of them.
    Memory(Bytes),
    /// In the file, which is open.
    Open(Arc<OpenFile>),
}

/// A file that is open.
#[derive(Debug)]
pub struct OpenFile {
    /// The file.
    pub file: File,
    /// Whether it says that a read would wait.
    pub waits: Waits,
}

impl Version {
    /// Reads the file at `path` below the root, of which `old` was there before. `name` is the path of the file that it is a coding of.
    pub fn read(
        root: &Root,
        path: &str,
        (name, coding): (&str, Option<Encoding>),
        old: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, DiskError> {
        if let Some(old) = old
            && let Place::File(now) = root.look(path)?
            && old.is(now)
        {
            return Ok(Arc::clone(old));
        }
        let mut tries = 1;
        loop {
            let (file, before) = root.open_file(path)?;
            if before.size > MEMORY_MAX {
                let open = OpenFile { waits: Waits::of(&file), file };
                return Ok(Arc::new(Self::new(before, Content::Open(Arc::new(open)), (name, coding))));
            }
            let mut bytes = Vec::with_capacity(before.size as usize + 1);
            (&file).take(MEMORY_MAX + 1).read_to_end(&mut bytes)?;
            let after = identity(&file)?;
            if after == before && bytes.len() as u64 == before.size || tries == TRIES {
                // A file that grows all the time is sent as long as it was; one that is written over, as it was read.
                bytes.truncate(before.size as usize);
                let read = before.of_size(bytes.len() as u64);
                return Ok(Arc::new(Self::new(read, Content::Memory(bytes.into()), (name, coding))));
            }
            tries += 1;
        }
    }

    fn new(identity: Identity, content: Content, (name, coding): (&str, Option<Encoding>)) -> Self {
        let suffix = coding.map(|coding| format!("-{}", coding.word())).unwrap_or_default();
        // Neither inode nor device: the same file on another node has the same tag.
        let etag = format!("\"{:x}-{:x}{suffix}\"", identity.modified_ns, identity.size);
        let content_type = content_type(name).into_owned();
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        write::field(&mut shared, "etag", etag.as_bytes());
        let modified = httpdate::fmt_http_date(modified(&identity));
        write::field(&mut shared, "last-modified", modified.as_bytes());
        if let Some(coding) = coding {
            write::field(&mut own, "content-encoding", coding.word().as_bytes());
        }
        write::field(&mut own, "accept-ranges", b"bytes");
        let newest = identity.modified_ns.max(identity.changed_ns);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_settled =
            i128::try_from(now.saturating_sub(SETTLED_AFTER).as_nanos()).is_ok_and(|then| newest < then);
        Self { identity, content, etag, shared, own, content_type, is_settled }
    }

    /// True if the file is still the same.
    fn is(&self, now: Identity) -> bool {
        self.identity == now && (self.is_settled || matches!(self.content, Content::Open(_)))
    }

    /// When its content changed last, in seconds since 1970.
    pub fn modified_s(&self) -> u64 {
        modified(&self.identity).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// Bytes that it takes in memory.
    pub fn memory(&self) -> usize {
        let content = if let Content::Memory(bytes) = &self.content { bytes.len() } else { 0 };
        size_of::<Self>()
            + content
            + self.etag.len()
            + self.shared.len()
            + self.own.len()
            + self.content_type.len()
    }

    /// Descriptors that it keeps open.
    pub fn descriptors(&self) -> usize {
        usize::from(matches!(self.content, Content::Open(_)))
    }
}

/// In whole seconds, as `Last-Modified` has it; what cannot be written there is the epoch.
fn modified(identity: &Identity) -> SystemTime {
    /// The last second of the year 9999.
    const MAX_S: i128 = 253_402_300_799;
    let seconds = identity.modified_ns.div_euclid(1_000_000_000).clamp(0, MAX_S);
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
