//! What a test needs to speak HTTP/2 frame by frame: frames and field blocks by hand, a client, and cases for tables.

pub mod bystander;
pub mod case;
pub mod fields;
pub mod frames;
pub mod peer;
pub mod serving;

pub use case::{Case, Expect, bare, case, check};
pub use peer::Peer;
pub use serving::{Serving, serving};

use super::{Evenkeel, Origin, ok, pool};

/// A balancer whose listener speaks HTTP/2 alone, in clear; `keys` are more keys of it.
pub fn balancer(origin: &Origin, keys: &str) -> Evenkeel {
    let listener =
        format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = [\"2\"]\n{keys}\n");
    Evenkeel::start(&(listener + &pool(&[origin], "")))
}

/// A server for the cases: it keeps a request for `/hold` waiting until the client gives up.
pub fn origin() -> Origin {
    Origin::start(|request, wire| {
        if request.target() == "/hold" {
            wire.hold();
            wire.close();
            return;
        }
        let text = ok("hello");
        let head = text.len() - "hello".len();
        wire.send(if request.method() == "HEAD" { &text[..head] } else { &text });
    })
}

/// Runs each of `cases` in clear, before a server of their own.
#[track_caller]
pub fn check_in_clear(cases: &[Case]) {
    let origin = origin();
    let evenkeel = balancer(&origin, "");
    check(cases, || evenkeel.client());
}
