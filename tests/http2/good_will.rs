//! What clients of good will send in bursts, and what must therefore not end a connection.

use crate::support::h2::frames::{
    Code, data, flag, headers, kind, ping, priority, rst_stream, setting, window_update,
};
use crate::support::h2::{Case, Expect, case, check_in_clear, fields};

const MARK: [u8; 8] = *b"evenkeel";

const CASES: &[Case] = &[
    case(
        "good-will/1",
        "1000 messages of 20 bytes at once, as gRPC sends them",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send([data(1, flag::NONE, [b'x'; 20]).repeat(1000), data(1, flag::END_STREAM, [])].concat())
        },
        Expect::Response,
    ),
    case(
        "good-will/2",
        "200 requests that are cancelled under way",
        |p| {
            let ids: Vec<u32> = (1..400).step_by(2).collect();
            for batch in ids.chunks(50) {
                p.send(
                    batch
                        .iter()
                        .flat_map(|id| headers(*id, flag::WHOLE, fields::hold()))
                        .collect::<Vec<u8>>(),
                )?;
                p.send(ping(&[7; 8]))?;
                p.frame(kind::PING)?;
                let resets = batch.iter().flat_map(|id| rst_stream(*id, Code::CANCEL));
                p.send(resets.collect::<Vec<u8>>())?;
            }
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "good-will/3",
        "60 streams more than allowed, before the limit is known",
        |p| {
            let most = p.setting(setting::MAX_CONCURRENT_STREAMS, 0);
            let ids = (1..).step_by(2).take(most + 60);
            p.send(ids.flat_map(|id| headers(id, flag::WHOLE, fields::hold())).collect::<Vec<u8>>())?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "good-will/4",
        "1000 WINDOW_UPDATE and PRIORITY frames",
        |p| {
            p.send([window_update(0, 1), priority(1, 0)].concat().repeat(500))?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
];

#[test]
fn bursts_of_good_will_are_served() {
    check_in_clear(CASES);
}
