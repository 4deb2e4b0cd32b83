//! The bytes of an answer up to each point at which a server may fail.

use super::Point;

/// The body of every whole answer.
pub const BODY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// How much of it is sent by a server that fails in the middle.
pub const HALF: usize = BODY.len() / 2;
/// What is no HTTP, wherever it stands but within a body.
pub const GARBAGE: &[u8] = b"\x00\xff\x16\x03 no: HTTP\r\n\r\n\r\n";

const SIZED: &str = "HTTP/1.1 200 OK\r\nx-kind: sized\r\ncontent-length: 64\r\n\r\n";
const ENDLESS: &str = "HTTP/1.1 200 OK\r\nx-kind: endless\r\nconnection: close\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nx-kind: chunked\r\ntransfer-encoding: chunked\r\n\r\n";

/// What is sent before the server fails at `point`.
pub fn until(point: Point, method: &str) -> Vec<u8> {
    let (head, body) = match point {
        Point::Accepted | Point::RequestHead | Point::RequestBody | Point::Request => ("", String::new()),
        Point::StatusLine => (&SIZED[..11], String::new()),
        Point::Field => (&SIZED[..20], String::new()),
        Point::Head => (SIZED, String::new()),
        Point::SizedBody => (SIZED, BODY[..HALF].to_owned()),
        Point::EndlessBody => (ENDLESS, BODY[..HALF].to_owned()),
        Point::ChunkSize => (CHUNKED, format!("{}2", chunk(&BODY[..HALF]))),
        Point::Chunk => (CHUNKED, chunk(BODY)[..HALF].to_owned()),
        Point::LastChunk => (CHUNKED, chunks()),
        Point::Trailers => (CHUNKED, chunks() + "0\r\nx-trailer: yes\r\n"),
    };
    // The answer to HEAD is its head.
    let body = if method == "HEAD" { "" } else { &body };
    [head, body].concat().into_bytes()
}

/// A whole answer, framed as the one that breaks off at `point`.
pub fn whole(point: Point, method: &str) -> Vec<u8> {
    let (head, body) = match point {
        Point::ChunkSize | Point::Chunk | Point::LastChunk | Point::Trailers => {
            (CHUNKED, chunks() + "0\r\nx-trailer: yes\r\n\r\n")
        }
        _ => (SIZED, BODY.to_owned()),
    };
    let body = if method == "HEAD" { "" } else { &body };
    [head, body].concat().into_bytes()
}

fn chunks() -> String {
    chunk(&BODY[..HALF]) + &chunk(&BODY[HALF..])
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}
