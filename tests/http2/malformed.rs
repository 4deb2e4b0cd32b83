//! What the public suites leave out: rules of RFC 9113 that `h2` does not enforce by itself.

use crate::support::h2::fields::{self, GET};
use crate::support::h2::frames::{Code, PREFACE, dependency, flag, headers, settings_ack};
use crate::support::h2::{Case, Expect, bare, case, check_in_clear};

const PROTOCOL: &[Code] = &[Code::PROTOCOL];
const MALFORMED: Expect = Expect::StreamError(PROTOCOL);

/// HEADERS of a GET whose last field is given.
fn with(name: &'static str, value: &'static str) -> Vec<u8> {
    headers(1, flag::WHOLE, fields::get_with(name, value))
}

const CASES: &[Case] = &[
    bare(
        "malformed/3.4/1",
        "HEADERS as the first frame",
        |p| {
            p.send(PREFACE)?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    bare(
        "malformed/3.4/2",
        "SETTINGS with ACK as the first frame",
        |p| {
            p.send(PREFACE)?;
            p.send(settings_ack())?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "malformed/4.3/1",
        "no request is decoded with the table of before a refused one",
        |p| {
            let length = [b"\x5c".as_slice(), &fields::string("1")].concat();
            p.send(headers(1, flag::END_HEADERS, fields::get_then(&length)))?;
            let test = [&[0x40], fields::string("x-test").as_slice(), &fields::string("ok")].concat();
            let refused = [dependency(3, false, 255), fields::get_then(&test)].concat();
            p.send(headers(3, flag::WHOLE | flag::PRIORITY, refused))?;
            p.send(headers(5, flag::WHOLE, fields::get_then(b"\xbe")))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "malformed/8.2.1/1",
        "a value that begins with a space",
        |p| p.send(with("x-test", " ok")),
        MALFORMED,
    ),
    case("malformed/8.2.1/2", "a value that ends with a tab", |p| p.send(with("x-test", "ok\t")), MALFORMED),
    case("malformed/8.2.1/3", "a value with a line feed", |p| p.send(with("x-test", "o\nk")), MALFORMED),
    case("malformed/8.2.1/4", "a value with NUL", |p| p.send(with("x-test", "o\0k")), MALFORMED),
    case("malformed/8.2.1/5", "a name with a space", |p| p.send(with("x test", "ok")), MALFORMED),
    case("malformed/8.2.1/6", "a name with a colon", |p| p.send(with("x:test", "ok")), MALFORMED),
    case("malformed/8.2.1/7", "an empty name", |p| p.send(with("", "ok")), MALFORMED),
    case(
        "malformed/8.2.2/1",
        "transfer-encoding",
        |p| p.send(with("transfer-encoding", "chunked")),
        MALFORMED,
    ),
    case(
        "malformed/8.3.1/1",
        "no :path and no :authority",
        |p| p.send(headers(1, flag::WHOLE, fields::block(&[GET[0], GET[1]]))),
        MALFORMED,
    ),
    case(
        "malformed/8.3.1/2",
        "a :path without a slash",
        |p| p.send(headers(1, flag::WHOLE, fields::block(&[GET[0], GET[1], (":path", "index"), GET[3]]))),
        MALFORMED,
    ),
    case("malformed/8.3.1/3", ":authority unlike host", |p| p.send(with("host", "other")), MALFORMED),
    case(
        "malformed/8.3.1/4",
        ":authority with user information",
        |p| {
            p.send(headers(
                1,
                flag::WHOLE,
                fields::block(&[GET[0], GET[1], GET[2], (":authority", "user@test")]),
            ))
        },
        MALFORMED,
    ),
    case(
        "malformed/8.3.1/5",
        "a :method with a space",
        |p| p.send(headers(1, flag::WHOLE, fields::block(&[(":method", "GE T"), GET[1], GET[2], GET[3]]))),
        MALFORMED,
    ),
    case(
        "malformed/8.5/1",
        "CONNECT without :authority",
        |p| p.send(headers(1, flag::WHOLE, fields::literal(":method", "CONNECT"))),
        MALFORMED,
    ),
    case("malformed/8.6/1", "an empty content-length", |p| p.send(with("content-length", "")), MALFORMED),
    case("malformed/8.6/2", "a signed content-length", |p| p.send(with("content-length", "+0")), MALFORMED),
    case(
        "malformed/8.6/3",
        "a content-length and no DATA",
        |p| p.send(with("content-length", "1")),
        MALFORMED,
    ),
    case(
        "malformed/8.6/4",
        "two content-lengths",
        |p| {
            p.send(headers(
                1,
                flag::WHOLE,
                fields::get_then(
                    &[fields::literal("content-length", "0"), fields::literal("content-length", "1")]
                        .concat(),
                ),
            ))
        },
        MALFORMED,
    ),
];

#[test]
fn malformed_requests_are_refused() {
    check_in_clear(CASES);
}
