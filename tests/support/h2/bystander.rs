//! Another client, which is to be served while a test attacks the balancer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::frames::{flag, headers, kind, window_update};
use super::{Peer, fields};
use crate::support::Evenkeel;

/// A route by which [`Bystander`] is served without a server, and one for all else.
pub const ROUTES: &str =
    "[[route]]\npath = \"/else\"\nrespond = { body = \"quick\" }\n[[route]]\npool = \"app\"\n";

/// A client that sends one request after the other on a thread of its own, over one connection.
pub struct Bystander {
    is_over: Arc<AtomicBool>,
    client: JoinHandle<Duration>,
}

impl Bystander {
    /// Begins; the balancer has [`ROUTES`].
    pub fn start(evenkeel: &Evenkeel) -> Self {
        let mut peer = Peer::greeted(evenkeel.client());
        let is_over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&is_over);
        let client = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            for stream in (1..).step_by(2) {
                let begun = Instant::now();
                ask_else(&mut peer, stream);
                longest = longest.max(begun.elapsed());
                if theirs.load(SeqCst) {
                    break;
                }
            }
            longest
        });
        Self { is_over, client }
    }

    /// Ends it once it was served again; how long the slowest of its requests took.
    pub fn longest(self) -> Duration {
        self.is_over.store(true, SeqCst);
        self.client.join().unwrap()
    }
}

/// One request for what needs no server, and its whole response.
pub fn ask_else(peer: &mut Peer, stream: u32) {
    let block = fields::block(&[fields::GET[0], fields::GET[1], (":path", "/else"), fields::GET[3]]);
    peer.send(headers(stream, flag::WHOLE, block)).unwrap();
    let data = peer.first(|frame| frame.kind == kind::DATA && frame.stream == stream).unwrap();
    assert_eq!(data.payload, b"quick");
    if !data.has(flag::END_STREAM) {
        peer.response_end().unwrap();
    }
    peer.send(window_update(0, 5)).unwrap();
}
