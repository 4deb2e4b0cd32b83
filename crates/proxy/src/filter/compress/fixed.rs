//! The compressed forms of fixed responses, made as clients ask for them.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use evenkeel_config::Encoding;

/// Those of one configuration on one worker. Each is shorter than the body that it is made of, which is in memory as well.
#[derive(Debug, Default)]
pub struct FixedBodies(RefCell<HashMap<(usize, Encoding), (u32, Bytes)>>);

impl FixedBodies {
    /// That of the route at this position, if it was made before, at this level or a higher one.
    pub fn find(&self, route: usize, encoding: Encoding, level_min: u32) -> Option<Bytes> {
        let bodies = self.0.borrow();
        let (level, body) = bodies.get(&(route, encoding))?;
        (*level >= level_min).then(|| body.clone())
    }

    /// Keeps one for later responses, instead of one that was made at a lower level.
    pub fn add(&self, route: usize, encoding: Encoding, level: u32, body: Bytes) {
        self.0.borrow_mut().insert((route, encoding), (level, body));
    }
}
