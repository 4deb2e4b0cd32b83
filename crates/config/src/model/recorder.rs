//! `[recorder]`: which requests the flight recorder keeps a record of.

use std::time::Duration;

use crate::declare::{Rules, section};
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::HEADER_NAME;
use crate::keys::{DAY_MS, Kind, key};
use crate::value::Rate;

section! {
    /// The flight recorder. It keeps a record of requests that failed, that a second server was asked for, or that took
    /// long, and a sample of the others. `evenkeel why ID` and `GET /requests` of the admin API show what became of them.
    #[derive(PartialEq, Eq)]
    pub struct Recorder "[recorder]" {
        /// The most memory that records occupy, over all workers; `off` keeps none. When it is reached, the oldest leave.
        /// Records of failures, of the client's own mistakes, of slow requests and of the sample have a part each, so that one
        /// kind does not push out another.
        memory: Option<u64> = key(Kind::SizeOrOff(64 << 10, 256 << 20), Is("8MiB"), r#""8MiB""#),
        /// A request that takes longer, from its head to the last byte of its response, counts as slow.
        slow: Duration = key(Kind::Duration(1, DAY_MS), Is("1s"), r#""1s""#),
        /// How many of the other requests are kept, over all workers; `0/s` keeps none of them.
        sample: Rate = key(Kind::Rate(0, 1_000), Is("10/s"), r#""10/s""#),
        /// Names of fields and query parameters whose values are not kept, beside those that never are: `Authorization`,
        /// `Cookie`, `Set-Cookie`, `X-Api-Key`, and whatever has `token`, `secret`, `password`, `session` or `signature` in its
        /// name. Spans, and the configuration that the API and `evenkeel diff` show, are redacted by the same names.
        redact: Vec<String> = key(
            Kind::OneOrList(&Kind::Text(&HEADER_NAME), 100),
            Means("no other names"),
            r#"["x-customer"]"#,
        ),
    }
}

impl Rules for Recorder {}
