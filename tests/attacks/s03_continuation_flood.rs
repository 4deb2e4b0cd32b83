//! S3: field blocks without an end (CVE-2024-27316).

use crate::support::h2::frames::{continuation, flag, headers};
use crate::support::h2::{Case, Expect, case, check_in_clear, fields};

/// More frames than any field block has.
const FLOOD: usize = 20_000;

const CUT: Expect = Expect::Cut;

const CASES: &[Case] = &[
    case(
        "s3/1",
        "empty CONTINUATION",
        |p| {
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(continuation(1, flag::NONE, []).repeat(FLOOD))
        },
        CUT,
    ),
    case(
        "s3/2",
        "CONTINUATION without an end",
        |p| {
            let block = fields::literal("x-test", &"x".repeat(8000));
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(continuation(1, flag::NONE, &block).repeat(1000))
        },
        CUT,
    ),
    case(
        "s3/3",
        "one byte a CONTINUATION",
        |p| {
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(
                fields::long(4).iter().flat_map(|b| continuation(1, flag::NONE, [*b])).collect::<Vec<u8>>(),
            )
        },
        CUT,
    ),
];

#[test]
fn s3_field_blocks_without_an_end_end_the_connection() {
    check_in_clear(CASES);
}
