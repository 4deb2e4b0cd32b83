//! S1: frames that cost more to deal with than to send, and lead to nothing (CVE-2019-9512, -9514, -9515, -9518).

use crate::support::h2::frames::{
    Code, data, flag, frame, headers, kind, padded, ping, priority, rst_stream, settings, window_update,
};
use crate::support::h2::{Case, Expect, case, check_in_clear, fields};

/// How many frames make a flood: more than a client of good will sends in a row.
const FLOOD: usize = 20_000;

const CUT: Expect = Expect::Cut;

/// The head of a request whose body nobody reads, then a flood of `bytes`.
fn upload(bytes: &[u8]) -> Vec<u8> {
    [&fields::held(1, |_| Vec::new()), bytes.repeat(FLOOD).as_slice()].concat()
}

const CASES: &[Case] = &[
    case("floods/settings", "SETTINGS", |p| p.send(settings(&[]).repeat(FLOOD)), CUT),
    case("floods/ping", "PING", |p| p.send(ping(&[7; 8]).repeat(FLOOD)), CUT),
    case(
        "floods/pong",
        "PING with ACK",
        |p| p.send(frame(kind::PING, flag::ACK, 0, [7; 8]).repeat(FLOOD)),
        CUT,
    ),
    case("floods/priority", "PRIORITY", |p| p.send(priority(1, 0).repeat(FLOOD)), CUT),
    case("floods/window-update", "WINDOW_UPDATE by 1", |p| p.send(window_update(0, 1).repeat(FLOOD)), CUT),
    case(
        "floods/unknown",
        "frames of unknown type",
        |p| p.send(frame(kind::UNKNOWN, flag::NONE, 0, []).repeat(FLOOD)),
        CUT,
    ),
    case("floods/empty-data", "empty DATA", |p| p.send(upload(&data(1, flag::NONE, []))), CUT),
    case(
        "floods/padding",
        "DATA with padding alone",
        |p| p.send(upload(&data(1, flag::PADDED, padded(b"", 1)))),
        CUT,
    ),
    case("floods/small-data", "DATA of 1 byte", |p| p.send(upload(&data(1, flag::NONE, b"x"))), CUT),
    case(
        "floods/closed-reset",
        "RST_STREAM on a closed stream",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.response_end()?;
            p.send(rst_stream(1, Code::CANCEL).repeat(FLOOD))
        },
        CUT,
    ),
    case(
        "floods/closed-data",
        "DATA on a closed stream",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.response_end()?;
            p.send(data(1, flag::NONE, []).repeat(FLOOD))
        },
        CUT,
    ),
];

#[test]
fn s1_floods_of_frames_end_the_connection() {
    check_in_clear(CASES);
}
