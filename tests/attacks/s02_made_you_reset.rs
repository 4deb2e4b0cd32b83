//! S2: requests that we are made to reset ourselves (CVE-2025-8671).

use super::s01_rapid_reset::assert_cancelled;
use crate::support::h2::frames::{flag, headers, priority, window_update};
use crate::support::h2::{Case, Expect, case, check_in_clear, fields};

const CUT: Expect = Expect::Cut;

const CASES: &[Case] = &[
    case(
        "s2/1",
        "made you reset: WINDOW_UPDATE by 0",
        |p| p.send(fields::held(5000, |id| window_update(id, 0))),
        CUT,
    ),
    case(
        "s2/2",
        "made you reset: a window above 2^31 - 1",
        |p| p.send(fields::held(5000, |id| window_update(id, (1 << 31) - 1))),
        CUT,
    ),
    case(
        "s2/3",
        "made you reset: trailers that do not end",
        |p| p.send(fields::held(5000, |id| headers(id, flag::END_HEADERS, fields::literal("x-test", "ok")))),
        CUT,
    ),
    case(
        "s2/4",
        "made you reset: a dependency on itself",
        |p| p.send(fields::held(5000, |id| priority(id, id))),
        CUT,
    ),
    case(
        "s2/5",
        "made you reset: malformed requests",
        |p| {
            let block = fields::get_with("connection", "close");
            p.send((0..5000).flat_map(|i| headers(2 * i + 1, flag::WHOLE, &block)).collect::<Vec<u8>>())
        },
        CUT,
    ),
    case(
        "s2/6",
        "made you refuse: more streams than allowed",
        |p| p.send(fields::held(20_000, |_| Vec::new())),
        CUT,
    ),
];

#[test]
fn s2_resets_that_we_are_made_to_send_end_the_connection() {
    check_in_clear(CASES);
}

#[test]
fn s2_what_we_are_made_to_reset_is_cancelled_at_the_server() {
    assert_cancelled(|id| window_update(id, (1 << 31) - 1));
}
