//! Whatever a client sends, and however it is cut: a server of HTTP/2 makes the same of it, and holds a bounded memory.
#![no_main]

use evenkeel_http2::{Config, Connection, Event, Head, PREFACE};
use evenkeel_types::Time;
use libfuzzer_sys::fuzz_target;

/// More than any input of this length may make a connection hold: a frame, a field block and the streams.
const MEMORY_MAX: usize = 512 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, frames)) = input.split_first() else { return };
    // SETTINGS first, or nothing would get any further.
    let bytes = [PREFACE.as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0], frames].concat();
    let whole = run(&bytes, bytes.len());
    let pieces = run(&bytes, 1 + usize::from(cut % 64));
    assert_eq!(whole, pieces, "it matters how the input is cut");
});

/// What the server reports and sends for an input that comes in pieces of `size` bytes.
fn run(bytes: &[u8], size: usize) -> (Vec<String>, Vec<u8>) {
    let now = Time::from_millis(1);
    let mut server = Connection::server(Config::server(), now);
    let mut head = Head::new();
    let mut seen = Vec::new();
    let mut body: Option<(u32, Vec<u8>, bool)> = None;
    'input: for piece in bytes.chunks(size) {
        let mut taken = 0;
        loop {
            let received = match server.receive(&piece[taken..], &mut head, now) {
                Ok(received) => received,
                Err(error) => {
                    flush(&mut body, &mut seen);
                    seen.push(error.to_string());
                    break 'input;
                }
            };
            let rest = &piece[taken..];
            taken += received.taken;
            match received.event {
                Some(Event::Data { stream, data, ends }) => {
                    // Pieces of one body are put together.
                    if body.as_ref().is_some_and(|(number, ..)| *number != stream.number()) {
                        flush(&mut body, &mut seen);
                    }
                    let (_, bytes, has_ended) =
                        body.get_or_insert_with(|| (stream.number(), Vec::new(), false));
                    bytes.extend_from_slice(&rest[data]);
                    *has_ended |= ends;
                }
                Some(event) => {
                    flush(&mut body, &mut seen);
                    seen.push(format!("{event:?} {:?} {:?}", head.section(), head.path()));
                    if let Event::Head { stream, ends: true, .. } = event {
                        let _ = server.respond(stream, 200, [(b"server".as_slice(), b"x".as_slice())], false);
                        let _ = server.send_data(stream, b"hello", true);
                    }
                }
                None => {
                    assert_eq!(taken, piece.len());
                    break;
                }
            }
        }
        assert!(server.memory() - server.output().len() < MEMORY_MAX);
    }
    flush(&mut body, &mut seen);
    (seen, server.output().to_vec())
}

fn flush(body: &mut Option<(u32, Vec<u8>, bool)>, seen: &mut Vec<String>) {
    seen.extend(body.take().map(|body| format!("{body:?}")));
}
