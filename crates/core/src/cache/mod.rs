//! The policy of the cache: what may be kept, for whom, for how long, and what a kept response is to a request (RFC 9111, 5861,
//! 9211, 9213). Knows no clock and no store: times are arguments.
//!
//! In the order of a request: [`admit`], [`key`], [`select`], [`PurgeRules::verdict`], [`judge`], then
//! [`evaluate`](crate::conditional::evaluate) and [`ranges`](crate::range::ranges). In the order of an answer: [`storable`],
//! and [`merge`] for a 304.

mod admit;
mod cdn_loop;
mod dates;
mod dictionary;
mod directives;
pub mod evict;
mod explain;
mod fields;
mod invalidate;
mod judge;
mod key;
mod named;
mod purge;
mod status;
mod storable;
mod tags;
mod update;
mod vary;

#[cfg(test)]
mod model;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod scenarios;

pub use admit::{Asked, Bypass, SPEAKS_TO_CACHES, admit, admit_plain};
pub use cdn_loop::{CdnLoop, HOPS_MAX, cdn_loop};
pub use dates::{Wall, http_date};
pub use directives::{DELTA_MAX, RequestDirectives, ResponseDirectives};
pub use explain::{describe, describe_key};
#[cfg(test)]
use fields::members;
pub use fields::{Fields, NotKept};
pub use invalidate::invalidated;
pub use judge::{AfterFailure, Failure, Moment, StaleUse, Verdict, Why, after_failure, judge};
pub use key::{HostId, Key, Target, UrlId, add_to_key, key, shared_hash, url_id, write_key};
pub use named::{NameFault, Named};
pub use purge::{PurgeRules, PurgeVerdict, Purgeable, Scope, Strength};
pub use status::{CacheOutcome, CacheStatus, Forward};
pub use storable::{Exchange, Flags, Keep, NotStored, Stored, storable};
pub use tags::{TAG_BYTES_MAX, TAGS_MAX, TagId, Tags};
pub use update::{AfterHead, Line, after_head, entity_tags, merge, select as select_validated, validators};
pub use vary::{Variant, Vary, VaryFault, select};
