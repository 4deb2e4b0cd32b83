//! A directory with files, and a balancer that serves it.

use std::fs;
use std::path::PathBuf;

use crate::support::h2::frames::{flag, headers, kind, window_update};
use crate::support::h2::{Peer, fields};
use crate::support::{Client, Evenkeel, Folder, Response};

/// A balancer that serves a directory at every path.
pub struct Site {
    /// The balancer.
    pub evenkeel: Evenkeel,
    root: PathBuf,
}

impl Site {
    /// With these files, and these keys of `files` beside its `root`.
    pub fn new(files: &[(&str, &[u8])], keys: &str) -> Self {
        Self::with("", files, keys)
    }

    /// With these lines in front of the route.
    pub fn with(before: &str, files: &[(&str, &[u8])], keys: &str) -> Self {
        Self::at(before, "path = \"/*\"", files, keys)
    }

    /// The same at a route with these keys.
    pub fn at(before: &str, route: &str, files: &[(&str, &[u8])], keys: &str) -> Self {
        let folder = Folder::new();
        let root = PathBuf::from(folder.path("site"));
        fs::create_dir(&root).unwrap();
        for (name, content) in files {
            put(&root, name, content);
        }
        // The root is relative to the folder of the configuration file.
        let files = format!("files = {{ root = \"site\"{keys} }}");
        let evenkeel = Evenkeel::start_in(folder, &format!("{before}\n[[route]]\n{route}\n{files}\n"));
        Self { evenkeel, root }
    }

    /// Writes a file, in place if it is there.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        put(&self.root, name, content.as_ref());
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Has the kernel forget a file, so that it must come from the disk.
    pub fn forget(&self, name: &str) {
        let file = fs::File::open(self.path(name)).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }

    /// One GET over a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.evenkeel.get(target)
    }

    /// One GET with more fields, each with its CRLF.
    pub fn get_with(&self, target: &str, fields: &str) -> Response {
        self.evenkeel.client().get_with(target, fields)
    }
}

fn put(root: &std::path::Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Bytes that no two places of a file have in common: a shift or a gap shows.
pub fn pattern(length: usize) -> Vec<u8> {
    let words = (0u32..).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes());
    words.take(length).collect()
}

/// The body of a GET over HTTP/2, whose windows are wide open.
pub fn body_over_http2(client: Client, path: &str) -> Vec<u8> {
    let mut peer = Peer::greeted(client);
    peer.send(window_update(0, 1 << 30)).unwrap();
    let names = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path)];
    let request = names.map(|(name, value)| fields::literal(name, value)).concat();
    peer.send(headers(1, flag::WHOLE, request)).unwrap();
    peer.send(window_update(1, 1 << 30)).unwrap();
    let mut body = Vec::new();
    loop {
        let frame = peer.next().unwrap();
        assert_ne!(frame.kind, kind::RST_STREAM, "{frame:?}");
        if frame.kind == kind::DATA {
            body.extend_from_slice(&frame.payload);
        }
        if matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.has(flag::END_STREAM) {
            return body;
        }
    }
}
