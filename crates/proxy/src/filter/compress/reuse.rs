//! Compressed bodies that serve more than one response: of what the cache keeps, and of fixed responses.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_cache::Recorder;
use evenkeel_config::Encoding;

use super::fixed::FixedBodies;
use crate::cache::store::{Meta, Object};
use crate::response::Body;
use crate::stream::Stream;
use crate::worker::Worker;

/// What a response is one of many copies of.
#[derive(Debug)]
pub enum Original<'x> {
    /// There are no others.
    None,
    /// What the cache keeps.
    Kept(Arc<Object>),
    /// The fixed response of the route at this position.
    Fixed(&'x FixedBodies, usize),
}

impl<'x> Original<'x> {
    /// What this is a copy of: of something in the cache, or else of `fixed`, the fixed responses and the route's position.
    pub fn of(body: &Body<'_, '_>, fixed: Option<(&'x FixedBodies, usize)>) -> Self {
        match (body, fixed) {
            (Body::Stream(Stream::Cached(body)), _) => {
                body.kept().map_or(Self::None, |object| Self::Kept(Arc::clone(object)))
            }
            (Body::Bytes(_), Some((bodies, route))) => Self::Fixed(bodies, route),
            _ => Self::None,
        }
    }

    /// Puts the compressed body in the place of the other, if it was made before, and at this level or a higher one; if
    /// there is no time to compress, whatever its level. Returns the lengths of both, in bytes.
    pub fn take(
        &self,
        body: &mut Body<'_, '_>,
        encoding: Encoding,
        level: Option<u32>,
    ) -> Option<(u64, u64)> {
        let level_min = level.unwrap_or(0);
        match (self, body) {
            (Self::Kept(_), Body::Stream(Stream::Cached(body))) => body.take_coded(encoding, level_min),
            (Self::Fixed(bodies, route), body @ Body::Bytes(_)) => {
                let coded = bodies.find(*route, encoding, level_min)?;
                let after = coded.len() as u64;
                let Body::Bytes(whole) = std::mem::replace(body, Body::Shared(coded)) else { return None };
                Some((whole.len() as u64, after))
            }
            _ => None,
        }
    }

    /// All of the body, if it lies in one piece of at most `max` bytes and has no trailers.
    pub fn short(&self, max: usize) -> Option<Bytes> {
        let Self::Kept(object) = self else { return None };
        let bytes = object.chunk_at(0).filter(|bytes| bytes.len() <= max)?;
        (bytes.len() as u64 == object.body_len() && object.trailers().is_empty()).then_some(bytes)
    }

    /// Keeps what the body was compressed to for later responses, as far as there is room for it.
    pub fn keep<'b, 'c>(
        &self,
        worker: &Worker,
        encoding: Encoding,
        level: u32,
        coded: Vec<u8>,
    ) -> Body<'b, 'c> {
        let keep = |coded: Vec<u8>| Bytes::from(coded.into_boxed_slice());
        match self {
            Self::None => Body::Bytes(coded.into()),
            Self::Kept(object) => {
                let coded = keep(coded);
                worker.shared.cache.keep_coded(object, encoding, level, coded.clone());
                Body::Shared(coded)
            }
            Self::Fixed(bodies, route) => {
                let coded = keep(coded);
                bodies.add(*route, encoding, level, coded.clone());
                Body::Shared(coded)
            }
        }
    }

    /// Keeps what a longer body is compressed to while it is sent, if that is of use.
    pub fn recorder(&self, worker: &Worker, encoding: Encoding, level: u32) -> Option<Recorder<Meta>> {
        let Self::Kept(object) = self else { return None };
        worker.shared.cache.record(object, encoding, level)
    }
}
